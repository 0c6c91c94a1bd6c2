//! An exception as OTel's event `exception` has it.

use loom_proto::semconv::attribute;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Class, message and stack trace.
pub(super) fn describe<'py>(
    exception: &Bound<'py, PyAny>,
    escaped: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = exception.py();
    let described = PyDict::new(py);
    described.set_item(attribute::EXCEPTION_TYPE, class_name(exception)?)?;
    described.set_item(attribute::EXCEPTION_MESSAGE, exception.str()?)?;
    let lines = py
        .import("traceback")?
        .call_method1("format_exception", (exception,))?;
    let stack: Vec<String> = lines.extract()?;
    described.set_item(attribute::EXCEPTION_STACKTRACE, stack.concat())?;
    if escaped {
        described.set_item("exception.escaped", "True")?;
    }
    Ok(described.into_any())
}

/// `module.Class`, or `Class` for those that are built in.
pub(super) fn class_name(exception: &Bound<'_, PyAny>) -> PyResult<String> {
    let class = exception.get_type();
    let name = class.qualname()?.to_string();
    let module = class.module()?.to_string();
    Ok(match module.as_str() {
        "" | "builtins" => name,
        module => format!("{module}.{name}"),
    })
}

/// `Class: message`.
pub(crate) fn one_line(exception: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = exception.get_type().name()?;
    Ok(format!("{name}: {}", exception.str()?.to_string_lossy()))
}
