//! Whose page a request comes from. A browser sends cookies and opens sockets for any page; it says whose it is in `Origin`.

use axum::extract::Request;
use axum::http::uri::Uri;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use loom_trace::api::Problem;

/// Refuses a request that the page of another server has made. Programs that are no browsers say nothing, and pass.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin = origin
        .to_str()
        .ok()
        .and_then(|text| text.parse::<Uri>().ok());
    let authority = origin.as_ref().and_then(Uri::authority);
    match (authority, host) {
        (Some(authority), Some(host)) if authority.as_str().eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Problem::forbidden(
            "the page that asks comes from another server: only Loom's own pages may do this",
        )),
    }
}

/// Asks so of every request that changes something.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    if !request.method().is_safe()
        && let Err(problem) = check(request.headers())
    {
        return problem.respond_at(request.uri().path());
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_server_and_programs_pass() {
        let with = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8080".parse().expect("a value"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("a value"));
            }
            check(&headers).is_ok()
        };
        assert!(with(None));
        assert!(with(Some("http://localhost:8080")));
        assert!(with(Some("https://LOCALHOST:8080")));
        for other in [
            "null",
            "http://localhost",
            "http://localhost:8081",
            "http://evil.example",
            "http://localhost:8080.evil.example",
            "localhost",
            "",
        ] {
            assert!(!with(Some(other)), "{other}");
        }
    }
}
