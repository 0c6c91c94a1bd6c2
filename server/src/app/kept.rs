//! Finds an event in its stream by what its span says: its topic, its id, and when it was published.

use loom_core::EventBus;
use loom_proto::EventId;
use loom_trace::PublishedEvent;
use loom_trace::api::{Kept, Problem};

/// The stream's time of an event is taken by the same clock after its span began, if nobody has set the clock.
const CLOCK_SLACK_NS: u64 = 10_000_000;
/// It waited this long at most to be taken, while much else waited for the disk.
const LONGEST_WAIT_NS: u64 = 60_000_000_000;
/// Read at once, and altogether.
const READ_BYTES: usize = 1 << 20;
const MAX_READS: usize = 32;

/// What is kept of an event; `None` where its topic belongs to no stream, or it is not there any more. Blocks for as long as
/// the disk takes.
pub(super) fn find(bus: &EventBus, published: &PublishedEvent) -> Result<Option<Kept>, Problem> {
    let (Some(stream), Ok(id), Ok(begin_ns)) = (
        bus.stream_of(&published.topic),
        published.event_id.parse::<EventId>(),
        published.time_ns.parse::<u64>(),
    ) else {
        return Ok(None);
    };
    let failed = |error| {
        let name = stream.name();
        Problem::unavailable(format!("stream {name} cannot be read: {error}"))
    };
    let journal = stream.journal();
    let since_ns = begin_ns.saturating_sub(CLOCK_SLACK_NS);
    let mut from = journal.offset_at(since_ns).map_err(failed)?;
    for _ in 0..MAX_READS {
        let read = journal.read(from, READ_BYTES).map_err(failed)?;
        for (offset, event) in &read.events {
            if event.id() == id {
                // What cannot be decoded was damaged before it came.
                let whole = event.decode().ok();
                return Ok(whole.map(|whole| {
                    let metadata = whole.metadata.into_iter().collect();
                    Kept::new(stream.name(), *offset, &whole.payload, metadata)
                }));
            }
            if event.published_unix_nano() > begin_ns.saturating_add(LONGEST_WAIT_NS) {
                return Ok(None);
            }
        }
        if read.next <= from || read.next >= journal.end() {
            return Ok(None);
        }
        from = read.next;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom_core::{BusConfig, Event, MemoryConfig, MemoryJournal, Stream, StreamConfig, Tracer};
    use loom_telemetry::ids::now_unix_nano;
    use loom_trace::PublishStatus;
    use loom_trace::model::{SpanId, TraceId};

    use super::*;

    /// A bus with the stream `orders`, and in it some events with their times.
    async fn filled() -> (EventBus, Vec<(EventId, u64)>) {
        let journal = Arc::new(MemoryJournal::new(MemoryConfig::default()));
        let config = StreamConfig::new("orders", &["orders.>"]);
        let stream = Stream::open(config, journal).expect("opens");
        let bus = EventBus::with_streams(BusConfig::default(), Tracer::off(), vec![stream]);
        let bus = bus.expect("one stream");
        let mut events = Vec::new();
        for _ in 0..5 {
            // Two reads have not room for all of them.
            let event = Event::on("orders.new", vec![b'x'; 600 << 10]).expect("valid");
            events.push((event.id(), now_unix_nano()));
            bus.publish_and_commit(event).await.expect("taken");
        }
        (bus, events)
    }

    fn published(id: &str, topic: &str, at_ns: u64) -> PublishedEvent {
        PublishedEvent {
            event_id: id.to_owned(),
            topic: topic.to_owned(),
            sender: None,
            time: String::new(),
            time_ns: at_ns.to_string(),
            trace_id: TraceId::from_bytes(&[1; 16]).expect("not zero"),
            span_id: SpanId::from_bytes(&[1; 8]).expect("not zero"),
            size: None,
            matched: None,
            event_type: None,
            correlation_id: None,
            thread_id: None,
            workflow_id: None,
            status: PublishStatus::Ok,
        }
    }

    fn offset(bus: &EventBus, event: &PublishedEvent) -> Option<u64> {
        find(bus, event).expect("no disk").map(|kept| kept.offset)
    }

    #[tokio::test]
    async fn an_event_is_found_by_its_id_around_its_time() {
        const MINUTE_NS: u64 = 60_000_000_000;
        let (bus, events) = filled().await;
        let of = |(id, at_ns): (EventId, u64)| published(&id.to_string(), "orders.new", at_ns);
        for (place, event) in events.iter().enumerate() {
            let found = find(&bus, &of(*event)).expect("no disk");
            let found = found.expect("it is there");
            assert_eq!((&*found.stream, found.offset), ("orders", place as u64));
            assert!(found.truncated && found.payload_text.is_some());
        }
        let (id, at_ns) = events[4];
        // The first one's time leads to the last one too.
        assert_eq!(offset(&bus, &of((id, events[0].1))), Some(4));
        // Published long after this span began, and long before.
        assert_eq!(offset(&bus, &of((id, at_ns - 2 * MINUTE_NS))), None);
        assert_eq!(offset(&bus, &of((id, at_ns + MINUTE_NS))), None);

        let id = id.to_string();
        assert_eq!(offset(&bus, &published(&id, "other.topic", at_ns)), None);
        let nobody = EventId::now().to_string();
        assert_eq!(offset(&bus, &published(&nobody, "orders.new", at_ns)), None);
        assert_eq!(offset(&bus, &published("no id", "orders.new", at_ns)), None);
    }
}
