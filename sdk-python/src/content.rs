//! Contents: what was said to a model, what it said, and what tools were given. There is one rule for them, whichever
//! instrumentation writes them onto a span; `loom/contents.py` has it.

use loom_telemetry::Value;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::value::{cut, read};

mod keys;

pub(crate) use keys::is_content;

/// `loom.contents.admit`.
static RULE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Sets what is asked for each content: `rule(key, texts)` gives the texts to record, or None to record nothing.
#[pyfunction]
#[pyo3(signature = (rule, /))]
pub(crate) fn set_content_rule(py: Python<'_>, rule: Py<PyAny>) {
    // The first one stays: it is asked anew each time, and may say something else then.
    _ = RULE.set(py, rule);
}

/// The keys of these attributes that hold contents.
#[pyfunction]
#[pyo3(signature = (attributes, /))]
pub(crate) fn content_keys(attributes: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
    let mut found = Vec::new();
    for key in attributes.keys() {
        let key: std::borrow::Cow<'_, str> = key.extract()?;
        if is_content(&key) {
            found.push(key.into_owned());
        }
    }
    Ok(found)
}

/// What is recorded of a content; `None` when the rule says nothing. Texts have at most `length` characters.
pub(crate) fn admit(
    key: &str,
    value: &Bound<'_, PyAny>,
    length: Option<usize>,
) -> PyResult<Option<Value>> {
    let py = value.py();
    // Whole: half of a secret is not found any more.
    let (Some(rule), Some(mut value)) = (RULE.get(py), read(value, None, 0)?) else {
        return Ok(None);
    };
    let mut texts = Vec::new();
    for_each_text(&mut value, &mut |text| texts.push(std::mem::take(text)));
    let Some(admitted) = rule
        .call1(py, (key, texts))?
        .extract::<Option<Vec<String>>>(py)?
    else {
        return Ok(None);
    };
    let mut admitted = admitted.into_iter();
    for_each_text(&mut value, &mut |text| {
        *text = cut(admitted.next().unwrap_or_default(), length);
    });
    Ok(Some(value))
}

fn for_each_text(value: &mut Value, work: &mut impl FnMut(&mut String)) {
    match value {
        Value::Text(text) => work(text),
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| for_each_text(value, work)),
        Value::Map(entries) => entries
            .iter_mut()
            .for_each(|(_, value)| for_each_text(value, work)),
        _ => {}
    }
}
