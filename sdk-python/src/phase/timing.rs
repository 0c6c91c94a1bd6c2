//! The phases of one execution, added up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loom_proto::semconv::attribute;
use loom_telemetry::Value;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::name::{Name, OTHER};
use crate::current::{Current, Identity};
use crate::span::{Span, has_hooks};
use crate::tracer::NativeTracer;

/// Names that are added up; some that never end must not fill the handler's span.
const MOST_NAMES: usize = 64;

/// See the module. Several threads may be in phases at once.
#[pyclass(frozen, module = "loom._native")]
pub(crate) struct Timing {
    /// Of the handler.
    span: Py<PyAny>,
    /// Of the provider that was installed when the handler came to its first phase.
    tracer: Py<PyAny>,
    /// The same without its Python half, where it is Loom's.
    scope: Option<Py<NativeTracer>>,
    begun: Instant,
    /// Milliseconds.
    sums: Mutex<Vec<(Arc<Name>, f64)>>,
}

#[pymethods]
impl Timing {
    #[new]
    #[pyo3(signature = (span, tracer, scope, /))]
    fn new(span: Py<PyAny>, tracer: Py<PyAny>, scope: Option<Py<NativeTracer>>) -> Self {
        Self {
            span,
            tracer,
            scope,
            begun: Instant::now(),
            sums: Mutex::default(),
        }
    }

    /// `NAME_ms` of each phase that has ended, and `total_ms` since the first one was begun.
    fn breakdown<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        for (name, sum) in self
            .sums
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            found.set_item(format!("{}_ms", name.text), sum)?;
        }
        found.set_item("total_ms", self.begun.elapsed().as_secs_f64() * 1e3)?;
        Ok(found)
    }
}

impl Timing {
    /// Starts the span of a phase below that of the context.
    pub(super) fn start<'py>(
        &self,
        context: &Bound<'py, PyDict>,
        name: &Name,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = context.py();
        if let Some(span) = self.start_native(context, name)? {
            return Ok(Bound::new(py, span)?.into_any());
        }
        let attributes = PyDict::new(py);
        attributes.set_item(attribute::PHASE, &*name.text)?;
        let options = PyDict::new(py);
        options.set_item("attributes", attributes)?;
        self.tracer
            .bind(py)
            .call_method("start_span", (&*name.text, context), Some(&options))
    }

    /// `None` where the tracer has more to do than to start a span below a native one.
    fn start_native(&self, context: &Bound<'_, PyDict>, name: &Name) -> PyResult<Option<Span>> {
        let Some(scope) = self.scope.as_ref().filter(|_| !has_hooks()) else {
            return Ok(None);
        };
        let current = Current::of(context.py())?;
        let parent = current.span(context)?;
        let Some(parent) = parent
            .as_ref()
            .and_then(|span| span.cast_exact::<Span>().ok())
        else {
            return Ok(None);
        };
        let stamp = match current.identity(context)? {
            Identity::Unsaid => None,
            Identity::Known(stamp) => Some(stamp),
            Identity::Foreign => return Ok(None),
        };
        let text = || Value::Shared(Arc::clone(&name.text));
        let attribute = (Value::Static(attribute::PHASE), text());
        Ok(scope
            .get()
            .start_child(parent.get(), text(), attribute, stamp))
    }

    /// Adds a run of a phase, and writes the sum onto the handler's span.
    pub(super) fn add(&self, py: Python<'_>, name: &Arc<Name>, took: Duration) -> PyResult<()> {
        let span = self.span.bind(py);
        let native = span.cast_exact::<Span>().ok();
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, sum) = add(&mut sums, name, took.as_secs_f64() * 1e3);
        if let Some(native) = native {
            // Under the lock, so that of two threads the one with the larger sum writes last.
            native.get().write_again(&name.key, Value::Double(sum));
            return Ok(());
        }
        // Foreign code may let another thread run, which must not find the lock taken.
        drop(sums);
        span.call_method1("set_attribute", (&*name.key, sum))?;
        Ok(())
    }
}

/// The name under which it was added, and its sum.
fn add(sums: &mut Vec<(Arc<Name>, f64)>, name: &Arc<Name>, ms: f64) -> (Arc<Name>, f64) {
    let place = |sums: &[(Arc<Name>, f64)], name: &Name| {
        sums.iter().position(|(known, _)| known.text == name.text)
    };
    let (name, at) = match place(sums, name) {
        None if sums.len() >= MOST_NAMES => {
            let other = Name::of(OTHER);
            let at = place(sums, &other);
            (other, at)
        }
        at => (Arc::clone(name), at),
    };
    let at = at.unwrap_or_else(|| {
        sums.push((Arc::clone(&name), 0.0));
        sums.len() - 1
    });
    sums[at].1 += ms;
    (name, sums[at].1)
}
