//! Which attributes hold contents. Knows no Python.

/// Attributes that hold contents, and all below them: `llm.prompts` is also `llm.prompts.0.content`. They are those of
/// OpenTelemetry's GenAI conventions, of `OpenLLMetry`, of `OpenInference`, and Loom's own.
pub(crate) const KEYS: [&str; 24] = [
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
