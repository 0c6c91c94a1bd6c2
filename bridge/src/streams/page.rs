//! One page of what a stream keeps.

use loom_core::{Event, GroupStart, JournalError, Stream};
use loom_proto::v1;

/// A page ends with the event by which it has so many bytes.
const PAGE_BYTES: usize = 1024 * 1024;

/// Up to `limit` events from there on. Blocks for as long as the disk takes.
///
/// # Errors
/// The disk failed.
pub(super) fn read(
    stream: &Stream,
    from: GroupStart,
    limit: usize,
) -> Result<v1::ReadStreamResponse, JournalError> {
    let journal = stream.journal();
    let end = journal.end();
    let from = from.offset(&**journal)?;
    let mut read = journal.read(from, PAGE_BYTES)?;
    if let Some(&(beyond, _)) = read.events.get(limit) {
        read.events.truncate(limit);
        read.next = beyond;
    }
    let events = read.events.iter();
    let events: Vec<_> = events
        .filter_map(|(offset, event)| stored(*offset, event))
        .collect();
    Ok(v1::ReadStreamResponse {
        missing: (read.next - from) - events.len() as u64,
        events,
        next: read.next,
        end,
    })
}

/// `None` where the event is malformed in a part that the bus does not look at.
fn stored(offset: u64, event: &Event) -> Option<v1::StoredEvent> {
    let trace = event.trace().map(|trace| trace.to_string());
    Some(v1::StoredEvent {
        offset,
        time_unix_nano: event.published_unix_nano(),
        traceparent: trace.unwrap_or_default(),
        event: Some(event.decode().ok()?),
    })
}
