//! What a span says of a model call or of a handler, as figures: a pure function.
//!
//! A figure that the span does not tell is `None`. Nothing is guessed, and nothing is 0 that nobody measured.

use loom_proto::semconv::{attribute, span as name};

use crate::model::{Attributes, Span, Value};
use crate::prices::{Prices, Usage};

/// Names of the events with which `OpenLLMetry` marks each chunk of an answer, formerly and now.
const CHUNKS: [&str; 2] = [
    "llm.content.completion.chunk",
    "gen_ai.content.completion.chunk",
];
/// What `OpenInference` says a span is.
pub(crate) const OPENINFERENCE_KIND: &str = "openinference.span.kind";
/// Operations of the GenAI conventions that are calls of a model.
const MODEL_CALLS: [&str; 4] = ["chat", "text_completion", "embeddings", "generate_content"];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A call of a model.
    ModelCall = 1,
    /// A handler that has run.
    Handler = 2,
}

/// The figures of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// Of what.
    pub kind: Kind,
    /// Which operation of the model; topic or capability of a handler.
    pub operation: Option<String>,
    /// Between begin and end in ns; `None` where the span only stands in for one that was lost.
    pub duration_ns: Option<u64>,
    /// Provider of the model.
    pub provider: Option<String>,
    /// The model that answered, or that was asked for.
    pub model: Option<String>,
    /// From the request until the first token, in ms.
    pub ttft_ms: Option<f64>,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<i64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<i64>,
    /// Of both.
    pub total_tokens: Option<i64>,
    /// In USD.
    pub cost_usd: Option<f64>,
    /// Milliseconds of each phase, by its name and `_ms`; numbers, all of them.
    pub phases: Attributes,
}

impl Measures {
    /// A model call whose tokens are known and whose price is not.
    pub fn is_unpriced(&self) -> bool {
        self.prompt_tokens.is_some() && self.cost_usd.is_none()
    }
}

/// The figures of a span; `None` where it is neither a model call nor a handler.
pub fn measure(span: &Span, prices: &Prices) -> Option<Measures> {
    if is_handler(&span.name) {
        return Some(handler(span));
    }
    let ModelCall { operation } = model_call(&span.attributes)?;
    Some(call(span, operation, prices))
}

/// Whether a span with this name and these attributes is a call of a model.
pub(crate) fn is_model_call(name: &str, attributes: &Attributes) -> bool {
    !is_handler(name) && model_call(attributes).is_some()
}

fn is_handler(span: &str) -> bool {
    span == name::ON_EVENT || span == name::ON_ACTION
}

fn handler(span: &Span) -> Measures {
    let operation = [attribute::TOPIC, attribute::CAPABILITY]
        .into_iter()
        .find_map(|key| text(&span.attributes, key));
    let phases: Attributes = span
        .attributes
        .iter()
        .filter_map(|(key, value)| {
            let phase = key.strip_prefix(attribute::PHASE_MS_PREFIX)?;
            let is_time = phase.ends_with("_ms") && number(value).is_some();
            is_time.then(|| (phase, value.clone()))
        })
        .collect();
    Measures {
        kind: Kind::Handler,
        operation,
        duration_ns: (!span.is_stand_in()).then(|| span.duration_ns()),
        provider: None,
        model: None,
        ttft_ms: None,
        prompt_tokens: None,
        completion_tokens: None,
        total_tokens: None,
        cost_usd: None,
        phases,
    }
}

/// A call of a model.
struct ModelCall<'a> {
    /// Which operation, if it says.
    operation: Option<&'a str>,
}

/// What call of a model a span is; `None` where it is something else.
fn model_call(attributes: &Attributes) -> Option<ModelCall<'_>> {
    let mut says_usage = false;
    let mut kind = None;
    let call_of = |operation| ModelCall {
        operation: Some(operation),
    };
    for (key, value) in attributes.iter() {
        match key {
            attribute::GEN_AI_OPERATION_NAME => {
                let Value::String(operation) = value else {
                    return None;
                };
                let is_call = MODEL_CALLS.contains(&operation.as_str());
                return is_call.then(|| call_of(operation));
            }
            attribute::GEN_AI_REQUEST_MODEL
            | attribute::GEN_AI_INPUT_TOKENS
            | attribute::GEN_AI_OUTPUT_TOKENS
            | attribute::GEN_AI_TOTAL_TOKENS => says_usage = true,
            OPENINFERENCE_KIND => kind = Some(value),
            _ => {}
        }
    }
    match kind {
        Some(Value::String(kind)) if kind == "LLM" => Some(call_of("chat")),
        Some(Value::String(kind)) if kind == "EMBEDDING" => Some(call_of("embeddings")),
        Some(_) => None,
        None => says_usage.then_some(ModelCall { operation: None }),
    }
}

fn call(span: &Span, operation: Option<&str>, prices: &Prices) -> Measures {
    let said = &span.attributes;
    let tokens = |key| said.get(key).and_then(count);
    let prompt = tokens(attribute::GEN_AI_INPUT_TOKENS);
    let completion = tokens(attribute::GEN_AI_OUTPUT_TOKENS);
    let both = prompt
        .zip(completion)
        .map(|(prompt, completion)| prompt + completion);
    let provider = text(said, attribute::GEN_AI_PROVIDER_NAME);
    let models = [
        attribute::GEN_AI_RESPONSE_MODEL,
        attribute::GEN_AI_REQUEST_MODEL,
    ]
    .map(|key| text(said, key));
    let gives_no_answer = operation == Some("embeddings");
    let usage = prompt.zip(completion.or(gives_no_answer.then_some(0)));
    let cost_usd = usage
        .zip(provider.as_deref())
        .and_then(|((prompt, completion), provider)| {
            let usage = Usage {
                prompt,
                cached: tokens(attribute::GEN_AI_CACHE_READ_TOKENS).unwrap_or(0),
                cache_write: tokens(attribute::GEN_AI_CACHE_CREATION_TOKENS).unwrap_or(0),
                completion,
            };
            let mut known = models.iter().flatten();
            known.find_map(|model| prices.cost(provider, model, usage))
        });
    Measures {
        kind: Kind::ModelCall,
        operation: operation.map(str::to_owned),
        duration_ns: Some(span.duration_ns()),
        provider,
        ttft_ms: ttft_ms(span),
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: tokens(attribute::GEN_AI_TOTAL_TOKENS).or(both),
        cost_usd,
        phases: Attributes::default(),
        model: models.into_iter().flatten().next(),
    }
}

/// As the SDK measured it, else as the instrumentation did, else by the first chunk that is an event.
fn ttft_ms(span: &Span) -> Option<f64> {
    let said = |key| span.attributes.get(key).and_then(number);
    let first_chunk = || {
        let mut chunks = span
            .events
            .iter()
            .filter(|event| CHUNKS.contains(&event.name.as_str()));
        let first = chunks.next()?;
        Some(first.time_ns.checked_sub(span.start_ns)? as f64 / 1e6)
    };
    said(attribute::TTFT_MS)
        .or_else(|| said(attribute::GEN_AI_TIME_TO_FIRST_CHUNK).map(|seconds| seconds * 1e3))
        .or_else(first_chunk)
}

fn text(attributes: &Attributes, key: &str) -> Option<String> {
    match attributes.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// A time: neither negative nor none at all.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Int(number) => *number as f64,
        Value::Double(number) => *number,
        _ => return None,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// A count; some senders write it as a float. More than this are no tokens of one call.
fn count(value: &Value) -> Option<i64> {
    const MOST: f64 = 1e12;
    let number = number(value)?;
    (number <= MOST && number.fract() == 0.0).then_some(number as i64)
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
