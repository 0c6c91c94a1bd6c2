//! A gRPC status of the bridge as an error of the contract.

use loom_proto::code::CODES;
use loom_proto::{Code, v1};
use tonic::Status;

/// Metadata with the name of Loom's code, and with the field at fault.
const CODE: &str = "loom-code";
const FIELD: &str = "loom-field";

/// The bridge puts code and field into the status' metadata; whoever else answered is read by the status' number.
pub(super) fn error(status: &Status) -> v1::Error {
    let metadata = |key: &str| status.metadata().get(key)?.to_str().ok();
    if let Some(name) = metadata(CODE)
        && let Some(faces) = CODES.iter().find(|faces| faces.name == name)
    {
        return v1::Error::new(faces.code, status.message())
            .at(metadata(FIELD).unwrap_or_default());
    }
    let code = match status.code() {
        tonic::Code::Unauthenticated => Code::Unauthenticated,
        tonic::Code::PermissionDenied => Code::PermissionDenied,
        _ => Code::Unavailable,
    };
    let message = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    v1::Error::new(code, message)
}

/// True when another attempt would end the same way.
pub(super) fn is_permanent(error: &v1::Error) -> bool {
    matches!(
        error.code(),
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::MalformedFrame
            | Code::HelloExpected
            | Code::DuplicateHello
            | Code::InvalidAgentId
            | Code::AgentIdInUse
            | Code::InvalidSubscription
            | Code::TooManySubscriptions
            | Code::InvalidCapability
    )
}
