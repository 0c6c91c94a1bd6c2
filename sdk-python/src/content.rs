//! Contents: what was said to a model, what it said, and what tools were given. There is one rule for them, whichever
//! instrumentation writes them onto a span; `loom/contents.py` has it.

use loom_telemetry::Value;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::value::{cut, read};

/// Attributes that hold contents, and all below them: `llm.prompts` is also `llm.prompts.0.content`. They are those of
/// OpenTelemetry's GenAI conventions, of `OpenLLMetry`, of `OpenInference`, and Loom's own.
const KEYS: [&str; 24] = [
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.evaluation.explanation",
    "gen_ai.event.content",
    "gen_ai.prompt",
    "gen_ai.completion",
    "input.value",
    "llm.completions",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompt_template.variables",
    "llm.prompts",
    "loom.thought.text",
    "output.value",
    "retrieval.documents",
    "tool.parameters",
    "tool_call.function.arguments",
    "traceloop.entity.input",
    "traceloop.entity.output",
];
/// Attributes below them that say what something is called, and nothing of what was said.
const NAMES: [&str; 2] = ["gen_ai.prompt.name", "gen_ai.prompt.version"];

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

/// Whether an attribute holds contents.
pub(crate) fn is_content(key: &str) -> bool {
    // Most keys are told apart by their first letter.
    matches!(
        key.as_bytes().first(),
        Some(b'g' | b'i' | b'l' | b'o' | b'r' | b't')
    ) && KEYS.iter().any(|content| is_below(key, content))
        && !NAMES.contains(&key)
}

fn is_below(key: &str, above: &str) -> bool {
    key.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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

#[cfg(test)]
mod tests {
    use super::{KEYS, is_content};

    #[test]
    fn every_key_is_documented() {
        let page = include_str!("../../docs/contents.md");
        for key in KEYS {
            assert!(page.contains(&format!("`{key}`")), "{key} is missing");
        }
    }

    #[test]
    fn contents_are_told_from_what_is_said_about_them() {
        for key in [
            "gen_ai.input.messages",
            "gen_ai.prompt",
            "gen_ai.prompt.0.content",
            "gen_ai.completion.3.tool_calls.0.arguments",
            "llm.input_messages.0.message.content",
            "input.value",
            "traceloop.entity.output",
            "loom.thought.text",
        ] {
            assert!(is_content(key), "{key}");
        }
        for key in [
            "",
            "gen_ai.prompt.name",
            "gen_ai.prompts",
            "gen_ai.usage.input_tokens",
            "gen_ai.request.model",
            "input.mime_type",
            "llm.token_count.prompt",
            "loom.thought.size",
            "user.id",
        ] {
            assert!(!is_content(key), "{key}");
        }
    }
}
