//! A journal of events, on a disk or in memory, gives what a vector would that forgets its oldest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use loom_core::{Cursor, Event, Journal, Lineage, MemoryConfig, MemoryJournal, Storage, Ticket};
use loom_journal::{EventLog, LogConfig, SyncPolicy};
use loom_proto::{SpanId, TraceContext, TraceFlags, TraceId};
use proptest::prelude::*;

use crate::support::MemoryDisk;

#[derive(Clone, Debug)]
enum Operation {
    /// Payload, and how much later than the last one.
    Append(Vec<u8>, u64),
    Read {
        from: prop::sample::Index,
        max_bytes: usize,
    },
    OffsetAt(prop::sample::Index),
    /// This long after the last event.
    Retain(u64),
    SaveCursor(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (prop::collection::vec(any::<u8>(), 0..300), 0..3_u64)
            .prop_map(|(payload, later)| Operation::Append(payload, later)),
        3 => (any::<prop::sample::Index>(), 0..2000_usize)
            .prop_map(|(from, max_bytes)| Operation::Read { from, max_bytes }),
        2 => any::<prop::sample::Index>().prop_map(Operation::OffsetAt),
        1 => (0..200_u64).prop_map(Operation::Retain),
        1 => (0..100_u64).prop_map(Operation::SaveCursor),
    ]
}

/// A journal may count what it keeps with an event beside its bytes.
const BESIDE: usize = 64;
const MAX_AGE: Duration = Duration::from_nanos(150);

/// A fresh journal of either kind.
fn open(storage: Storage, max_bytes: u64) -> Box<dyn Journal> {
    match storage {
        Storage::Memory => Box::new(MemoryJournal::new(MemoryConfig {
            max_bytes,
            max_age: Some(MAX_AGE),
        })),
        Storage::Disk => {
            let config = LogConfig {
                segment_bytes: 1024,
                max_bytes: Some(max_bytes),
                max_age: Some(MAX_AGE),
                sync: SyncPolicy::Never,
                ..LogConfig::default()
            };
            let disk = Arc::new(MemoryDisk::default());
            Box::new(EventLog::open_on(disk, config).expect("it opens").0)
        }
    }
}

fn event(payload: &[u8], unix_nano: u64) -> Event {
    let event = Event::on("orders.new", Bytes::copy_from_slice(payload)).expect("valid");
    let trace = TraceContext {
        trace_id: TraceId([payload.len() as u8 | 1; 16]),
        span_id: SpanId([unix_nano as u8 | 1; 8]),
        flags: TraceFlags(1),
    };
    let lineage = Lineage::default();
    Event::restored(event.wire().clone(), Some(trace), lineage, unix_nano).expect("valid")
}

/// What a reader sees of an event.
fn seen(event: &Event) -> impl PartialEq + std::fmt::Debug + use<> {
    let times = event.published_unix_nano();
    (event.wire().clone(), event.trace(), event.lineage(), times)
}

fn settle(journal: &dyn Journal, ticket: Ticket) {
    let mut progress = journal.progress();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        loop {
            progress.borrow_and_update();
            if let Some(outcome) = journal.outcome(ticket) {
                return outcome.expect("committed");
            }
            progress.changed().await.expect("it is open");
        }
    });
}

fn is_a_vector(
    journal: &dyn Journal,
    operations: Vec<Operation>,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut model: Vec<Event> = Vec::new();
    let mut now = 1;
    let mut begin = 0;
    let mut saved = None;
    for operation in operations {
        match operation {
            Operation::Append(payload, later) => {
                now += later;
                let event = event(&payload, now);
                let ticket = journal.append(&event).expect("taken");
                prop_assert_eq!(ticket.offset, model.len() as u64);
                settle(journal, ticket);
                model.push(event);
                prop_assert_eq!(journal.progress().borrow().committed, model.len() as u64);
            }
            Operation::Read { from, max_bytes } => {
                let from = from.index(model.len() + 1) as u64;
                let read = journal.read(from, max_bytes).expect("readable");
                prop_assert!(read.damaged.is_empty());
                prop_assert_eq!(read.released, begin);
                let first = from.max(begin);
                let mut bytes = 0;
                for (expected, (offset, event)) in (first..).zip(&read.events) {
                    prop_assert!(bytes < max_bytes.max(1));
                    prop_assert_eq!(*offset, expected);
                    prop_assert_eq!(seen(event), seen(&model[expected as usize]));
                    bytes += event.wire().len();
                }
                prop_assert_eq!(read.next, first + read.events.len() as u64);
                let counted = bytes + BESIDE * read.events.len();
                prop_assert!(counted >= max_bytes.max(1) || read.next >= model.len() as u64);
            }
            Operation::OffsetAt(time) => {
                let time = time.index(now as usize + 2) as u64;
                let mut events = (begin..).zip(&model[begin as usize..]);
                let found = events.find(|(_, event)| event.published_unix_nano() >= time);
                let expected = found.map_or(model.len() as u64, |(offset, _)| offset);
                prop_assert_eq!(journal.offset_at(time), Ok(expected));
            }
            Operation::Retain(later) => journal.retain(now + later),
            Operation::SaveCursor(floor) => {
                let cursor = Cursor::at(floor);
                journal.save_cursor("workers", &cursor).expect("saved");
                saved = Some(cursor);
            }
        }
        prop_assert!((begin..=model.len() as u64).contains(&journal.begin()));
        begin = journal.begin();
        prop_assert_eq!(journal.end(), model.len() as u64);
        prop_assert_eq!(journal.load_cursor("workers"), Ok(saved.clone()));
        let groups = journal.cursors().expect("listed");
        prop_assert_eq!(groups.len(), usize::from(saved.is_some()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_journal_of_events_is_a_vector_that_forgets_its_oldest(
        storage in prop_oneof![Just(Storage::Disk), Just(Storage::Memory)],
        operations in prop::collection::vec(operation(), 1..120),
        max_bytes in 1000..20_000_u64,
    ) {
        let journal = open(storage, max_bytes);
        prop_assert_eq!(journal.storage(), storage);
        is_a_vector(&*journal, operations)?;
    }
}
