//! Talking to a server that runs, from the command line and from tests.

mod bridge;
mod http;

pub use bridge::{BridgeClient, TailEvent, TailStream};
pub use http::HttpClient;

/// The server could not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers.
    #[error(
        "no Loom answers at {address} ({detail}): start one with `loom up`, or name another with {flag} or {variable}"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What the network said.
        detail: String,
        /// The flag that names the address.
        flag: &'static str,
        /// The variable that names the address.
        variable: &'static str,
    },
    /// The text is no address.
    #[error("`{address}` is not an address: write host:port")]
    Address {
        /// The text.
        address: String,
    },
    /// There is no such thing.
    #[error("{detail}")]
    NotFound {
        /// What there is not.
        detail: String,
    },
    /// The server said no.
    #[error("{detail}")]
    Refused {
        /// Its reason.
        detail: String,
    },
    /// What answered is no Loom, or one that speaks another language.
    #[error("{address} answered in a way that this version of Loom does not understand: {detail}")]
    Protocol {
        /// Where.
        address: String,
        /// What.
        detail: String,
    },
}
