//! The only place where an error becomes a gRPC status.
//!
//! A status carries the code's name and the field at fault as metadata, so that a client need not read the text.

use loom_core::directory::AgentIdInUse;
use loom_core::{EventError, InvokeError, PublishError, SubscribeError};
use loom_proto::{Code, v1};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code as GrpcCode, Status};

/// Metadata key with the name of Loom's code.
pub(crate) const CODE: &str = "loom-code";
/// Metadata key with the field at fault.
pub(crate) const FIELD: &str = "loom-field";

/// A status of one of Loom's codes.
pub(crate) fn status(error: &v1::Error) -> Status {
    let code = error.code();
    let mut status = Status::new(GrpcCode::from_i32(code.faces().grpc), error.message.clone());
    status
        .metadata_mut()
        .insert(CODE, AsciiMetadataValue::from_static(code.name()));
    if let Ok(field) = AsciiMetadataValue::try_from(&error.field)
        && !error.field.is_empty()
    {
        status.metadata_mut().insert(FIELD, field);
    }
    status
}

pub(crate) fn event_error(error: &EventError) -> v1::Error {
    v1::Error::new(error.code(), error.to_string()).at(error.field())
}

pub(crate) fn publish_error(error: &PublishError) -> v1::Error {
    let field = match error {
        PublishError::Topic { .. } => "event.topic",
        PublishError::Expired { .. } => "event.envelope.hop",
        PublishError::NotStored { .. } => "",
    };
    v1::Error::new(error.code(), error.to_string()).at(field)
}

pub(crate) fn subscribe_error(error: &SubscribeError) -> v1::Error {
    v1::Error::new(error.code(), error.to_string()).at("hello.subscriptions")
}

pub(crate) fn invoke_error(error: &InvokeError) -> v1::Error {
    v1::Error::new(error.code(), error.to_string())
}

pub(crate) fn agent_id_in_use(error: &AgentIdInUse) -> v1::Error {
    v1::Error::new(Code::AgentIdInUse, error.to_string()).at("hello.agent_id")
}
