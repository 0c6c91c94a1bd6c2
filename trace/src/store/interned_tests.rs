use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::model::{Span, SpanId};
use crate::prices::Prices;
use crate::spool::Position;
use crate::store::row::{SELECT, SpanReader};
use crate::store::{FILE, Retention, Writer, open_reader, upkeep};
use crate::testing::{span, trace_id};

/// What may happen to traces.
#[derive(Debug, Clone)]
enum Step {
    /// A transaction stores a span of each of these.
    Store(Vec<u8>),
    /// The same, and it fails.
    Fail(Vec<u8>),
    /// All spans go but for so many, and what is with them in their traces.
    Keep(u64),
    /// The server starts anew.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let traces = || prop::collection::vec(1..16_u8, 1..12);
    prop_oneof![
        6 => traces().prop_map(Step::Store),
        1 => traces().prop_map(Step::Fail),
        2 => (1..8_u64).prop_map(Step::Keep),
        1 => Just(Step::Restart),
    ]
}

/// Stores a span of each of these traces in one transaction, and undoes it where it `fails`.
fn store(writer: &mut Writer, spans: &[Span], fails: bool) {
    let done = writer.transaction::<_, StoreError>(|batch| {
        for span in spans {
            batch.insert(span, 0)?;
        }
        if fails {
            return Err(rusqlite::Error::InvalidQuery.into());
        }
        Ok((Position::default(), ()))
    });
    assert_eq!(done.is_err(), fails, "{done:?}");
}

fn of_trace(number: u8, id: u64) -> Span {
    Span {
        trace_id: trace_id(number),
        ..span(id, 0, "x", id, id + 1)
    }
}

fn writer(dir: &tempfile::TempDir) -> Writer {
    Writer::open(&dir.path().join(FILE), Prices::default()).expect("opens")
}

fn expire(writer: &mut Writer, max_spans: u64) {
    let retention = Retention {
        max_age_s: 0,
        max_spans,
        max_bytes: 0,
    };
    while writer.expire(&retention, 0).expect("deleted") > 0 {}
}

/// The traces of all stored spans.
fn read(dir: &tempfile::TempDir) -> HashMap<SpanId, TraceId> {
    let conn = open_reader(&dir.path().join(FILE)).expect("opens");
    let mut reader = SpanReader::new(&conn);
    let mut statement = conn.prepare(SELECT).expect("valid");
    let mut rows = statement.query([]).expect("runs");
    let mut found = HashMap::new();
    while let Some(row) = rows.next().expect("runs") {
        let span = reader.span(row).expect("readable");
        found.insert(span.span_id, span.trace_id);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_span_is_of_its_trace_whatever_was_remembered(steps in prop::collection::vec(step(), 1..24)) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut writer = self::writer(&dir);
        let mut sent = HashMap::new();
        let mut id = 0;
        for step in steps {
            let mut spans = |traces: Vec<u8>| -> Vec<Span> {
                let ids = id + 1..;
                id += traces.len() as u64;
                traces.into_iter().zip(ids).map(|(trace, id)| of_trace(trace, id)).collect()
            };
            match step {
                Step::Store(traces) => {
                    let spans = spans(traces);
                    store(&mut writer, &spans, false);
                    let stored = read(&dir);
                    for span in &spans {
                        prop_assert_eq!(stored.get(&span.span_id), Some(&span.trace_id));
                        sent.insert(span.span_id, span.trace_id);
                    }
                }
                Step::Fail(traces) => store(&mut writer, &spans(traces), true),
                Step::Keep(count) => expire(&mut writer, count),
                Step::Restart => {
                    drop(writer);
                    writer = self::writer(&dir);
                }
            }
            for (span, trace) in read(&dir) {
                prop_assert_eq!(sent.get(&span), Some(&trace));
            }
            prop_assert_eq!(upkeep::verify(dir.path()).expect("read"), []);
        }
    }
}

#[test]
fn a_trace_that_has_gone_is_a_new_one_when_it_comes_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = writer(&dir);
    store(&mut writer, &[of_trace(1, 1), of_trace(1, 2)], false);
    expire(&mut writer, 1);
    assert_eq!(read(&dir), HashMap::new());
    store(&mut writer, &[of_trace(1, 3)], false);
    assert_eq!(read(&dir).values().collect::<Vec<_>>(), [&trace_id(1)]);
    assert_eq!(upkeep::verify(dir.path()).expect("read"), []);
}

#[test]
fn where_all_have_gone_and_numbers_begin_anew_traces_are_remembered() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = writer(&dir);
    store(
        &mut writer,
        &[of_trace(1, 1), of_trace(2, 2), of_trace(2, 3)],
        false,
    );
    expire(&mut writer, 1);
    assert_eq!(read(&dir), HashMap::new());
    store(&mut writer, &[of_trace(3, 4)], false);
    let (conn, traces, _) = writer.parts();
    traces.last = None;
    conn.execute("DELETE FROM new_trace_ids", [])
        .expect("deleted");
    // It is not looked for.
    let trace = traces.of(conn, trace_id(3), &Identity::default());
    assert_eq!(trace.expect("remembered").number, 1);
    assert_eq!(traces.young.traces.len(), 1);
}
