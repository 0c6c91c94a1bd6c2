//! Notices as tuples: a name first, then its parts. `loom/_client.py` knows them.

use bytes::Bytes;
use loom_proto::v1::action_reply::Outcome;
use loom_proto::{EventId, v1};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Client, Event};
use crate::error::raise_remote;
use crate::inbox::Notice;

pub(super) fn tuple<'py>(
    py: Python<'py>,
    client: &Client,
    notice: Notice,
) -> PyResult<Bound<'py, PyAny>> {
    match notice {
        Notice::Connected(welcome) => {
            ("connected", welcome.server_version, welcome.publish_window).into_bound_py_any(py)
        }
        Notice::Disconnected(reason) => ("disconnected", reason).into_bound_py_any(py),
        Notice::Refused(error) => ("refused", exception(py, &error)).into_bound_py_any(py),
        Notice::Writable => ("writable",).into_bound_py_any(py),
        Notice::Confirmed(number) => ("confirmed", number).into_bound_py_any(py),
        Notice::Rejected(number, id, error) => {
            let id = EventId::from_slice(&id).map(|id| id.to_string());
            ("rejected", number, id.ok(), exception(py, &error)).into_bound_py_any(py)
        }
        Notice::Reply(delivery) => {
            let topic = client.topic(py, delivery.layout.topic.text(&delivery.event));
            let event = Bound::new(py, Event::new(delivery, topic))?;
            ("reply", event).into_bound_py_any(py)
        }
        Notice::Call(call) => (
            "call",
            call.call_id,
            call.capability,
            PyBytes::new(py, &call.args),
            call.content_type,
            call.headers,
            call.caller,
        )
            .into_bound_py_any(py),
        Notice::CallReply(reply) => call_reply(py, reply),
        Notice::CallCancelled(cancel) => {
            ("call_cancelled", cancel.call_id, cancel.timed_out).into_bound_py_any(py)
        }
        Notice::Closed => ("closed",).into_bound_py_any(py),
    }
}

/// `("call_reply", id, error or None, result, content type)`.
fn call_reply(py: Python<'_>, reply: v1::ActionReply) -> PyResult<Bound<'_, PyAny>> {
    let (error, result) = match reply.outcome {
        Some(Outcome::Result(result)) => (None, result),
        Some(Outcome::Error(error)) => (Some(exception(py, &error)), Bytes::default()),
        None => {
            let error = v1::Error::new(loom_proto::Code::Internal, "the reply has no outcome");
            (Some(exception(py, &error)), Bytes::default())
        }
    };
    (
        "call_reply",
        reply.call_id,
        error,
        PyBytes::new(py, &result),
        reply.content_type,
    )
        .into_bound_py_any(py)
}

fn exception<'py>(py: Python<'py>, error: &v1::Error) -> Bound<'py, PyAny> {
    raise_remote(py, error)
        .into_value(py)
        .into_bound(py)
        .into_any()
}
