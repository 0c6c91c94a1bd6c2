//! OTLP bytes to plain spans: a cheap look at the door, the full decoding behind the spool.

pub mod alias;
pub mod decode;
pub mod json;
pub mod scan;
mod wire;

pub use decode::{Decoded, decode, decode_each};
pub use scan::{Rejected, Scanned, scan};
pub use wire::WireError;
