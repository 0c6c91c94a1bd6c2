//! Where a listener listens, and where a client finds it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// An address to listen on, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// The door stays shut.
    Off,
    /// Port 0 lets the system choose.
    At(SocketAddr),
}

/// The text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address: write ip:port (127.0.0.1:8080, [::1]:8080), localhost:port, port 0 for any free one, or off"
)]
pub struct AddressError(pub String);

impl Listen {
    /// This port of this machine alone.
    pub const fn loopback(port: u16) -> Self {
        Self::At(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// Whether other machines can reach it.
    pub fn is_exposed(&self) -> bool {
        matches!(self, Self::At(address) if !address.ip().is_loopback())
    }
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text == "off" {
            return Ok(Self::Off);
        }
        // A host name would have to be resolved, and could mean several addresses, of which some are exposed.
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
            None => text.to_owned(),
        };
        numeric
            .parse()
            .map(Self::At)
            .map_err(|_| AddressError(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// `address` as a client on this machine can reach it: a listener on "all addresses" is reached over loopback.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port())
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_written() {
        assert_eq!("off".parse(), Ok(Listen::Off));
        assert_eq!("localhost:8080".parse(), Ok(Listen::loopback(8080)));
        assert_eq!(
            "[::1]:0"
                .parse::<Listen>()
                .map(|address| address.to_string()),
            Ok("[::1]:0".to_owned())
        );
        for wrong in [
            "",
            "8080",
            "example.com:80",
            "127.0.0.1",
            "127.0.0.1:99999",
            "localhost:",
        ] {
            assert_eq!(
                wrong.parse::<Listen>(),
                Err(AddressError(wrong.to_owned())),
                "{wrong}"
            );
        }
    }

    #[test]
    fn only_loopback_is_not_exposed() {
        let exposed = |text: &str| text.parse::<Listen>().expect("an address").is_exposed();
        assert!(
            !exposed("127.0.0.1:1")
                && !exposed("127.9.9.9:1")
                && !exposed("[::1]:1")
                && !exposed("off")
        );
        assert!(exposed("0.0.0.0:1") && exposed("[::]:1") && exposed("192.0.2.1:1"));
    }

    #[test]
    fn all_addresses_are_reached_over_loopback() {
        let reached = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(reached("[::]:80"), "[::1]:80");
        assert_eq!(reached("192.0.2.1:80"), "192.0.2.1:80");
    }
}
