//! Parts of a span as objects that instrumentations and exporters can read.

use loom_telemetry::record::{SpanEvent, SpanLink};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMappingProxy, PyTuple};

use crate::otel::Api;
use crate::value;

/// A dictionary that cannot be written to.
pub(super) fn read_only<'py>(dict: &Bound<'py, PyDict>) -> Bound<'py, PyAny> {
    PyMappingProxy::new(dict.py(), dict.as_mapping()).into_any()
}

/// Events as `loom.telemetry.SpanEvent`, which has the fields of the SDK's.
pub(super) fn events<'py>(py: Python<'py>, events: &[SpanEvent]) -> PyResult<Bound<'py, PyTuple>> {
    let class = py.import("loom._otel")?.getattr("SpanEvent")?;
    let items = events
        .iter()
        .map(|event| {
            class.call1((
                value::write(py, &event.name)?,
                read_only(&value::write_all(py, &event.attributes)?),
                event.time_unix_nano,
            ))
        })
        .collect::<PyResult<_>>()?;
    tuple(py, items)
}

/// Links as the API's `Link`.
pub(super) fn links<'py>(py: Python<'py>, links: &[SpanLink]) -> PyResult<Bound<'py, PyTuple>> {
    let class = py.import("opentelemetry.trace")?.getattr("Link")?;
    let items = links
        .iter()
        .map(|link| {
            let tracestate = (!link.tracestate.is_empty()).then_some(link.tracestate.as_str());
            let context = Api::get(py)?.span_context(py, &link.context, true, tracestate)?;
            class.call1((context, value::write_all(py, &link.attributes)?))
        })
        .collect::<PyResult<_>>()?;
    tuple(py, items)
}

fn tuple<'py>(py: Python<'py>, items: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, PyList::new(py, items)?)
}
