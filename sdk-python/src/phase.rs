//! Where a handler's time goes, in its own words: phases, each a span, added up on the handler's span.
//!
//! A handler may have many of them, so they are begun and ended here. Where the program has a tracer provider of its own,
//! or processors, its tracer is called as for any other span.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::{PyAttributeError, PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::current::Current;
use crate::otel::Api;
use crate::span::Span;

mod name;
mod timing;

use name::Name;
pub(crate) use timing::Timing;

/// One phase. It can be entered again when it has been left.
#[pyclass(frozen, subclass, module = "loom._native")]
pub(crate) struct Phase {
    timing: Py<Timing>,
    name: Arc<Name>,
    span: Mutex<Option<Py<PyAny>>>,
    inside: Mutex<Option<Inside>>,
}

/// What is to be known inside of the block.
struct Inside {
    before: Py<PyDict>,
    begun: Instant,
}

#[pymethods]
impl Phase {
    #[new]
    fn new(timing: Py<Timing>, name: &Bound<'_, PyString>) -> PyResult<Self> {
        Ok(Self {
            timing,
            name: Name::of(name.to_str()?),
            span: Mutex::default(),
            inside: Mutex::default(),
        })
    }

    /// As it is written.
    #[getter]
    fn name(&self) -> &str {
        &self.name.text
    }

    /// There from the beginning of the block.
    #[getter]
    fn span(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let span = self.span.lock();
        let span = span.as_ref().map(|span| span.clone_ref(py));
        span.ok_or_else(|| PyAttributeError::new_err("the phase has not been entered"))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (py, phase) = (slf.py(), slf.get());
        let current = Current::of(py)?;
        let before = current.context(py)?;
        let span = phase.timing.get().start(&before, &phase.name)?;
        current.set(&current.with_span(&before, &span)?)?;
        // What goes may have a finalizer that asks for the phase: it goes when nothing is locked.
        let gone = phase.span.lock().replace(span.unbind());
        drop(gone);
        let gone = phase.inside.lock().replace(Inside {
            before: before.unbind(),
            begun: Instant::now(),
        });
        drop(gone);
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let Some(inside) = self.inside.lock().take() else {
            return Err(PyRuntimeError::new_err("the phase has not been entered"));
        };
        let took = inside.begun.elapsed();
        let span = self.span(py)?;
        let span = span.bind(py);
        self.timing.get().add(py, &self.name, took)?;
        Current::of(py)?.set(inside.before.bind(py))?;
        // What is no Exception (CancelledError, GeneratorExit, KeyboardInterrupt) is not an error of the work.
        if error.is_instance_of::<PyException>() {
            span.call_method1("record_exception", (error,))?;
            let message = crate::span::one_line(error)?;
            span.call_method1("set_status", (Api::get(py)?.error(py), message))?;
        }
        match span.cast_exact::<Span>() {
            Ok(native) => Span::end(native, None),
            Err(_) => span.call_method0("end").map(drop),
        }
    }
}
