//! Why bytes are no OTLP request, and where they stop being one.
//!
//! Strict in exactly the points in which prost is.

use loom_proto::wire::{self, Fields};

/// Nested messages that prost follows before it gives up.
pub(super) const MAX_DEPTH: u32 = 100;

/// Why bytes are no OTLP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {offset}: {fault}")]
pub struct WireError {
    /// Byte of the request at which reading stopped.
    pub offset: usize,
    /// What was wrong there.
    pub fault: Fault,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No protobuf at all.
    #[error(transparent)]
    Field(#[from] wire::WireError),
    /// A known field with the wire type of another one.
    #[error("the field has the wrong wire type")]
    WireType,
    /// Text that is not UTF-8.
    #[error("a string is not valid utf-8")]
    Utf8,
    /// Nested deeper than the limit.
    #[error("messages are nested too deep")]
    Depth,
}

impl WireError {
    /// The fault at which the walk over `fields` stopped; their message ends at byte `end` of the request.
    pub(super) fn at(fields: &Fields<'_>, end: usize, fault: impl Into<Fault>) -> Self {
        Self {
            offset: end - fields.rest().len(),
            fault: fault.into(),
        }
    }
}
