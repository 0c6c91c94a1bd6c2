//! What a stream keeps, from a place on.

use std::time::{Duration, UNIX_EPOCH};

use loom_proto::v1::position::At;
use loom_proto::{EventId, v1};
use serde_json::Value;

use super::{Args, as_json, line};
use crate::cli::{Exit, Failure, Terminal};
use crate::client::{BridgeClient, TailEvent};

/// Prints up to `left` events, page by page, to the end that the stream has now.
pub(super) async fn print(
    client: &BridgeClient,
    args: &Args,
    mut left: u64,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let stream = args.stream.clone().unwrap_or_default();
    let mut request = v1::ReadStreamRequest {
        stream: stream.clone(),
        from: args.from,
        limit: 0,
    };
    let (mut missing, mut end) = (0, None);
    loop {
        // The server has its own idea of the most.
        request.limit = u32::try_from(left).unwrap_or(u32::MAX);
        let page = client.read_stream(request.clone()).await?;
        missing += page.missing;
        left = left.saturating_sub(page.events.len() as u64);
        for stored in page.events {
            let shown = if args.json {
                whole(&stream, stored).to_string()
            } else {
                let offset = stored.offset;
                format!("{offset}  {}", line(&told(stored), terminal))
            };
            terminal.print(&shown)?;
        }
        // Not that of later pages: who publishes faster than this prints would keep it for ever.
        let end = *end.get_or_insert(page.end);
        if page.next >= end || left == 0 {
            break;
        }
        request.from = Some(v1::Position {
            at: Some(At::Offset(page.next)),
        });
    }
    if missing > 0 {
        terminal.note(&format!(
            "{stream}: {missing} not shown, damaged or released meanwhile"
        ));
    }
    Ok(Exit::Ok)
}

fn told(stored: v1::StoredEvent) -> TailEvent {
    let event = stored.event.unwrap_or_default();
    TailEvent {
        id: EventId::from_slice(&event.id).map_or_else(|_| String::new(), |id| id.to_string()),
        event,
        traceparent: stored.traceparent,
    }
}

fn whole(stream: &str, stored: v1::StoredEvent) -> Value {
    let offset = stored.offset;
    // All of its digits, so that `--from` finds this event by it.
    let taken = UNIX_EPOCH + Duration::from_nanos(stored.time_unix_nano);
    let mut line = as_json(&told(stored));
    line["stream"] = stream.into();
    line["offset"] = offset.into();
    line["published_at"] = humantime::format_rfc3339_nanos(taken).to_string().into();
    line
}
