//! The native half of `loom.telemetry.Tracer`: starts spans for user code and instrumentations.

use std::sync::Arc;

use loom_proto::TraceContext;
use loom_telemetry::record::FreeDetail;
use loom_telemetry::{SpanKind, Value, ids};
use pyo3::prelude::*;

use crate::otel::{Api, Parent};
use crate::source::SpanSource;
use crate::span::{OnException, Span, SpanStart, put_links};
use crate::stamp::Stamp;
use crate::value;

/// One instrumentation scope.
#[pyclass(frozen, module = "loom._native")]
pub(crate) struct NativeTracer {
    name: Arc<str>,
    version: Arc<str>,
}

#[pymethods]
impl NativeTracer {
    #[new]
    fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
        }
    }

    /// Starts a span under `parent`, a span of the API or None. It belongs to the source of a native parent, else to
    /// `source`; without either it is not recorded. It is about whom `stamp` says, else about whom a native parent is.
    #[pyo3(signature = (source, name, parent, kind, attributes, links, start_time, record_exception, set_status, stamp, /))]
    #[expect(
        clippy::too_many_arguments,
        reason = "the parameters of OTel's start_span"
    )]
    fn start_span(
        &self,
        py: Python<'_>,
        source: Option<&Bound<'_, SpanSource>>,
        name: String,
        parent: Option<&Bound<'_, PyAny>>,
        kind: &Bound<'_, PyAny>,
        attributes: Option<&Bound<'_, PyAny>>,
        links: Option<&Bound<'_, PyAny>>,
        start_time: Option<u64>,
        record_exception: bool,
        set_status: bool,
        stamp: Option<&Bound<'_, Stamp>>,
    ) -> PyResult<Span> {
        let native = parent.and_then(|parent| parent.cast_exact::<Span>().ok());
        let native = native.map(Bound::get);
        let parent = read_parent(parent)?;
        // The parent of a forked child's span may have been made before the fork.
        let inherited = native.and_then(Span::source);
        let source = [inherited, source.map(Bound::get)]
            .into_iter()
            .flatten()
            .find(|source| source.is_of_this_process())
            .cloned();
        let Some(source) = source else {
            return Ok(passing(parent));
        };
        let context = source.decide(parent.as_ref());
        if !context.is_sampled() {
            let tracestate = parent.and_then(|parent| parent.tracestate);
            return Ok(Span::passing(context, false, tracestate));
        }
        let mut detail = self.detail(Value::Text(name), parent.as_ref());
        let limits = source.limits();
        value::set_all(
            &mut detail.attributes,
            &mut detail.dropped_attributes,
            limits.attributes,
            limits.value_length,
            attributes,
        )?;
        if let Some(links) = links {
            put_links(&source, &mut detail, links)?;
        }
        let start = SpanStart {
            kind: Api::get(py)?.read_kind(kind),
            parent,
            start_unix_nano: start_time.unwrap_or_else(ids::now_unix_nano),
            on_exception: OnException {
                record: record_exception,
                set_status,
            },
            preset: None,
            stamp: match stamp {
                Some(stamp) => Some(stamp.get().clone()),
                None => native.and_then(Span::stamp).cloned(),
            },
            detail,
        };
        Ok(Span::started(source, context, start))
    }
}

impl NativeTracer {
    /// Starts a span below one of this process, about whom `stamp` says, else about whom the parent is. `None` when nothing
    /// is recorded there in this process.
    pub(crate) fn start_child(
        &self,
        parent: &Span,
        name: Value,
        attribute: (Value, Value),
        stamp: Option<Stamp>,
    ) -> Option<Span> {
        let source = parent
            .source()
            .filter(|source| source.is_of_this_process())?;
        let above = parent.as_parent()?;
        let context = source.decide(Some(&above));
        if !context.is_sampled() {
            return Some(Span::passing(context, false, above.tracestate));
        }
        let mut detail = self.detail(name, Some(&above));
        detail.attributes.push(attribute);
        let start = SpanStart {
            kind: SpanKind::Internal,
            parent: Some(above),
            start_unix_nano: ids::now_unix_nano(),
            on_exception: OnException::default(),
            preset: None,
            stamp: stamp.or_else(|| parent.stamp().cloned()),
            detail,
        };
        Some(Span::started(source.clone(), context, start))
    }

    fn detail(&self, name: Value, parent: Option<&Parent>) -> FreeDetail {
        let tracestate = parent.and_then(|parent| parent.tracestate.as_deref());
        FreeDetail {
            name,
            tracestate: tracestate.unwrap_or_default().to_owned(),
            scope_name: Value::Shared(Arc::clone(&self.name)),
            scope_version: Value::Shared(Arc::clone(&self.version)),
            ..FreeDetail::default()
        }
    }
}

/// A span of the API, native or not, as a parent.
pub(crate) fn read_parent(parent: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Parent>> {
    let Some(parent) = parent else {
        return Ok(None);
    };
    if let Ok(span) = parent.cast_exact::<Span>() {
        return Ok(span.get().as_parent());
    }
    let context = parent.call_method0("get_span_context")?;
    Api::read_span_context(&context)
}

/// Nobody records: the parent's context is handed on as it is.
fn passing(parent: Option<Parent>) -> Span {
    match parent {
        Some(parent) => Span::passing(parent.context, parent.is_remote, parent.tracestate),
        None => Span::passing(TraceContext::default(), false, None),
    }
}
