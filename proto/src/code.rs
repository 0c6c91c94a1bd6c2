//! The closed list of error codes: each with its gRPC status, its HTTP status and its Python exception.
//!
//! The numbers live in `bridge.proto`. Every fault, on whatever wire, is one of these.

pub use crate::v1::Code;

/// What a code looks like on each wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faces {
    /// The code.
    pub code: Code,
    /// Its stable name in JSON, logs and metrics.
    pub name: &'static str,
    /// Number of the gRPC status.
    pub grpc: i32,
    /// HTTP status.
    pub http: u16,
    /// Class of the Python package's `loom.exceptions`.
    pub python: &'static str,
}

macro_rules! codes {
    ($($code:ident $name:literal $grpc:literal $http:literal $python:literal;)*) => {
        /// Every code with its faces, in the order of the numbers.
        pub const CODES: &[Faces] = &[
            $(Faces { code: Code::$code, name: $name, grpc: $grpc, http: $http, python: $python },)*
        ];
    };
}

codes! {
    Unspecified           "unspecified"            2 500 "LoomError";
    Internal              "internal"              13 500 "LoomError";
    Unavailable           "unavailable"           14 503 "ConnectionLost";
    Unauthenticated       "unauthenticated"       16 401 "PermissionDenied";
    PermissionDenied      "permission_denied"      7 403 "PermissionDenied";
    MalformedFrame        "malformed_frame"        3 400 "ProtocolError";
    HelloExpected         "hello_expected"         9 400 "ProtocolError";
    DuplicateHello        "duplicate_hello"        9 400 "ProtocolError";
    InvalidAgentId        "invalid_agent_id"       3 400 "InvalidAgent";
    AgentIdInUse          "agent_id_in_use"        6 409 "AgentIdInUse";
    InvalidSubscription   "invalid_subscription"   3 400 "InvalidAgent";
    TooManySubscriptions  "too_many_subscriptions" 8 429 "InvalidAgent";
    InvalidCapability     "invalid_capability"     3 400 "InvalidAgent";
    InvalidTopic          "invalid_topic"          3 400 "InvalidEvent";
    InvalidEvent          "invalid_event"          3 400 "InvalidEvent";
    EventTooLarge         "event_too_large"        3 413 "EventTooLarge";
    EventExpired          "event_expired"          9 409 "EventExpired";
    RateLimited           "rate_limited"           8 429 "Overloaded";
    Backpressure          "backpressure"           8 503 "Overloaded";
    WindowExceeded        "window_exceeded"        8 429 "ProtocolError";
    UnknownCapability     "unknown_capability"     5 404 "UnknownCapability";
    ProviderGone          "provider_gone"         14 503 "ProviderGone";
    DeadlineExceeded      "deadline_exceeded"      4 504 "DeadlineExceeded";
    Cancelled             "cancelled"              1 499 "Cancelled";
    HandlerFailed         "handler_failed"         2 500 "HandlerFailed";
    NotStored             "not_stored"            14 503 "NotStored";
    NotFound              "not_found"              5 404 "LoomError";
    GroupInUse            "group_in_use"           9 409 "LoomError";
}

impl Code {
    /// What this code looks like on each wire.
    pub fn faces(self) -> &'static Faces {
        usize::try_from(self as i32)
            .ok()
            .and_then(|at| CODES.get(at))
            .unwrap_or(&CODES[0])
    }

    /// Its stable name in JSON, logs and metrics.
    pub fn name(self) -> &'static str {
        self.faces().name
    }
}

impl crate::v1::Error {
    /// An error without a field at fault.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            field: String::new(),
        }
    }

    /// The same error, with the field at fault ("event.topic").
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_numbers_and_is_whole() {
        for (at, faces) in CODES.iter().enumerate() {
            assert_eq!(
                faces.code as usize, at,
                "{} stands at the wrong place",
                faces.name
            );
            assert_eq!(
                faces.code.as_str_name(),
                format!("CODE_{}", faces.name.to_uppercase())
            );
        }
        let next = i32::try_from(CODES.len()).expect("a short table");
        assert!(
            Code::try_from(next).is_err(),
            "a code of bridge.proto has no row"
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = CODES.iter().map(|faces| faces.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }
}
