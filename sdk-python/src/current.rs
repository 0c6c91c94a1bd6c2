//! OpenTelemetry's current context, as `loom._otel` finds it: read and set without a Python function in between.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use crate::stamp::Stamp;

/// What `loom._otel` and `loom._baggage` have found out, looked up once.
pub(crate) struct Current {
    get: Py<PyAny>,
    set: Py<PyAny>,
    context: Py<PyType>,
    span_key: Py<PyString>,
    baggage_key: Py<PyString>,
    baggage: Py<PyType>,
}

/// Whom a context is about.
pub(crate) enum Identity {
    /// It has no baggage.
    Unsaid,
    /// What was made of baggage of this package.
    Known(Stamp),
    /// Baggage that somebody else has put there, and nobody has read yet.
    Foreign,
}

impl Current {
    /// That of this interpreter.
    pub(crate) fn of(py: Python<'_>) -> PyResult<&'static Self> {
        static CURRENT: PyOnceLock<Current> = PyOnceLock::new();
        CURRENT.get_or_try_init(py, || {
            let otel = py.import("loom._otel")?;
            let baggage = py.import("loom._baggage")?.getattr("Baggage")?;
            Ok(Self {
                get: otel.getattr("get_current")?.unbind(),
                set: otel.getattr("set_current")?.unbind(),
                context: otel.getattr("Context")?.cast_into::<PyType>()?.unbind(),
                span_key: otel.getattr("SPAN_KEY")?.cast_into::<PyString>()?.unbind(),
                baggage_key: otel
                    .getattr("BAGGAGE_KEY")?
                    .cast_into::<PyString>()?
                    .unbind(),
                baggage: baggage.cast_into::<PyType>()?.unbind(),
            })
        })
    }

    /// The current context. The API has it as a `dict` that nobody changes.
    pub(crate) fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        Ok(self.get.bind(py).call0()?.cast_into::<PyDict>()?)
    }

    /// Makes it the current one.
    pub(crate) fn set(&self, context: &Bound<'_, PyDict>) -> PyResult<()> {
        self.set.bind(context.py()).call1((context,))?;
        Ok(())
    }

    /// The span of a context.
    pub(crate) fn span<'py>(
        &self,
        context: &Bound<'py, PyDict>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        context.get_item(self.span_key.bind(context.py()))
    }

    /// A context with another span.
    pub(crate) fn with_span<'py>(
        &self,
        context: &Bound<'py, PyDict>,
        span: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let py = context.py();
        let changed = self.context.bind(py).call1((context,))?;
        let changed = changed.cast_into::<PyDict>()?;
        // Nobody has seen it yet: the class refuses changes by its own `__setitem__` alone.
        changed.set_item(self.span_key.bind(py), span)?;
        Ok(changed)
    }

    /// Whom a context is about.
    pub(crate) fn identity(&self, context: &Bound<'_, PyDict>) -> PyResult<Identity> {
        let py = context.py();
        let Some(baggage) = context.get_item(self.baggage_key.bind(py))? else {
            return Ok(Identity::Unsaid);
        };
        if !baggage.get_type().is(self.baggage.bind(py)) {
            return Ok(Identity::Foreign);
        }
        let stamp = baggage.getattr(pyo3::intern!(py, "stamp"))?;
        Ok(Identity::Known(stamp.cast::<Stamp>()?.get().clone()))
    }
}
