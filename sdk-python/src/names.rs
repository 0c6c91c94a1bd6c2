//! The contract's names and codes, for Python: one list, two languages.

use loom_proto::code::CODES;
use loom_proto::semconv::{Name, attribute, event, header, metric, span};
use pyo3::prelude::*;

/// Every name as `(module, constant, value)`.
#[pyfunction]
pub(crate) fn semconv_names() -> Vec<(&'static str, &'static str, &'static str)> {
    let all: [(&'static str, &'static [Name]); 5] = [
        ("span", span::ALL),
        ("event", event::ALL),
        ("attribute", attribute::ALL),
        ("header", header::ALL),
        ("metric", metric::ALL),
    ];
    all.into_iter()
        .flat_map(|(module, names)| {
            names
                .iter()
                .map(move |name| (module, name.constant, name.value))
        })
        .collect()
}

/// Every error code as `(name, class of loom.exceptions)`.
#[pyfunction]
pub(crate) fn error_codes() -> Vec<(&'static str, &'static str)> {
    CODES
        .iter()
        .map(|faces| (faces.name, faces.python))
        .collect()
}

/// Checks a topic to publish on; raises `InvalidEvent` naming the segment at fault.
#[pyfunction]
pub(crate) fn validate_topic(py: Python<'_>, topic: &str) -> PyResult<()> {
    loom_proto::topic::validate_topic(topic).map_err(|error| {
        let message = format!("topic {topic:?} is not valid: {error}");
        crate::error::raise(py, loom_proto::Code::InvalidTopic, &message, "event.topic")
    })
}

/// Checks a pattern to subscribe to; raises `InvalidAgent` naming the segment at fault.
#[pyfunction]
pub(crate) fn validate_pattern(py: Python<'_>, pattern: &str) -> PyResult<()> {
    loom_proto::topic::validate_pattern(pattern).map_err(|error| {
        let message = format!("subscription pattern {pattern:?} is not valid: {error}");
        let code = loom_proto::Code::InvalidSubscription;
        crate::error::raise(py, code, &message, "hello.subscriptions")
    })
}

/// Whether an agent id is within the contract's rule.
#[pyfunction]
pub(crate) fn is_valid_agent_id(agent_id: &str) -> bool {
    loom_proto::topic::is_valid_agent_id(agent_id)
}

/// Whether a capability's name is within the contract's rule.
#[pyfunction]
pub(crate) fn is_valid_capability(name: &str) -> bool {
    loom_proto::topic::is_valid_capability(name)
}

/// Reads a traceparent by W3C's rules: trace id, span id, flags as hex, or None when it is invalid.
#[pyfunction]
pub(crate) fn parse_traceparent(traceparent: &str) -> Option<(String, String, String)> {
    let context: loom_proto::TraceContext = traceparent.parse().ok()?;
    Some((
        context.trace_id.to_string(),
        context.span_id.to_string(),
        format!("{:02x}", context.flags.0),
    ))
}
