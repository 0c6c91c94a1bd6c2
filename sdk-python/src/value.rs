//! Attributes: Python's values as OTLP's, and back.

use loom_telemetry::Value;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString, PyTuple,
};

use crate::content;

/// Lists within lists beyond this depth are written as text: a list may hold itself.
const MAX_DEPTH: usize = 8;

/// Attributes of a span, an event or a link, with the bounds of OTel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Attributes of a span.
    pub(crate) attributes: usize,
    /// Attributes of an event or a link.
    pub(crate) inner_attributes: usize,
    /// Events of a span.
    pub(crate) events: usize,
    /// Links of a span.
    pub(crate) links: usize,
    /// Characters of a text.
    pub(crate) value_length: Option<usize>,
}

impl Limits {
    /// OTel's defaults, and the variables that change them.
    pub(crate) fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        let number = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| get(name)?.trim().parse::<usize>().ok())
        };
        Self {
            attributes: number(&[
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
                "OTEL_ATTRIBUTE_COUNT_LIMIT",
            ])
            .unwrap_or(128),
            inner_attributes: number(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"]).unwrap_or(128),
            events: number(&["OTEL_SPAN_EVENT_COUNT_LIMIT"]).unwrap_or(128),
            links: number(&["OTEL_SPAN_LINK_COUNT_LIMIT"]).unwrap_or(128),
            value_length: number(&[
                "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            ]),
        }
    }
}

/// Sets one attribute. An existing key moves to the end; beyond the limit the oldest attribute goes, as in the Python SDK.
pub(crate) fn set(
    attributes: &mut Vec<(Value, Value)>,
    dropped: &mut u32,
    limit: usize,
    key: &str,
    value: Value,
) {
    if let Some(at) = attributes
        .iter()
        .position(|(other, _)| other.as_str() == Some(key))
    {
        attributes.remove(at);
    } else if attributes.len() >= limit {
        *dropped += 1;
        if limit == 0 {
            return;
        }
        attributes.remove(0);
    }
    attributes.push((Value::Text(key.to_owned()), value));
}

/// Sets all of a mapping or `None`. What is no attribute is left out.
pub(crate) fn set_all(
    attributes: &mut Vec<(Value, Value)>,
    dropped: &mut u32,
    limit: usize,
    value_length: Option<usize>,
    from: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let Some(from) = from.filter(|from| !from.is_none()) else {
        return Ok(());
    };
    let mut put = |key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| -> PyResult<()> {
        let Ok(key) = key.cast::<PyString>() else {
            return Ok(());
        };
        let key = key.to_cow()?;
        match read_attribute(&key, value, value_length)? {
            Read::Value(value) => set(attributes, dropped, limit, &key, value),
            Read::Withheld => *dropped += 1,
            Read::Nothing => {}
        }
        Ok(())
    };
    if let Ok(dict) = from.cast::<PyDict>() {
        for (key, value) in dict {
            put(&key, &value)?;
        }
    } else {
        for item in from.cast::<PyMapping>()?.items()? {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            put(&key, &value)?;
        }
    }
    Ok(())
}

/// What became of the value of an attribute.
pub(crate) enum Read {
    Value(Value),
    /// A content that is not to be recorded.
    Withheld,
    /// No attribute.
    Nothing,
}

/// Reads the value of an attribute; of contents what the process' rule says.
pub(crate) fn read_attribute(
    key: &str,
    value: &Bound<'_, PyAny>,
    length: Option<usize>,
) -> PyResult<Read> {
    if key.is_empty() || value.is_none() {
        return Ok(Read::Nothing);
    }
    if content::is_content(key) {
        let admitted = content::admit(key, value, length)?;
        return Ok(admitted.map_or(Read::Withheld, Read::Value));
    }
    Ok(read(value, length, 0)?.map_or(Read::Nothing, Read::Value))
}

/// Reads a value; `None` for Python's None. What OTLP does not know becomes its text.
pub(crate) fn read(
    value: &Bound<'_, PyAny>,
    length: Option<usize>,
    depth: usize,
) -> PyResult<Option<Value>> {
    let read = if let Ok(text) = value.cast::<PyString>() {
        Value::Text(cut(text.to_string_lossy().into_owned(), length))
    } else if let Ok(truth) = value.cast::<PyBool>() {
        Value::Bool(truth.is_true())
    } else if let Ok(number) = value.cast::<PyInt>() {
        match number.extract() {
            Ok(number) => Value::Int(number),
            // OTLP has 64 bits.
            Err(_) => Value::Text(cut(number.str()?.to_string(), length)),
        }
    } else if let Ok(number) = value.cast::<PyFloat>() {
        Value::Double(number.value())
    } else if value.is_none() {
        return Ok(None);
    } else if let Ok(bytes) = value.cast::<PyBytes>() {
        Value::Bytes(bytes.as_bytes().to_vec())
    } else if depth >= MAX_DEPTH {
        Value::Text(cut(value.str()?.to_string_lossy().into_owned(), length))
    } else if let Ok(list) = value.cast::<PySequence>() {
        let mut values = Vec::with_capacity(list.len()?);
        for item in list.try_iter()? {
            values.extend(read(&item?, length, depth + 1)?);
        }
        Value::Array(values)
    } else if let Ok(map) = value.cast::<PyMapping>() {
        let mut entries = Vec::new();
        for item in map.items()? {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            if let Some(value) = read(&value, length, depth + 1)? {
                entries.push((
                    Value::Text(key.str()?.to_string_lossy().into_owned()),
                    value,
                ));
            }
        }
        Value::Map(entries)
    } else {
        Value::Text(cut(value.str()?.to_string_lossy().into_owned(), length))
    };
    Ok(Some(read))
}

/// A size in bytes.
pub(crate) fn size(bytes: usize) -> Value {
    Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// The first characters of a text.
pub(crate) fn cut(mut text: String, length: Option<usize>) -> String {
    if let Some(length) = length
        && let Some((at, _)) = text.char_indices().nth(length)
    {
        text.truncate(at);
    }
    text
}

/// Writes a value.
pub(crate) fn write<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Static(text) => text.into_bound_py_any(py),
        Value::Shared(text) => text.into_bound_py_any(py),
        Value::Text(text) => text.into_bound_py_any(py),
        Value::Bool(truth) => truth.into_bound_py_any(py),
        Value::Int(number) => number.into_bound_py_any(py),
        Value::Double(number) => number.into_bound_py_any(py),
        Value::Bytes(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
        Value::Array(values) => {
            let list = PyList::empty(py);
            for value in values {
                list.append(write(py, value)?)?;
            }
            Ok(PyTuple::new(py, list)?.into_any())
        }
        Value::Map(entries) => Ok(write_all(py, entries)?.into_any()),
    }
}

/// Writes attributes as a dictionary.
pub(crate) fn write_all<'py>(
    py: Python<'py>,
    attributes: &[(Value, Value)],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in attributes {
        dict.set_item(write(py, key)?, write(py, value)?)?;
    }
    Ok(dict)
}
