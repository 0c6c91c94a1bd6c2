//! What `loom dlq` prints.

use loom_core::group::dead_letter::header;
use loom_proto::trace_context::TraceContext;
use loom_proto::v1;
use serde_json::{Value, json};

use crate::cli::Terminal;
use crate::cli::terminal::clean;
use crate::letter::{Story, id, nanos};
use crate::shown::{payload, time};

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

fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        clean(text)
    }
}
