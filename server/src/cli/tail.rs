//! `loom tail`.

mod kept;

use loom_proto::trace_context::TraceContext;
use loom_proto::{EventId, v1};
use owo_colors::Style;
use serde_json::{Value, json};

use super::position::position;
use super::remote::{BridgeArgs, block_on};
use super::signals::Signals;
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::client::TailEvent;
use crate::env::Environment;
use crate::shown::{payload, time};

/// Arguments of `loom tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom tail 'sensor.*'               one segment may be anything
  loom tail '>' --json               every event, one JSON object a line
  loom tail orders.new --count 1     wait for the next one
  loom tail --stream orders          all that the stream orders keeps, oldest first
  loom tail --stream orders --from 2026-11-01T00:00:00Z --limit 10 --json")]
pub struct Args {
    /// A topic, or a pattern with `*` for one segment and a last `>` for the rest
    #[arg(required_unless_present = "stream", conflicts_with = "stream")]
    pattern: Option<String>,
    /// Print what this stream keeps, oldest first, and end
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Where to begin in the stream: `oldest`, an offset, or a time (RFC 3339) [default: oldest]
    // With a pattern clap does not ask for the stream, which the pattern excludes.
    #[arg(long, value_name = "POSITION", value_parser = position, requires = "stream", conflicts_with = "pattern")]
    from: Option<v1::Position>,
    /// Stop after so many events
    #[arg(long, visible_alias = "limit", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: BridgeArgs,
}

/// A longer payload is shown in part; --json shows all of it.
const SHOWN: usize = 200;

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let left = args.count.unwrap_or(u64::MAX);
    block_on(async {
        let Some(pattern) = &args.pattern else {
            let client = args.server.connect(environment).await?;
            return kept::print(&client, args, left, terminal).await;
        };
        let mut signals = Signals::listen()?;
        let client = args.server.connect(environment).await?;
        // An id of its own, so that several tails can look at once.
        let id = EventId::now().to_string();
        let name = format!("tail-{}", &id[id.len() - 8..]);
        let mut stream = client.tail(&name, pattern).await?;
        terminal.note(&format!("listening to {pattern} as {name}; Ctrl-C ends it"));
        let mut left = left;
        while left > 0 {
            tokio::select! {
                event = stream.next() => match event? {
                    Some(event) => {
                        terminal.print(&if args.json { as_json(&event).to_string() } else { line(&event, terminal) })?;
                        left -= 1;
                    }
                    None => return Err(Failure { exit: Exit::Unreachable, message: "the server stops".to_owned() }),
                },
                () = signals.next() => break,
            }
        }
        stream.leave().await;
        Ok(Exit::Ok)
    })
}

fn line(tail: &TailEvent, terminal: &Terminal) -> String {
    let event = &tail.event;
    let envelope = event.envelope.clone().unwrap_or_default();
    let payload = String::from_utf8_lossy(&event.payload);
    let mut shown: String = payload.chars().take(SHOWN).collect();
    if shown.len() < payload.len() {
        shown.push('…');
    }
    let trace = TraceContext::parse(tail.traceparent.as_bytes()).ok();
    let trace = trace.map_or_else(String::new, |trace| format!("  trace={}", trace.trace_id));
    format!(
        "{}  {}  {}  {}  {}{}",
        terminal.paint(&time(event.time_unix_nano), Style::new().dimmed()),
        terminal.paint(&clean(&event.topic), Style::new().cyan()),
        if event.r#type.is_empty() {
            "-".to_owned()
        } else {
            clean(&event.r#type)
        },
        if envelope.sender.is_empty() {
            "-".to_owned()
        } else {
            clean(&envelope.sender)
        },
        clean(&shown),
        terminal.paint(&trace, Style::new().dimmed()),
    )
}

fn as_json(tail: &TailEvent) -> Value {
    let event = &tail.event;
    let envelope = event.envelope.clone().unwrap_or_default();
    let (key, payload) = payload(&event.payload);
    let context = TraceContext::parse(tail.traceparent.as_bytes()).ok();
    let mut line = json!({
        "event_id": tail.id,
        "topic": event.topic,
        "type": event.r#type,
        "time": time(event.time_unix_nano),
        "sender": envelope.sender,
        "thread_id": envelope.thread_id,
        "correlation_id": envelope.correlation_id,
        "content_type": event.content_type,
        "metadata": event.metadata,
        "trace_id": context.map(|context| context.trace_id.to_string()),
        "traceparent": tail.traceparent,
    });
    line[key] = payload;
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &[u8]) -> TailEvent {
        let event = loom_proto::v1::Event {
            topic: "a.b".to_owned(),
            payload: payload.to_vec().into(),
            ..Default::default()
        };
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
        TailEvent {
            event,
            id: "id".to_owned(),
            traceparent,
        }
    }

    #[test]
    fn a_payload_is_shown_as_what_it_is() {
        assert_eq!(as_json(&event(br#"{"a":1}"#))["payload"]["a"], 1);
        assert_eq!(as_json(&event(b"plain"))["payload_text"], "plain");
        assert_eq!(as_json(&event(&[0xff, 0x00]))["payload_hex"], "ff00");
        assert_eq!(
            as_json(&event(b""))["trace_id"],
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
    }

    #[test]
    fn a_line_stays_a_line() {
        let terminal = Terminal {
            color: false,
            color_stderr: false,
            width: 80,
        };
        let shown = line(&event("two\nlines\u{1b}[31m".as_bytes()), &terminal);
        assert_eq!(shown.lines().count(), 1);
        assert!(!shown.contains('\u{1b}'));
        assert!(line(&event("é".repeat(500).as_bytes()), &terminal).contains('…'));
    }
}
