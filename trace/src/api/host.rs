//! Which hosts a request may name.
//!
//! A web page can point its own name at 127.0.0.1 and then read this API as if it were its own (DNS rebinding). Its
//! requests carry its own name, so: localhost, addresses, and names that were configured. An address cannot be rebound.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::Response;

use super::error::{Family, Problem};

/// Names besides localhost and addresses.
#[derive(Debug, Clone)]
pub(super) struct Allowed(Arc<HashSet<String>>);

impl Allowed {
    pub(super) fn new(names: &[String]) -> Self {
        Self(Arc::new(
            names
                .iter()
                .map(|name| bare(name).to_ascii_lowercase())
                .collect(),
        ))
    }

    fn contains(&self, authority: &str) -> bool {
        let host = bare(authority);
        let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_address = match literal {
            Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
            None => host.parse::<IpAddr>().is_ok(),
        };
        is_address
            || host.eq_ignore_ascii_case("localhost")
            || self.0.contains(&host.to_ascii_lowercase())
    }
}

/// Host without port.
fn bare(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') => {
            host
        }
        _ => authority,
    }
}

pub(super) async fn check(
    State(allowed): State<Allowed>,
    request: Request,
    next: Next,
) -> Response {
    // HTTP/2 has the host in the URI, HTTP/1 in its header.
    let authority = request.uri().authority().map(Authority::as_str);
    let named = authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
    if named.is_some_and(|named| allowed.contains(named)) {
        return next.run(request).await;
    }
    Problem::misdirected("this host name is not served here, add it to allowed_hosts")
        .respond(Family::of(request.uri().path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let allowed = Allowed::new(&["Loom.Example:8080".to_owned()]);
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]:8080",
            "[::1]",
            "loom.example",
            "loom.example:9",
        ] {
            assert!(allowed.contains(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "[evil]",
            "loom.example:x",
        ] {
            assert!(!allowed.contains(bad), "{bad}");
        }
    }
}
