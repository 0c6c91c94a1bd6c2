//! A full OpenTelemetry span that lives in Rust.
//!
//! `loom.telemetry` registers the class as a virtual subclass of `opentelemetry.trace.Span`, so that whoever checks with
//! `isinstance` or asks for the current span is served. What instrumentations read besides (`name`, `attributes`, `events`,
//! `context`, …) is readable, after the end as well. A span that is not recorded is the same class with a context only.

use loom_proto::trace_context::TraceContext;
use loom_telemetry::record::SpanEvent;
use loom_telemetry::{SpanStatus, Value, ids};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::error::warn;
use crate::otel::{Api, Parent};
use crate::source::SpanSource;
use crate::stamp::Stamp;
use crate::value::{self, Read};

mod again;
mod exception;
mod hooks;
mod joining;
mod lists;
mod preset;
mod recording;
mod view;

pub(crate) use exception::one_line;
pub(crate) use hooks::{has_hooks, run_end_hook, run_start_hook, set_hooks};
pub(crate) use joining::link_event;
pub(crate) use lists::put_links;
use lists::{push_bounded, read_link};
pub(crate) use preset::Preset;
use recording::{Body, Recording};
pub(crate) use recording::{OnException, SpanStart};

/// See the module.
#[pyclass(frozen, weakref, module = "loom._native")]
pub(crate) struct Span {
    context: TraceContext,
    is_remote: bool,
    tracestate: Option<Box<str>>,
    recording: Option<Recording>,
    made_context: PyOnceLock<Py<PyAny>>,
}

impl Span {
    /// A span that is recorded when it ends.
    pub(crate) fn started(source: SpanSource, context: TraceContext, start: SpanStart) -> Self {
        let tracestate = start.parent.as_ref().and_then(|p| p.tracestate.clone());
        Self {
            context,
            is_remote: false,
            tracestate,
            recording: Some(Recording::new(source, start)),
            made_context: PyOnceLock::new(),
        }
    }

    /// A context to be passed on; nothing is recorded.
    pub(crate) fn passing(
        context: TraceContext,
        is_remote: bool,
        tracestate: Option<Box<str>>,
    ) -> Self {
        Self {
            context,
            is_remote,
            tracestate,
            recording: None,
            made_context: PyOnceLock::new(),
        }
    }

    pub(crate) fn trace_context(&self) -> &TraceContext {
        &self.context
    }

    pub(crate) fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// This span as the parent of another one; `None` when its context is invalid.
    pub(crate) fn as_parent(&self) -> Option<Parent> {
        self.context.is_valid().then(|| Parent {
            context: self.context,
            is_remote: self.is_remote,
            tracestate: self.tracestate.clone(),
        })
    }

    /// Whose spans the children of this one are.
    pub(crate) fn source(&self) -> Option<&SpanSource> {
        self.recording.as_ref().map(|recording| &recording.source)
    }

    /// Who it is about, for the children that are begun in no context of their own.
    pub(crate) fn stamp(&self) -> Option<&Stamp> {
        self.recording.as_ref()?.stamp.as_ref()
    }

    /// Ends the span; false when it had ended before.
    pub(crate) fn finish(&self, end_unix_nano: Option<u64>) -> bool {
        match &self.recording {
            Some(recording) => recording.finish(self.context, end_unix_nano),
            None => true,
        }
    }

    fn add_event_at(
        &self,
        py: Python<'_>,
        name: String,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<u64>,
    ) -> PyResult<()> {
        let Some(recording) = &self.recording else {
            return Ok(());
        };
        let limits = recording.source.limits();
        let mut event = SpanEvent {
            name: Value::Text(name),
            time_unix_nano: timestamp.unwrap_or_else(ids::now_unix_nano),
            attributes: Vec::new(),
        };
        let mut dropped = 0;
        value::set_all(
            &mut event.attributes,
            &mut dropped,
            limits.inner_attributes,
            limits.value_length,
            attributes,
        )?;
        recording.change(py, "Calling add_event() on an ended span.", |body| {
            let detail = body.detail_mut();
            push_bounded(
                &mut detail.events,
                &mut detail.dropped_events,
                limits.events,
                event,
            );
        });
        Ok(())
    }
}

#[pymethods]
impl Span {
    fn get_span_context(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let made = self.made_context.get_or_try_init(py, || {
            let tracestate = self.tracestate.as_deref();
            Api::get(py)?.span_context(py, &self.context, self.is_remote, tracestate)
        })?;
        Ok(made.clone_ref(py))
    }

    fn is_recording(&self) -> bool {
        self.recording.as_ref().is_some_and(Recording::is_live)
    }

    fn set_attribute(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let Some(recording) = &self.recording else {
            return Ok(());
        };
        let limits = recording.source.limits();
        let key = key.to_cow()?;
        let read = value::read_attribute(&key, value, limits.value_length)?;
        if matches!(read, Read::Nothing) {
            return Ok(());
        }
        recording.change(py, "Setting attribute on ended span.", |body| {
            let detail = body.detail_mut();
            let dropped = &mut detail.dropped_attributes;
            match read {
                Read::Value(value) => {
                    value::set(
                        &mut detail.attributes,
                        dropped,
                        limits.attributes,
                        &key,
                        value,
                    );
                }
                _ => *dropped += 1,
            }
        });
        Ok(())
    }

    fn set_attributes(&self, py: Python<'_>, attributes: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(recording) = &self.recording else {
            return Ok(());
        };
        // Read first: Python code that runs meanwhile may use this span.
        let limits = recording.source.limits();
        let (mut read, mut dropped) = (Vec::new(), 0);
        value::set_all(
            &mut read,
            &mut dropped,
            usize::MAX,
            limits.value_length,
            Some(attributes),
        )?;
        recording.change(py, "Setting attribute on ended span.", |body| {
            let detail = body.detail_mut();
            detail.dropped_attributes += dropped;
            for (key, value) in read {
                let key = key.as_str().unwrap_or_default();
                value::set(
                    &mut detail.attributes,
                    &mut detail.dropped_attributes,
                    limits.attributes,
                    key,
                    value,
                );
            }
        });
        Ok(())
    }

    #[pyo3(signature = (name, attributes=None, timestamp=None))]
    fn add_event(
        &self,
        py: Python<'_>,
        name: String,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<u64>,
    ) -> PyResult<()> {
        self.add_event_at(py, name, attributes, timestamp)
    }

    #[pyo3(signature = (context, attributes=None))]
    fn add_link(
        &self,
        py: Python<'_>,
        context: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let Some(recording) = &self.recording else {
            return Ok(());
        };
        let Some(link) = read_link(&recording.source, context, attributes)? else {
            return Ok(());
        };
        let limit = recording.source.limits().links;
        recording.change(py, "Calling add_link() on an ended span.", |body| {
            let detail = body.detail_mut();
            push_bounded(&mut detail.links, &mut detail.dropped_links, limit, link);
        });
        Ok(())
    }

    #[pyo3(signature = (exception, attributes=None, timestamp=None, escaped=false))]
    fn record_exception(
        &self,
        py: Python<'_>,
        exception: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        timestamp: Option<u64>,
        escaped: bool,
    ) -> PyResult<()> {
        if self.recording.is_none() {
            return Ok(());
        }
        let described = exception::describe(exception, escaped)?;
        if let Some(attributes) = attributes.filter(|attributes| !attributes.is_none()) {
            described.call_method1("update", (attributes,))?;
        }
        self.add_event_at(py, "exception".to_owned(), Some(&described), timestamp)
    }

    #[pyo3(signature = (status, description=None))]
    fn set_status(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        description: Option<String>,
    ) -> PyResult<()> {
        let Some(recording) = &self.recording else {
            return Ok(());
        };
        let api = Api::get(py)?;
        let (code, message) = if let Some(code) = api.read_status_code(status) {
            (code, description)
        } else {
            if description.is_some() {
                warn(
                    py,
                    "The description is ignored: use either a Status or a StatusCode and a description.",
                );
            }
            let code = api
                .read_status_code(&status.getattr("status_code")?)
                .ok_or_else(|| {
                    PyTypeError::new_err("status is neither a Status nor a StatusCode")
                })?;
            (code, status.getattr("description")?.extract()?)
        };
        recording.change(py, "Calling set_status() on an ended span.", |body| {
            match code {
                // OTel: Unset changes nothing.
                SpanStatus::Unset => {}
                SpanStatus::Ok => body.succeed(),
                SpanStatus::Error => body.fail(message.unwrap_or_default()),
            }
        });
        Ok(())
    }

    fn update_name(&self, py: Python<'_>, name: String) {
        if let Some(recording) = &self.recording {
            recording.change(py, "Calling update_name() on an ended span.", |body| {
                body.detail_mut().name = Value::Text(name);
            });
        }
    }

    #[pyo3(signature = (end_time=None))]
    pub(crate) fn end(slf: &Bound<'_, Self>, end_time: Option<u64>) -> PyResult<()> {
        let span = slf.get();
        if !span.finish(end_time) {
            warn(slf.py(), "Calling end() on an ended span.");
            return Ok(());
        }
        if span.recording.is_some() {
            run_end_hook(slf)?;
        }
        Ok(())
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        slf: &Bound<'_, Self>,
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let span = slf.get();
        if !exception.is_none()
            && let Some(recording) = &span.recording
            && span.is_recording()
        {
            if recording.on_exception.record {
                span.record_exception(slf.py(), exception, None, None, true)?;
            }
            if recording.on_exception.set_status {
                let message = exception::one_line(exception)?;
                recording.change(slf.py(), "Calling set_status() on an ended span.", |body| {
                    body.fail(message);
                });
            }
        }
        Self::end(slf, None)
    }

    // ---- what instrumentations and processors read ----

    #[getter]
    fn context(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.get_span_context(py)
    }

    #[getter]
    fn name(&self) -> String {
        self.read(|_, body| body.detail.name.as_str().unwrap_or_default().to_owned())
            .unwrap_or_default()
    }

    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let kind = self.read(|recording, _| recording.kind).unwrap_or_default();
        Ok(Api::get(py)?.kind(py, kind))
    }

    #[getter]
    fn parent(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let parent = self.recording.as_ref().and_then(|r| r.parent.as_ref());
        parent
            .map(|parent| {
                let tracestate = parent.tracestate.as_deref();
                Api::get(py)?.span_context(py, &parent.context, parent.is_remote, tracestate)
            })
            .transpose()
    }

    #[getter]
    fn status(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (status, message) = self
            .read(|_, body| (body.status, body.detail.status_message.clone()))
            .unwrap_or_default();
        Api::get(py)?.status(py, status, &message)
    }

    #[getter]
    fn attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let attributes = self.read(Recording::attributes).unwrap_or_default();
        Ok(view::read_only(&value::write_all(py, &attributes)?))
    }

    #[getter]
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let events = self
            .read(|_, body| body.detail.events.clone())
            .unwrap_or_default();
        view::events(py, &events)
    }

    #[getter]
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let links = self
            .read(|_, body| body.detail.links.clone())
            .unwrap_or_default();
        view::links(py, &links)
    }

    #[getter]
    fn start_time(&self) -> Option<u64> {
        self.read(|recording, _| recording.start_unix_nano)
    }

    #[getter]
    fn end_time(&self) -> Option<u64> {
        self.read(|_, body| body.end_unix_nano).filter(|t| *t != 0)
    }

    /// The resource's attributes; empty for a span that is not recorded.
    #[getter]
    fn resource_attributes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        match &self.recording {
            Some(recording) => recording.source.resource(py),
            None => Ok(PyDict::new(py)),
        }
    }

    /// Name and version of the instrumentation scope.
    #[getter]
    fn scope(&self) -> (String, String) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.read(|_, body| {
            (
                text(&body.detail.scope_name),
                text(&body.detail.scope_version),
            )
        })
        .unwrap_or_default()
    }

    #[getter]
    fn dropped_attributes(&self) -> u32 {
        self.read(|_, body| body.detail.dropped_attributes)
            .unwrap_or_default()
    }

    #[getter]
    fn dropped_events(&self) -> u32 {
        self.read(|_, body| body.detail.dropped_events)
            .unwrap_or_default()
    }

    #[getter]
    fn dropped_links(&self) -> u32 {
        self.read(|_, body| body.detail.dropped_links)
            .unwrap_or_default()
    }

    fn __repr__(&self) -> String {
        format!(
            "Span(name={:?}, context={}, recording={})",
            self.name(),
            self.context,
            if self.is_recording() { "True" } else { "False" }
        )
    }
}

impl Span {
    fn read<T>(&self, read: impl FnOnce(&Recording, &Body) -> T) -> Option<T> {
        let recording = self.recording.as_ref()?;
        Some(recording.read(|body| read(recording, body)))
    }
}
