//! The contract of Loom: everything that two processes must agree upon.
//!
//! | file | what it fixes |
//! | --- | --- |
//! | `loom/v1/*.proto` → [`v1`] | the messages, and with feature `client` or `server` the gRPC stubs |
//! | [`trace_context`] | W3C trace context as a value |
//! | [`wire`] | reading and writing events without decoding them |
//! | [`frame`] | a stream message as bytes, and its gRPC codec |
//! | [`semconv`] | every span name, attribute key and metric name |
//! | [`topic`] | topics, patterns, and the names of agents and capabilities |
//! | [`code`] | the closed error codes with their gRPC and HTTP status |
//!
//! The generated files are committed; `tests/generated.rs` makes them again and compares.

pub mod code;
pub mod event_id;
pub mod frame;
pub mod semconv;
pub mod topic;
pub mod trace_context;
pub mod wire;

pub use code::Code;
pub use event_id::EventId;
pub use frame::Frame;
pub use trace_context::{SpanId, TraceContext, TraceFlags, TraceId};

/// Package `loom.v1`, as generated.
#[allow(
    clippy::pedantic,
    clippy::default_constructed_unit_structs,
    missing_docs,
    unreachable_pub
)]
pub mod v1 {
    include!("generated/loom.v1.rs");

    #[cfg(any(feature = "client", feature = "server"))]
    include!("generated/loom.v1.Bridge.rs");

    #[cfg(any(feature = "client", feature = "server"))]
    include!("generated/loom.v1.Streams.rs");
}

/// The compiled `.proto` files, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/loom.v1.bin");
