//! Old and foreign names of what a model call says, and the one name under which each is stored.
//!
//! OTel's GenAI conventions have renamed much, and two widely used instrumentations have names of their own:
//! `OpenLLMetry` before it took OTel's, and `OpenInference`. Who searches, sums or draws knows one name only.

use std::mem;

use loom_proto::semconv::attribute as name;

use crate::model::{Attributes, Value};

/// One name that is accepted and stored as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// The accepted name.
    pub old: &'static str,
    /// The stored name.
    pub new: &'static str,
    /// What becomes of the value.
    pub change: Change,
}

/// What becomes of a value that gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Same,
    /// Nothing, and where the new name is there already the old one stays: it may say something else.
    Fallback,
    /// Milliseconds become seconds.
    MsToS,
    /// `OpenLLMetry`'s kind of a request becomes OTel's name of an operation.
    Operation,
}

const fn alias(old: &'static str, new: &'static str) -> Alias {
    Alias {
        old,
        new,
        change: Change::Same,
    }
}

const fn changed(old: &'static str, new: &'static str, change: Change) -> Alias {
    Alias { old, new, change }
}

const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";

/// All accepted names. Of several for one thing the first counts.
pub const ALIASES: &[Alias] = &[
    // Renamed within OTel's conventions, and by OpenLLMetry when it took them.
    alias(name::GEN_AI_SYSTEM, name::GEN_AI_PROVIDER_NAME),
    alias("gen_ai.usage.prompt_tokens", name::GEN_AI_INPUT_TOKENS),
    alias("gen_ai.usage.completion_tokens", name::GEN_AI_OUTPUT_TOKENS),
    alias(
        "gen_ai.usage.cache_read_input_tokens",
        name::GEN_AI_CACHE_READ_TOKENS,
    ),
    alias(
        "gen_ai.usage.cache_creation_input_tokens",
        name::GEN_AI_CACHE_CREATION_TOKENS,
    ),
    alias("gen_ai.usage.reasoning_tokens", REASONING_TOKENS),
    alias("llm.usage.reasoning_tokens", REASONING_TOKENS),
    alias("llm.usage.total_tokens", name::GEN_AI_TOTAL_TOKENS),
    changed(
        "llm.request.type",
        name::GEN_AI_OPERATION_NAME,
        Change::Operation,
    ),
    // OpenInference.
    alias("llm.provider", name::GEN_AI_PROVIDER_NAME),
    changed("llm.system", name::GEN_AI_PROVIDER_NAME, Change::Fallback),
    alias("llm.request.model_name", name::GEN_AI_REQUEST_MODEL),
    alias("llm.response.model_name", name::GEN_AI_RESPONSE_MODEL),
    changed(
        "llm.model_name",
        name::GEN_AI_REQUEST_MODEL,
        Change::Fallback,
    ),
    alias("embedding.model_name", name::GEN_AI_REQUEST_MODEL),
    alias("llm.token_count.prompt", name::GEN_AI_INPUT_TOKENS),
    alias("llm.token_count.completion", name::GEN_AI_OUTPUT_TOKENS),
    alias("llm.token_count.total", name::GEN_AI_TOTAL_TOKENS),
    alias(
        "llm.token_count.prompt_details.cache_read",
        name::GEN_AI_CACHE_READ_TOKENS,
    ),
    alias(
        "llm.token_count.prompt_details.cache_write",
        name::GEN_AI_CACHE_CREATION_TOKENS,
    ),
    alias(
        "llm.token_count.completion_details.reasoning",
        REASONING_TOKENS,
    ),
    // Vercel's AI SDK.
    changed(
        "ai.response.msToFirstChunk",
        name::GEN_AI_TIME_TO_FIRST_CHUNK,
        Change::MsToS,
    ),
];

/// Gives everything the name under which it is stored. An old name is dropped where the new one is there.
pub(super) fn rename(attributes: &mut Attributes) {
    // One bit for each row of the table. Most spans have none, and pay for a look at the first bytes of their keys.
    let mut found = attributes
        .iter()
        .filter(|(key, _)| may_be_old(key))
        .filter_map(|(key, _)| ALIASES.iter().position(|alias| alias.old == key))
        .fold(0_u32, |found, place| found | 1 << place);
    while found != 0 {
        let alias = &ALIASES[found.trailing_zeros() as usize];
        found &= found - 1;
        apply(alias, attributes);
    }
}

fn may_be_old(key: &str) -> bool {
    match key.as_bytes() {
        [b'g', b'e', b'n', b'_', b'a', b'i', b'.', seventh, ..] => matches!(seventh, b's' | b'u'),
        [b'l', b'l', b'm', b'.', ..] | [b'e', b'm', b'b', ..] | [b'a', b'i', b'.', ..] => true,
        _ => false,
    }
}

fn apply(alias: &Alias, attributes: &mut Attributes) {
    if attributes.get(alias.new).is_some() {
        if alias.change != Change::Fallback {
            attributes.0.retain(|(key, _)| key != alias.old);
        }
        return;
    }
    let old = attributes.0.iter_mut().find(|(key, _)| key == alias.old);
    let Some((key, value)) = old else {
        return;
    };
    // What is not of the type that its name promises stays as it was sent.
    if let Some(changed) = alias.change.of(value) {
        alias.new.clone_into(key);
        *value = changed;
    }
}

impl Change {
    fn of(self, value: &mut Value) -> Option<Value> {
        match (self, value) {
            (Self::Same | Self::Fallback, value) => Some(mem::replace(value, Value::Empty)),
            (Self::MsToS, Value::Int(ms)) => Some(Value::Double(*ms as f64 / 1e3)),
            (Self::MsToS, Value::Double(ms)) => Some(Value::Double(*ms / 1e3)),
            (Self::Operation, Value::String(kind)) => Some(Value::from(match kind.as_str() {
                "completion" => "text_completion",
                "embedding" => "embeddings",
                other => other,
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
        let mut attributes: Attributes = pairs.into_iter().collect();
        rename(&mut attributes);
        attributes.0
    }

    fn pairs<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
        pairs.map(|(key, value)| (key.to_owned(), value)).into()
    }

    #[test]
    fn every_old_name_is_found_and_stored_under_its_new_one() {
        for alias in ALIASES {
            let value = match alias.change {
                Change::MsToS => Value::Int(1),
                _ => Value::from("x"),
            };
            let stored = renamed([
                ("a", Value::Int(1)),
                (alias.old, value),
                ("z", Value::Int(2)),
            ]);
            let keys: Vec<_> = stored.iter().map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, ["a", alias.new, "z"]);
        }
    }

    #[test]
    fn no_new_name_is_an_old_one() {
        for alias in ALIASES {
            assert!(
                ALIASES.iter().all(|other| other.old != alias.new),
                "{alias:?}"
            );
        }
        assert!(ALIASES.len() <= 32, "each has a bit");
    }

    #[test]
    fn the_new_name_counts_where_both_were_sent_in_whatever_order() {
        let (old, new) = ("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens");
        let kept = pairs([(new, Value::Int(2))]);
        assert_eq!(renamed([(old, Value::Int(1)), (new, Value::Int(2))]), kept);
        assert_eq!(renamed([(new, Value::Int(2)), (old, Value::Int(1))]), kept);
        let twice = [
            (old, Value::Int(1)),
            ("llm.token_count.prompt", Value::Int(2)),
        ];
        assert_eq!(
            renamed(twice),
            pairs([(new, Value::Int(1))]),
            "the first of the table"
        );
    }

    #[test]
    fn what_may_mean_something_else_stays_beside_the_new_name() {
        let both = [
            ("llm.system", Value::from("openai")),
            ("llm.provider", Value::from("azure")),
        ];
        let stored = pairs([
            ("llm.system", Value::from("openai")),
            ("gen_ai.provider.name", Value::from("azure")),
        ]);
        assert_eq!(renamed(both), stored);
    }

    #[test]
    fn values_change_with_their_unit() {
        let ms = |value| renamed([("ai.response.msToFirstChunk", value)]);
        let new = "gen_ai.response.time_to_first_chunk";
        assert_eq!(
            ms(Value::Double(250.0)),
            pairs([(new, Value::Double(0.25))])
        );
        assert_eq!(ms(Value::Int(1500)), pairs([(new, Value::Double(1.5))]));
        let text = pairs([("ai.response.msToFirstChunk", Value::from("soon"))]);
        assert_eq!(ms(Value::from("soon")), text, "no number, so it stays");
        let kinds = [
            ("completion", "text_completion"),
            ("embedding", "embeddings"),
            ("chat", "chat"),
        ];
        for (old, new) in kinds {
            let stored = renamed([("llm.request.type", Value::from(old))]);
            assert_eq!(stored, pairs([("gen_ai.operation.name", Value::from(new))]));
        }
    }

    #[test]
    fn names_that_are_nobodys_old_ones_stay() {
        let all = [
            ("gen_ai.usage.foo", Value::Int(1)),
            ("llm.x", Value::Int(1)),
            ("g", Value::Int(1)),
        ];
        assert_eq!(renamed(all.clone()), pairs(all));
    }

    /// The page lists every name that is accepted, and none besides.
    #[test]
    fn the_page_has_the_table() {
        let page = include_str!("../../../docs/metrics.md");
        let listed: Vec<_> = page
            .lines()
            .skip_while(|line| !line.starts_with("| accepted | stored as |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let expected: Vec<_> = ALIASES
            .iter()
            .map(|alias| {
                let change = match alias.change {
                    Change::Same => "",
                    Change::Fallback => "kept beside it where that is there already",
                    Change::MsToS => "milliseconds become seconds",
                    Change::Operation => {
                        "`completion` becomes `text_completion`, `embedding` `embeddings`"
                    }
                };
                format!("| `{}` | `{}` | {change} |", alias.old, alias.new).replace("|  |", "| |")
            })
            .collect();
        assert_eq!(listed, expected);
    }
}
