//! Field numbers of the messages of which a trace request is made, under the names of the `.proto` files.

/// A module for each message: its field numbers, and all of them as `KNOWN`.
macro_rules! messages {
    ($($message:ident { $($field:ident = $number:literal,)* })*) => {
        $(pub(super) mod $message {
            $(pub(in crate::otlp) const $field: u32 = $number;)*
            pub(in crate::otlp) const KNOWN: &[u32] = &[$($field),*];
        })*
    };
}

/// `ExportTraceServiceRequest`, which has this field only.
pub(super) mod request {
    pub(in crate::otlp) const RESOURCE_SPANS: u32 = 1;
}

// opentelemetry/proto/{trace,resource,common}/v1
messages! {
    resource_spans {
        RESOURCE = 1,
        SCOPE_SPANS = 2,
        SCHEMA_URL = 3,
    }
    resource {
        ATTRIBUTES = 1,
        DROPPED_ATTRIBUTES_COUNT = 2,
        ENTITY_REFS = 3,
    }
    entity_ref {
        SCHEMA_URL = 1,
        TYPE = 2,
        ID_KEYS = 3,
        DESCRIPTION_KEYS = 4,
    }
    scope_spans {
        SCOPE = 1,
        SPANS = 2,
        SCHEMA_URL = 3,
    }
    scope {
        NAME = 1,
        VERSION = 2,
        ATTRIBUTES = 3,
        DROPPED_ATTRIBUTES_COUNT = 4,
    }
    span {
        TRACE_ID = 1,
        SPAN_ID = 2,
        TRACE_STATE = 3,
        PARENT_SPAN_ID = 4,
        NAME = 5,
        KIND = 6,
        START_TIME_UNIX_NANO = 7,
        END_TIME_UNIX_NANO = 8,
        ATTRIBUTES = 9,
        DROPPED_ATTRIBUTES_COUNT = 10,
        EVENTS = 11,
        DROPPED_EVENTS_COUNT = 12,
        LINKS = 13,
        DROPPED_LINKS_COUNT = 14,
        STATUS = 15,
        FLAGS = 16,
    }
    event {
        TIME_UNIX_NANO = 1,
        NAME = 2,
        ATTRIBUTES = 3,
        DROPPED_ATTRIBUTES_COUNT = 4,
    }
    link {
        TRACE_ID = 1,
        SPAN_ID = 2,
        TRACE_STATE = 3,
        ATTRIBUTES = 4,
        DROPPED_ATTRIBUTES_COUNT = 5,
        FLAGS = 6,
    }
    status {
        MESSAGE = 2,
        CODE = 3,
    }
    key_value {
        KEY = 1,
        VALUE = 2,
        KEY_STRINDEX = 3,
    }
    any_value {
        STRING_VALUE = 1,
        BOOL_VALUE = 2,
        INT_VALUE = 3,
        DOUBLE_VALUE = 4,
        ARRAY_VALUE = 5,
        KVLIST_VALUE = 6,
        BYTES_VALUE = 7,
        STRING_VALUE_STRINDEX = 8,
    }
    array_value {
        VALUES = 1,
    }
    key_value_list {
        VALUES = 1,
    }
}
