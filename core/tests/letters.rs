//! Dead letters: which are open, found by what is said of them, closed for good, and their events as they were.

#[path = "common/held_journal.rs"]
mod held_journal;

use std::sync::Arc;

use held_journal::HeldJournal;
use loom_core::group::dead_letter::header;
use loom_core::group::letters::{DeadLetters, LetterFilter, LetterPage, REDRIVEN_FROM};
use loom_core::{BusConfig, Event, EventBus, Journal, Stream, StreamConfig, Tracer};
use loom_proto::{EventId, SpanId, TraceContext, v1};
use loom_telemetry::ids;

const ALL: usize = 1000;

/// A bus whose dead letters the test writes.
struct Office {
    bus: EventBus,
    journal: Arc<HeldJournal>,
}

impl Office {
    fn over(journal: Arc<HeldJournal>) -> Self {
        let kept = Arc::clone(&journal) as Arc<dyn Journal>;
        let stream = Stream::open(StreamConfig::new("dlq", &["dlq.>"]), kept).expect("valid");
        let bus = EventBus::with_streams(BusConfig::default(), Tracer::off(), vec![stream]);
        Self {
            bus: bus.expect("apart"),
            journal,
        }
    }

    fn open() -> Self {
        Self::over(HeldJournal::new(100_000))
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::among(self.bus.streams()).expect("it is kept")
    }

    async fn write(&self, topic: &str, group: &str, trace: Option<TraceContext>) -> EventId {
        let metadata = [
            (header::TOPIC, topic),
            (header::GROUP, group),
            (header::EVENT_ID, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            (
                header::ATTEMPTS,
                r#"[{"number":1,"error":"no","span_id":"0102030405060708","time_unix_ms":5},{"number":2,"error":"lost","time_unix_ms":6}]"#,
            ),
            ("customer", "42"),
        ];
        let mut event = Event::new(v1::Event {
            topic: "dlq.orders.workers".to_owned(),
            payload: topic.to_owned().into(),
            metadata: metadata
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            envelope: Some(v1::Envelope {
                thread_id: "t".to_owned(),
                traceparent: ids::new_root(true).to_string(),
                baggage: "tenant=a".to_owned(),
                ..v1::Envelope::default()
            }),
            ..v1::Event::default()
        })
        .expect("valid");
        event.set_trace(trace);
        let id = event.id();
        self.bus.publish(event).await.expect("taken");
        id
    }
}

fn offsets(page: &LetterPage) -> Vec<u64> {
    page.letters.iter().map(|letter| letter.offset).collect()
}

fn any() -> LetterFilter {
    LetterFilter::default()
}

#[tokio::test]
async fn the_newest_come_first_and_page_by_page() {
    let office = Office::open();
    for _ in 0..700 {
        office.write("orders.new", "workers", None).await;
    }
    office.journal.commit();
    let letters = office.letters();
    letters.close(&[3, 4, 698]).expect("closed");
    let mut before = None;
    let mut found = Vec::new();
    loop {
        let page = letters.newest(&any(), before, 99, false).expect("read");
        assert_eq!(page.open, 697);
        assert!(page.letters.len() <= 99);
        assert!(
            page.letters
                .iter()
                .all(|l| l.event.payload.is_empty() && l.payload_len == 10)
        );
        found.extend(offsets(&page));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let expected = (0..700).rev().filter(|at| ![3, 4, 698].contains(at));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn the_oldest_come_in_order_with_their_payloads_and_no_further_than_is_said() {
    let office = Office::open();
    for topic in ["orders.new", "orders.old", "orders.new", "orders.new"] {
        office.write(topic, "workers", None).await;
    }
    office.journal.commit();
    let letters = office.letters();
    let new = LetterFilter {
        topic: "*.new".to_owned(),
        ..any()
    };
    let page = letters.oldest(&new, 0..3, 1).expect("read");
    assert_eq!((offsets(&page), page.next), (vec![0], Some(1)));
    let page = letters.oldest(&new, 1..3, ALL).expect("read");
    assert_eq!((offsets(&page), page.next), (vec![2], None));
    assert_eq!(page.letters[0].event.payload, "orders.new");
}

#[tokio::test]
async fn they_are_found_by_what_is_said_of_them() {
    let office = Office::open();
    let trace = ids::new_root(true);
    let first = office.write("orders.new", "workers", Some(trace)).await;
    office.write("orders.old", "archive", None).await;
    office.journal.commit();
    let letters = office.letters();
    let found =
        |filter: &LetterFilter| offsets(&letters.newest(filter, None, ALL, false).expect("read"));
    assert_eq!(found(&any()), [1, 0]);
    let by = |change: fn(&mut LetterFilter)| {
        let mut filter = any();
        change(&mut filter);
        found(&filter)
    };
    assert_eq!(by(|f| f.topic = "orders.*".to_owned()), [1, 0]);
    assert_eq!(by(|f| f.topic = "orders.old".to_owned()), [1]);
    assert_eq!(by(|f| f.topic = "dlq.>".to_owned()), [0; 0]);
    assert_eq!(by(|f| f.group = "workers".to_owned()), [0]);
    let by_id = |id| LetterFilter {
        ids: vec![EventId::now(), id],
        ..any()
    };
    assert_eq!(found(&by_id(first)), [0]);
    let dead = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
        .parse()
        .expect("an id");
    assert_eq!(found(&by_id(dead)), [1, 0], "both tell of it");
    let by_trace = LetterFilter {
        trace: Some(trace.trace_id),
        ..any()
    };
    assert_eq!(found(&by_trace), [0]);
    let both = LetterFilter {
        group: "archive".to_owned(),
        ..by_trace
    };
    assert_eq!(found(&both), [0; 0]);
}

#[tokio::test]
async fn what_is_closed_stays_so_after_a_restart() {
    let office = Office::open();
    for _ in 0..4 {
        office.write("orders.new", "workers", None).await;
    }
    office.journal.commit();
    let letters = office.letters();
    letters.close(&[2]).expect("closed");
    letters.close(&[0, 2]).expect("closed");
    let office = Office::over(office.journal);
    let page = office.letters().newest(&any(), None, ALL, false);
    let page = page.expect("read");
    assert_eq!((offsets(&page), page.open), (vec![3, 1], 2));
}

#[tokio::test]
async fn its_event_is_redriven_as_it_was() {
    let office = Office::open();
    let trace = ids::new_root(true);
    let id = office.write("orders.new", "workers", Some(trace)).await;
    office.journal.commit();
    let letters = office.letters();
    let page = letters.oldest(&any(), 0..9, ALL).expect("read");
    let letter = &page.letters[0];
    let last = TraceContext {
        span_id: SpanId([1, 2, 3, 4, 5, 6, 7, 8]),
        ..trace
    };
    assert_eq!(letter.last_context(), Some(last), "the last that was sent");

    let event = letter.redriven().expect("it says where from");
    assert_eq!(
        (event.topic.as_str(), &event.payload[..]),
        ("orders.new", &b"orders.new"[..])
    );
    assert_eq!(event.id, id.derived("redriven").0.as_slice());
    let headers: Vec<_> = event.metadata.into_iter().collect();
    let expected = [("customer", "42"), (REDRIVEN_FROM, &id.to_string())];
    assert_eq!(headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let envelope = event.envelope.expect("it had one");
    assert_eq!(
        (
            &*envelope.thread_id,
            &*envelope.baggage,
            &*envelope.traceparent
        ),
        ("t", "tenant=a", "")
    );
}

#[tokio::test]
async fn what_no_group_has_written_cannot_be_redriven() {
    let office = Office::open();
    let strange = Event::on("dlq.mine", "x").expect("valid");
    office.bus.publish(strange).await.expect("taken");
    office.journal.commit();
    let page = office.letters().oldest(&any(), 0..9, ALL).expect("read");
    assert!(page.letters[0].redriven().is_err());
}
