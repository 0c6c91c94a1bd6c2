//! What `loom dlq` prints.

use loom_core::group::dead_letter::{TriedAttempt, header};
use loom_proto::trace_context::TraceContext;
use loom_proto::{EventId, v1};
use serde_json::{Value, json};

use crate::cli::Terminal;
use crate::cli::tail::{payload, time};
use crate::cli::terminal::clean;

pub(super) const HEADINGS: [&str; 6] = ["LETTER", "DIED", "TOPIC", "GROUP", "TRIED", "ERROR"];
/// A longer error is shown in part; `loom dlq show` shows all of it.
const SHOWN: usize = 60;

/// A line of the list.
pub(super) fn row(letter: &v1::DeadLetter) -> [String; 6] {
    let story = Story::of(letter);
    let tried = story.attempts.last().map_or(0, |last| last.number);
    let error = story.header(header::ERROR);
    let mut shown: String = error.chars().take(SHOWN).collect();
    if shown.len() < error.len() {
        shown.push('…');
    }
    [
        id(&story.event.id),
        time(letter.time_unix_nano),
        or_dash(story.header(header::TOPIC)),
        or_dash(story.header(header::GROUP)),
        tried.to_string(),
        or_dash(&shown),
    ]
}

/// All that is known of one letter but its payload.
pub(super) fn as_json(letter: &v1::DeadLetter) -> Value {
    let story = Story::of(letter);
    let envelope = story.event.envelope.clone().unwrap_or_default();
    json!({
        "letter_id": id(&story.event.id),
        "time": time(letter.time_unix_nano),
        "topic": story.header(header::TOPIC),
        "event_id": story.header(header::EVENT_ID),
        "type": story.event.r#type,
        "stream": story.header(header::STREAM),
        "offset": story.header(header::OFFSET).parse::<u64>().ok(),
        "group": story.header(header::GROUP),
        "thread_id": envelope.thread_id,
        "sender": envelope.sender,
        "trace_id": story.trace.map(|trace| trace.trace_id.to_string()),
        "error": story.header(header::ERROR),
        "attempts": story.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "metadata": story.headers().collect::<std::collections::BTreeMap<_, _>>(),
        "content_type": story.event.content_type,
        "payload_size": letter.payload_size,
    })
}

/// The same with the payload.
pub(super) fn whole_json(letter: &v1::DeadLetter) -> Value {
    let mut whole = as_json(letter);
    let (key, value) = payload(&Story::of(letter).event.payload);
    whole[key] = value;
    whole
}

/// One letter for a person.
pub(super) fn page(letter: &v1::DeadLetter, terminal: &Terminal) -> String {
    let story = Story::of(letter);
    let says = |key| or_dash(story.header(key));
    let trace = story.trace.map(|trace| trace.trace_id.to_string());
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<8} {value}"));
    line("letter", id(&story.event.id));
    line("died", time(letter.time_unix_nano));
    line(
        "event",
        format!("{} on {}", says(header::EVENT_ID), says(header::TOPIC)),
    );
    line(
        "group",
        format!(
            "{}, stream {} at {}",
            says(header::GROUP),
            says(header::STREAM),
            says(header::OFFSET)
        ),
    );
    line("trace", trace.unwrap_or_else(|| "-".to_owned()));
    for (key, value) in story.headers() {
        line("header", format!("{}={}", clean(key), clean(value)));
    }
    let rows: Vec<_> = story
        .attempts
        .iter()
        .map(|attempt| {
            [
                attempt.number.to_string(),
                time(nanos(attempt)),
                or_dash(&attempt.span_id),
                or_dash(&attempt.error),
            ]
        })
        .collect();
    lines.push(String::new());
    lines.push(terminal.table(["ATTEMPT", "ENDED", "SPAN", "ERROR"], &rows));
    lines.push(String::new());
    lines.push(match payload(&story.event.payload) {
        (_, Value::String(text)) => clean(&text),
        (_, json) => json.to_string(),
    });
    lines.join("\n")
}

/// What became of one letter that was to be redriven.
pub(super) fn redriven(one: &v1::Redriven, json: bool) -> String {
    let trace = TraceContext::parse(one.traceparent.as_bytes()).ok();
    let trace = trace.map(|trace| trace.trace_id.to_string());
    let letter = id(&one.letter_id);
    if json {
        let event = (!one.event_id.is_empty()).then(|| id(&one.event_id));
        let error = one.error.as_ref().map(|error| &error.message);
        return json!({
            "letter_id": letter,
            "event_id": event,
            "topic": one.topic,
            "trace_id": trace,
            "error": error,
        })
        .to_string();
    }
    match &one.error {
        Some(error) => format!("{letter}  not redriven: {}", clean(&error.message)),
        None => format!(
            "{letter}  event {} on {}{}",
            id(&one.event_id),
            clean(&one.topic),
            trace.map_or_else(String::new, |trace| format!("  trace={trace}"))
        ),
    }
}

pub(super) fn id(bytes: &[u8]) -> String {
    EventId::from_slice(bytes).map_or_else(|_| "-".to_owned(), |id| id.to_string())
}

/// A letter, read once.
struct Story {
    event: v1::Event,
    trace: Option<TraceContext>,
    attempts: Vec<TriedAttempt>,
}

impl Story {
    fn of(letter: &v1::DeadLetter) -> Self {
        let event = letter.event.clone().unwrap_or_default();
        let attempts = event.metadata.get(header::ATTEMPTS);
        let attempts = attempts.and_then(|text| serde_json::from_str(text).ok());
        Self {
            trace: TraceContext::parse(letter.traceparent.as_bytes()).ok(),
            attempts: attempts.unwrap_or_default(),
            event,
        }
    }

    fn header(&self, key: &str) -> &str {
        self.event.metadata.get(key).map_or("", String::as_str)
    }

    /// Those that the event itself had.
    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.event.metadata.iter();
        headers
            .filter(|(key, _)| !key.starts_with(header::PREFIX))
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn attempt(attempt: &TriedAttempt) -> Value {
    let span = (!attempt.span_id.is_empty()).then_some(&attempt.span_id);
    json!({
        "number": attempt.number,
        "ended": time(nanos(attempt)),
        "span_id": span,
        "error": attempt.error,
    })
}

fn nanos(attempt: &TriedAttempt) -> u64 {
    attempt.time_unix_ms.saturating_mul(1_000_000)
}

fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        clean(text)
    }
}
