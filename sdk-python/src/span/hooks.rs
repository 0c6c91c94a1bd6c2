//! Python's `SpanProcessor`s, for those who add one. Nothing is paid for them while there are none.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::Span;

/// Called with each recorded span that starts (the SDK's own ones) or ends; set when a `SpanProcessor` was added.
static HOOKS: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
static HAS_HOOKS: AtomicBool = AtomicBool::new(false);

/// Sets what is called with spans that start or end. It stays for the life of the process and may do nothing.
pub(crate) fn set_hooks(py: Python<'_>, on_start: Py<PyAny>, on_end: Py<PyAny>) {
    if HOOKS.set(py, (on_start, on_end)).is_ok() {
        HAS_HOOKS.store(true, Ordering::Release);
    }
}

/// Whether there are processors that want to be told.
pub(crate) fn has_hooks() -> bool {
    HAS_HOOKS.load(Ordering::Acquire)
}

/// Tells the processors that a span has started, if it is recorded.
pub(crate) fn run_start_hook(span: &Bound<'_, Span>) -> PyResult<()> {
    if has_hooks()
        && span.get().source().is_some()
        && let Some((on_start, _)) = HOOKS.get(span.py())
    {
        on_start.call1(span.py(), (span, span.py().None()))?;
    }
    Ok(())
}

/// Tells the processors that a span has ended.
pub(crate) fn run_end_hook(span: &Bound<'_, Span>) -> PyResult<()> {
    if has_hooks()
        && let Some((_, on_end)) = HOOKS.get(span.py())
    {
        on_end.call1(span.py(), (span,))?;
    }
    Ok(())
}
