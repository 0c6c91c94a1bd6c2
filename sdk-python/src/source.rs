//! Who records: one source per agent, with the agent's resource.

use std::sync::Arc;

use loom_proto::semconv::attribute as key;
use loom_proto::trace_context::TraceContext;
use loom_telemetry::{Recorder, Sampler, SpanRecord, Value, ids};
use pyo3::prelude::*;

use crate::otel::Parent;
use crate::runtime;
use crate::value::Limits;

/// Cheap to clone; spans keep the one they were started by.
#[pyclass(frozen, module = "loom._native")]
#[derive(Clone, Debug)]
pub(crate) struct SpanSource {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    recorder: Recorder,
    sampler: Sampler,
    limits: Limits,
    service_name: Box<str>,
    /// Attribute of all its spans.
    agent: Option<(Value, Value)>,
    generation: u32,
}

impl SpanSource {
    pub(crate) fn new(
        recorder: Recorder,
        sampler: Sampler,
        limits: Limits,
        service_name: &str,
        agent_id: Option<&str>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                recorder,
                sampler,
                limits,
                service_name: service_name.into(),
                agent: agent_id.map(|id| (key::AGENT.into(), Value::Shared(id.into()))),
                generation: runtime::generation(),
            }),
        }
    }

    /// Its agent, as an attribute; `None` where the spans belong to no agent.
    pub(crate) fn agent(&self) -> Option<&(Value, Value)> {
        self.inner.agent.as_ref()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The context of a span under `parent`, sampled or not.
    pub(crate) fn decide(&self, parent: Option<&Parent>) -> TraceContext {
        let Some(parent) = parent else {
            let mut context = ids::new_root(true);
            let sampled = self.inner.sampler.samples_root(context.trace_id);
            context.flags = context.flags.with_sampled(sampled);
            return context;
        };
        let sampled = self.inner.sampler.samples_child(&parent.context);
        TraceContext {
            flags: parent.context.flags.with_sampled(sampled),
            ..parent.context.child(ids::new_span_id())
        }
    }

    /// The context of the span that handles what `parent` hands over. Its id follows from the parent's, so that the runtime
    /// can close it when this process dies.
    pub(crate) fn decide_handler(&self, parent: Option<&Parent>) -> TraceContext {
        let mut context = self.decide(parent);
        if let Some(parent) = parent {
            context.span_id = ids::handler_span_id(parent.context.span_id);
        }
        context
    }

    /// False in a forked child: the recorder belongs to the parent's pipeline.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.inner.generation == runtime::generation()
    }

    /// Where spans wait; `None` in a forked child.
    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.is_of_this_process().then_some(&self.inner.recorder)
    }

    pub(crate) fn record(&self, span: SpanRecord) {
        if let Some(recorder) = self.recorder() {
            recorder.record(span);
        }
    }
}

#[pymethods]
impl SpanSource {
    /// Value of the resource's `service.name`.
    #[getter]
    fn service_name(&self) -> &str {
        &self.inner.service_name
    }

    /// What all spans of this source have in common.
    #[getter]
    pub(crate) fn resource<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
        crate::value::write_all(py, self.inner.recorder.resource())
    }

    /// The same source for spans that belong to no agent.
    fn of_nobody(&self) -> Self {
        let inner = &self.inner;
        Self {
            inner: Arc::new(Inner {
                recorder: inner.recorder.clone(),
                sampler: inner.sampler,
                limits: inner.limits,
                service_name: inner.service_name.clone(),
                agent: None,
                generation: inner.generation,
            }),
        }
    }

    /// Spans taken, and spans refused because the buffer was full.
    #[getter]
    fn stats(&self) -> (u64, u64) {
        let Some(recorder) = self.recorder() else {
            return (0, 0);
        };
        let stats = recorder.stats();
        (stats.recorded, stats.buffer_full)
    }

    /// False after a fork, in the child.
    #[getter]
    fn is_usable(&self) -> bool {
        self.is_of_this_process()
    }
}
