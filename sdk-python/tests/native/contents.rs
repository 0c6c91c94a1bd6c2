use crate::content::keys::{KEYS, is_content};

#[test]
fn every_key_is_documented() {
    let page = include_str!("../../../docs/contents.md");
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
