//! Faults as the exceptions of `loom.exceptions`.

use loom_proto::{Code, v1};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::runtime::RuntimeError;

/// The exception that `loom.exceptions` has for a code.
pub(crate) fn raise(py: Python<'_>, code: Code, message: &str, field: &str) -> PyErr {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = MAKE.get_or_try_init(py, || {
        let module = py.import("loom.exceptions")?;
        Ok::<_, PyErr>(module.getattr("from_code")?.unbind())
    });
    match make.and_then(|make| make.call1(py, (code.name(), message, field))) {
        Ok(exception) => PyErr::from_value(exception.into_bound(py)),
        Err(error) => error,
    }
}

/// The same for an error that came over the wire.
pub(crate) fn raise_remote(py: Python<'_>, error: &v1::Error) -> PyErr {
    raise(py, error.code(), &error.message, &error.field)
}

/// A client of the parent process in a forked child.
pub(crate) fn forked(py: Python<'_>) -> PyErr {
    raise(
        py,
        Code::Unavailable,
        "this agent was made before the process forked, and its connection belongs to the parent: create the Agent after \
         the fork, in the child",
        "",
    )
}

impl From<RuntimeError> for PyErr {
    fn from(error: RuntimeError) -> Self {
        Python::attach(|py| raise(py, Code::Unavailable, &error.to_string(), ""))
    }
}

/// Warns in Python's logger `loom`, as the SDK does for misuse that must not break the program.
pub(crate) fn warn(py: Python<'_>, message: &str) {
    let logged = py
        .import("logging")
        .and_then(|logging| logging.call_method1("getLogger", ("loom",)))
        .and_then(|logger| logger.call_method1("warning", ("%s", message)));
    // A program without a working logger has other troubles.
    drop(logged);
}
