//! The classes of the OpenTelemetry API for Python that cross the border, looked up once.

use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};
use loom_telemetry::{SpanKind, SpanStatus};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// See the module.
pub(crate) struct Api {
    span_context: Py<PyAny>,
    trace_flags: Py<PyAny>,
    trace_state: Py<PyAny>,
    status: Py<PyAny>,
    status_codes: [Py<PyAny>; 3],
    /// In the order of OTLP's numbers, from `INTERNAL`.
    kinds: [Py<PyAny>; 5],
}

/// What a span has above it.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub(crate) context: TraceContext,
    pub(crate) is_remote: bool,
    pub(crate) tracestate: Option<Box<str>>,
}

const KINDS: [SpanKind; 5] = [
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

impl Api {
    /// The API of this interpreter.
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Self> {
        static API: PyOnceLock<Api> = PyOnceLock::new();
        API.get_or_try_init(py, || {
            let trace = py.import("opentelemetry.trace")?;
            let get = |name: &str| Ok::<_, PyErr>(trace.getattr(name)?.unbind());
            let (kind, code) = (trace.getattr("SpanKind")?, trace.getattr("StatusCode")?);
            let kind = |name: &str| Ok::<_, PyErr>(kind.getattr(name)?.unbind());
            let code = |name: &str| Ok::<_, PyErr>(code.getattr(name)?.unbind());
            Ok(Self {
                span_context: get("SpanContext")?,
                trace_flags: get("TraceFlags")?,
                trace_state: get("TraceState")?,
                status: get("Status")?,
                status_codes: [code("UNSET")?, code("OK")?, code("ERROR")?],
                kinds: [
                    kind("INTERNAL")?,
                    kind("SERVER")?,
                    kind("CLIENT")?,
                    kind("PRODUCER")?,
                    kind("CONSUMER")?,
                ],
            })
        })
    }

    /// A `SpanContext`.
    pub(crate) fn span_context(
        &self,
        py: Python<'_>,
        context: &TraceContext,
        is_remote: bool,
        tracestate: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let flags = self.trace_flags.call1(py, (context.flags.0,))?;
        let state = match tracestate {
            Some(header) => self
                .trace_state
                .call_method1(py, "from_header", ([header],))?,
            None => py.None(),
        };
        self.span_context.call1(
            py,
            (
                u128::from_be_bytes(context.trace_id.0),
                u64::from_be_bytes(context.span_id.0),
                is_remote,
                flags,
                state,
            ),
        )
    }

    /// Reads a `SpanContext`; `None` when it is invalid.
    pub(crate) fn read_span_context(context: &Bound<'_, PyAny>) -> PyResult<Option<Parent>> {
        let trace_id: u128 = context.getattr("trace_id")?.extract()?;
        let span_id: u64 = context.getattr("span_id")?.extract()?;
        let flags: u8 = context.getattr("trace_flags")?.extract()?;
        let state: String = context
            .getattr("trace_state")?
            .call_method0("to_header")?
            .extract()?;
        let parent = Parent {
            context: TraceContext {
                trace_id: TraceId(trace_id.to_be_bytes()),
                span_id: SpanId(span_id.to_be_bytes()),
                flags: TraceFlags(flags & (TraceFlags::SAMPLED.0 | TraceFlags::RANDOM.0)),
            },
            is_remote: context.getattr("is_remote")?.extract()?,
            tracestate: (!state.is_empty()).then(|| state.into()),
        };
        Ok(Some(parent).filter(|parent| parent.context.is_valid()))
    }

    /// A member of `SpanKind`.
    pub(crate) fn kind(&self, py: Python<'_>, kind: SpanKind) -> Py<PyAny> {
        self.kinds[kind as usize - 1].clone_ref(py)
    }

    /// Reads a member of `SpanKind`; anything else counts as `INTERNAL`.
    pub(crate) fn read_kind(&self, kind: &Bound<'_, PyAny>) -> SpanKind {
        // Members of an enum are singletons, and comparing pointers spares Python's Enum machinery.
        self.kinds
            .iter()
            .position(|member| kind.is(member))
            .map_or(SpanKind::Internal, |at| KINDS[at])
    }

    /// A `Status`.
    pub(crate) fn status(
        &self,
        py: Python<'_>,
        status: SpanStatus,
        description: &str,
    ) -> PyResult<Py<PyAny>> {
        let code = &self.status_codes[status as usize];
        let description = (!description.is_empty()).then_some(description);
        self.status.call1(py, (code, description))
    }

    /// `StatusCode.ERROR`.
    pub(crate) fn error<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.status_codes[SpanStatus::Error as usize].bind(py)
    }

    /// Reads a member of `StatusCode`; `None` for anything else.
    pub(crate) fn read_status_code(&self, code: &Bound<'_, PyAny>) -> Option<SpanStatus> {
        let at = self
            .status_codes
            .iter()
            .position(|member| code.is(member))?;
        Some([SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error][at])
    }
}
