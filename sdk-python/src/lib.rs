//! Native module `loom._native` of the Python package `loom`.
//!
//! | file | room | faces |
//! | --- | --- | --- |
//! | `client` | publishing, handing out events, calls | `loom/_client.py` |
//! | `event` | a delivered event | `loom/_native.pyi` |
//! | `span`, `source`, `tracer` | OpenTelemetry spans that live in Rust | `loom/telemetry.py` |
//! | `telemetry`, `logs` | the process' span pipeline, and its log lines | `loom/telemetry.py` |
//! | `content` | which attributes hold contents, and the rule for them | `loom/contents.py` |
//! | `stamp` | who a span or an event is about | `loom/_baggage.py` |
//! | `names` | the contract's names and codes | `loom/semconv.py`, `loom/exceptions.py` |
//! | `session`, `link`, `outbox`, `inbox`, `wake` | the connection; no Python in them | – |
//! | `runtime` | the I/O thread, exit and fork | – |
//!
//! The I/O thread never touches the interpreter; Python never waits for it while it holds the GIL.

use pyo3::prelude::*;

mod client;
mod content;
mod current;
mod error;
mod event;
mod inbox;
mod link;
mod logs;
mod names;
mod otel;
mod outbox;
mod phase;
mod runtime;
mod session;
mod source;
mod span;
mod stamp;
mod telemetry;
mod tracer;
mod value;
mod wake;

#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::content::{content_keys, set_content_rule};
    #[pymodule_export]
    use crate::event::Event;
    #[pymodule_export]
    use crate::names::{
        error_codes, is_valid_agent_id, is_valid_capability, parse_traceparent, semconv_names,
        validate_pattern, validate_topic,
    };
    #[pymodule_export]
    use crate::phase::{Phase, Timing};
    #[pymodule_export]
    use crate::source::SpanSource;
    #[pymodule_export]
    use crate::span::{Span, link_event};
    #[pymodule_export]
    use crate::stamp::Stamp;
    #[pymodule_export]
    use crate::telemetry::{
        after_fork_in_child, flush_spans, leave_process, set_span_hooks, shutdown_spans,
        span_source, span_stats, take_logs,
    };
    #[pymodule_export]
    use crate::tracer::NativeTracer;

    use super::{Bound, PyModule, PyModuleMethods, PyResult, logs};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        logs::install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
