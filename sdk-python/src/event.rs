//! A delivered event, whose parts become Python objects when they are read.

use std::sync::Arc;

use loom_proto::EventId;
use loom_proto::semconv::header;
use loom_proto::wire::{Fields, Value};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyMappingProxy, PyString};

use crate::error::raise;
use crate::inbox::Delivery;

/// Field number of `Event.metadata`.
const METADATA: u32 = 7;

/// A topic that several events share, as Rust and as Python have it.
pub(crate) struct Topic {
    pub(crate) text: Arc<str>,
    pub(crate) py: Py<PyString>,
}

/// See the module.
#[pyclass(frozen, weakref, module = "loom._native")]
pub(crate) struct Event {
    pub(crate) delivery: Delivery,
    pub(crate) topic_text: Arc<str>,
    topic: Py<PyString>,
    metadata: PyOnceLock<Py<PyMappingProxy>>,
    envelope: PyOnceLock<Py<PyAny>>,
}

impl Topic {
    pub(crate) fn new(py: Python<'_>, text: &str) -> Self {
        Self {
            text: text.into(),
            py: PyString::new(py, text).unbind(),
        }
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self {
            text: Arc::clone(&self.text),
            py: self.py.clone_ref(py),
        }
    }
}

impl Event {
    pub(crate) fn new(delivery: Delivery, topic: Topic) -> Self {
        Self {
            delivery,
            topic_text: topic.text,
            topic: topic.py,
            metadata: PyOnceLock::new(),
            envelope: PyOnceLock::new(),
        }
    }

    fn text(&self, part: impl FnOnce(&crate::inbox::EventLayout) -> crate::inbox::Part) -> &str {
        part(&self.delivery.layout).text(&self.delivery.event)
    }

    pub(crate) fn r#type(&self) -> &str {
        self.text(|at| at.r#type)
    }

    pub(crate) fn thread_id(&self) -> &str {
        self.text(|at| at.thread_id)
    }

    pub(crate) fn correlation_id(&self) -> &str {
        self.text(|at| at.correlation_id)
    }

    pub(crate) fn tracestate(&self) -> &str {
        self.text(|at| at.tracestate)
    }

    pub(crate) fn payload(&self) -> &[u8] {
        let Delivery { layout, event, .. } = &self.delivery;
        layout.payload.bytes(event)
    }

    /// Traceparent of the delivery, or nothing where it had no valid one.
    fn traceparent(&self) -> Option<String> {
        let context = &self.delivery.layout.context;
        context.is_valid().then(|| context.to_string())
    }
}

#[pymethods]
impl Event {
    /// Its UUID as text.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        let text = EventId(self.delivery.layout.id).to_text();
        PyString::new(py, std::str::from_utf8(&text).unwrap_or_default())
    }

    #[getter]
    fn topic(&self, py: Python<'_>) -> Py<PyString> {
        self.topic.clone_ref(py)
    }

    /// What happened, in the producer's words.
    #[getter]
    #[pyo3(name = "type")]
    fn py_type(&self) -> &str {
        self.r#type()
    }

    /// The payload, copied at each access.
    #[getter]
    #[pyo3(name = "payload")]
    fn py_payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.payload())
    }

    /// Media type of the payload.
    #[getter]
    fn content_type(&self) -> &str {
        match self.text(|at| at.content_type) {
            "" => "application/octet-stream",
            content_type => content_type,
        }
    }

    /// When the producer made it, in nanoseconds since the Unix epoch.
    #[getter]
    fn time_unix_nano(&self) -> u64 {
        self.delivery.layout.time_unix_nano
    }

    /// When the producer made it, in UTC, to the microsecond.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        let epoch = datetime
            .getattr("datetime")?
            .call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
        let micros = self.delivery.layout.time_unix_nano / 1000;
        let since = datetime.getattr("timedelta")?.call1((0, 0, micros))?;
        epoch.add(since)
    }

    /// The payload read as JSON.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let loads = LOADS.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("json")?.getattr("loads")?.unbind())
        })?;
        loads.bind(py).call1((self.py_payload(py),))
    }

    /// The user's headers and, as read-only view of the envelope, `trace_id`, `span_id`, `trace_flags`, `traceparent`.
    #[getter]
    fn metadata(&self, py: Python<'_>) -> PyResult<Py<PyMappingProxy>> {
        let made = self.metadata.get_or_try_init(py, || {
            let dict = PyDict::new(py);
            for field in Fields::of(&self.delivery.event).flatten() {
                if let (METADATA, Value::Bytes(entry)) = (field.number, field.value) {
                    let (key, value) = entry_of(entry);
                    dict.set_item(key, value)?;
                }
            }
            let context = &self.delivery.layout.context;
            if context.is_valid() {
                dict.set_item(header::TRACE_ID, context.trace_id.to_string())?;
                dict.set_item(header::SPAN_ID, context.span_id.to_string())?;
                dict.set_item(header::TRACE_FLAGS, format!("{:02x}", context.flags.0))?;
                dict.set_item(header::TRACEPARENT, context.to_string())?;
            }
            Ok::<_, PyErr>(PyMappingProxy::new(py, dict.as_mapping()).unbind())
        })?;
        Ok(made.clone_ref(py))
    }

    /// Identity, conversation and trace context, as a `loom.Envelope`.
    #[getter]
    fn envelope(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let made = self.envelope.get_or_try_init(py, || {
            let class = py.import("loom.envelope")?.getattr("Envelope")?;
            let layout = &self.delivery.layout;
            let fields = PyDict::new(py);
            fields.set_item("thread_id", self.thread_id())?;
            fields.set_item("correlation_id", self.correlation_id())?;
            fields.set_item("sender", self.sender())?;
            fields.set_item("reply_to", self.reply_to())?;
            fields.set_item("ttl", layout.ttl)?;
            fields.set_item("hop", layout.hop)?;
            fields.set_item("traceparent", self.traceparent().unwrap_or_default())?;
            fields.set_item("tracestate", self.tracestate())?;
            fields.set_item("baggage", self.baggage())?;
            Ok::<_, PyErr>(class.call((), Some(&fields))?.unbind())
        })?;
        Ok(made.clone_ref(py))
    }

    /// The conversation that the event belongs to; empty where there is none.
    #[getter]
    #[pyo3(name = "thread_id")]
    fn py_thread_id(&self) -> &str {
        self.thread_id()
    }

    /// Joins a reply to its request; empty where there is none.
    #[getter]
    #[pyo3(name = "correlation_id")]
    fn py_correlation_id(&self) -> &str {
        self.correlation_id()
    }

    /// Agent id of the producer.
    #[getter]
    fn sender(&self) -> &str {
        self.text(|at| at.sender)
    }

    /// Topic on which an answer is awaited; empty where there is none.
    #[getter]
    fn reply_to(&self) -> &str {
        self.text(|at| at.reply_to)
    }

    /// Baggage, thread id and correlation id, which make the context of its handler; None where it has none of them.
    #[getter]
    fn carried(&self) -> Option<(&str, &str, &str)> {
        let carried = (self.baggage(), self.thread_id(), self.correlation_id());
        (carried != ("", "", "")).then_some(carried)
    }

    /// W3C Baggage, as it came; empty where there is none.
    #[getter]
    fn baggage(&self) -> &str {
        self.text(|at| at.baggage)
    }

    /// Number of the delivery attempt, from 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.delivery.attempt.max(1)
    }

    /// Its place in the stream that keeps it; None where the subscription is not acknowledged.
    #[getter]
    fn offset(&self) -> Option<u64> {
        self.delivery.due.map(|due| due.offset)
    }

    /// Id of the subscription that it was delivered to.
    #[getter]
    fn subscription(&self) -> u32 {
        self.delivery.subscription
    }

    /// The payload as text.
    ///
    /// # Errors
    /// `InvalidEvent` when it is not UTF-8.
    #[pyo3(name = "text")]
    fn py_text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        match std::str::from_utf8(self.payload()) {
            Ok(text) => Ok(PyString::new(py, text)),
            Err(error) => {
                let message =
                    format!("the payload is not UTF-8 text ({error}); read event.payload instead");
                Err(raise(
                    py,
                    loom_proto::Code::InvalidEvent,
                    &message,
                    "event.payload",
                ))
            }
        }
    }

    fn __repr__(&self) -> String {
        format!(
            "Event(id='{}', topic='{}', type='{}', {} bytes)",
            EventId(self.delivery.layout.id),
            self.topic_text,
            self.r#type(),
            self.payload().len()
        )
    }
}

/// Both sides of an entry of `map<string, string>`; what is not text is left empty.
fn entry_of(entry: &[u8]) -> (&str, &str) {
    let (mut key, mut value) = ("", "");
    for field in Fields::of(entry).flatten() {
        if let Value::Bytes(bytes) = field.value {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            match field.number {
                1 => key = text,
                2 => value = text,
                _ => {}
            }
        }
    }
    (key, value)
}
