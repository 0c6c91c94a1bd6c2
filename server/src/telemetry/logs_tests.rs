use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::telemetry::ControlPlane;

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `run` logs.
fn logged(format: LogFormat, run: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer()
        .event_format(LineFormat {
            format,
            color: false,
        })
        .with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry()
        .with(ControlPlane::default().layer())
        .with(layer);
    tracing::subscriber::with_default(subscriber, run);
    let text = lines.0.lock().clone();
    String::from_utf8(text).expect("text")
}

#[test]
fn a_line_inside_a_trace_carries_its_ids() {
    for format in [LogFormat::Human, LogFormat::Json] {
        let mut expected = None;
        let text = logged(format, || {
            tracing::info_span!("work").in_scope(|| {
                expected = current_ids();
                tracing::info!("inside");
            });
        });
        let (trace_id, span_id) = expected.expect("a span is current");
        assert!(
            text.contains(&trace_id.to_string()) && text.contains(&span_id.to_string()),
            "{text}"
        );
    }
}

#[test]
fn a_line_outside_has_none() {
    let text = logged(LogFormat::Human, || tracing::info!("outside"));
    assert!(
        text.contains("outside") && !text.contains("trace_id"),
        "{text}"
    );
}

#[test]
fn json_is_json_whatever_is_logged() {
    let text = logged(LogFormat::Json, || {
        tracing::warn!(
            count = 3,
            ratio = 0.5,
            good = true,
            name = "a \"b\"\n",
            level = "mine",
            "text\nwith \"quotes\""
        );
    });
    let line: Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!(line["level"], "warn");
    assert_eq!(line["message"], "text\nwith \"quotes\"");
    assert_eq!(line["count"], 3);
    assert_eq!(line["good"], true);
    assert_eq!(line["name"], "a \"b\"\n");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn text_from_outside_stays_on_its_line() {
    let text = logged(LogFormat::Human, || {
        tracing::info!(topic = "a\u{1b}[31m", "two\nlines");
    });
    assert_eq!(text.lines().count(), 1);
    assert!(!text.contains('\u{1b}'), "{text}");
}
