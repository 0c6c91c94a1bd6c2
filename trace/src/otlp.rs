//! OTLP bytes to plain spans, a cheap look at the door and the full decoding behind the spool; and plain spans to OTLP again.

pub mod alias;
pub mod decode;
pub mod encode;
pub mod grouped;
pub mod json;
mod number;
pub mod scan;
pub mod to_json;
mod wire;

pub use decode::{Decoded, decode, decode_each, identify_each};
pub use scan::{Rejected, Scanned, scan};
pub use wire::WireError;

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod yardstick;
