//! Who a span or an event is about. Made once per context, and shared by everything that begins in it.

use std::sync::Arc;

use loom_proto::semconv::attribute as key;
use loom_telemetry::Value;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Entries of the baggage that are attributes of every span, by the same names.
pub(crate) const IDENTITY: [&str; 7] = [
    key::AGENT,
    key::WORKFLOW_ID,
    key::SESSION_ID,
    key::USER_ID,
    key::TENANT_ID,
    key::THREAD_ID,
    key::CORRELATION_ID,
];

/// See the module.
#[pyclass(frozen, module = "loom._native")]
#[derive(Clone)]
pub(crate) struct Stamp {
    inner: Arc<Inner>,
}

struct Inner {
    attributes: Box<[(Value, Value)]>,
    baggage: Box<str>,
    thread_id: Option<Box<str>>,
    correlation_id: Option<Box<str>>,
}

impl Stamp {
    /// The identity, in the order of [`IDENTITY`]; keys that are not known are left out.
    pub(crate) fn attributes(&self) -> &[(Value, Value)] {
        &self.inner.attributes
    }

    /// The header that an event carries on; empty where there is none.
    pub(crate) fn baggage(&self) -> &str {
        &self.inner.baggage
    }

    /// Conversation of the events that are emitted, where it is not that of the handled one.
    pub(crate) fn thread_id(&self) -> Option<&str> {
        self.inner.thread_id.as_deref()
    }

    /// Correlation of the events that are emitted.
    pub(crate) fn correlation_id(&self) -> Option<&str> {
        self.inner.correlation_id.as_deref()
    }
}

#[pymethods]
impl Stamp {
    /// `entries` are those of the baggage, `baggage` is the header that an event carries on.
    #[new]
    #[pyo3(signature = (entries, baggage, thread_id=None, correlation_id=None, /))]
    fn new(
        entries: &Bound<'_, PyDict>,
        baggage: &str,
        thread_id: Option<&str>,
        correlation_id: Option<&str>,
    ) -> PyResult<Self> {
        let mut attributes = Vec::with_capacity(IDENTITY.len());
        for key in IDENTITY {
            let Some(value) = entries.get_item(key)? else {
                continue;
            };
            let text = value.str()?;
            let text = text.to_string_lossy();
            if !text.is_empty() {
                attributes.push((Value::Static(key), Value::Shared(text.as_ref().into())));
            }
        }
        Ok(Self {
            inner: Arc::new(Inner {
                attributes: attributes.into(),
                baggage: baggage.into(),
                thread_id: thread_id.map(Into::into),
                correlation_id: correlation_id.map(Into::into),
            }),
        })
    }
}
