use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::model::{Span, SpanId};
use crate::store::upkeep;
use crate::testing::{all_spans, expire_to, insert, insert_and_fail, span, trace_id, writer};

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

fn of_trace(number: u8, id: u64) -> Span {
    Span {
        trace_id: trace_id(number),
        ..span(id, 0, "x", id, id + 1)
    }
}

/// The traces of all stored spans.
fn read(dir: &tempfile::TempDir) -> HashMap<SpanId, TraceId> {
    let spans = all_spans(dir).into_iter();
    spans.map(|span| (span.span_id, span.trace_id)).collect()
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
                    insert(&mut writer, &spans);
                    let stored = read(&dir);
                    for span in &spans {
                        prop_assert_eq!(stored.get(&span.span_id), Some(&span.trace_id));
                        sent.insert(span.span_id, span.trace_id);
                    }
                }
                Step::Fail(traces) => insert_and_fail(&mut writer, &spans(traces)),
                Step::Keep(count) => expire_to(&mut writer, count),
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
    insert(&mut writer, &[of_trace(1, 1), of_trace(1, 2)]);
    expire_to(&mut writer, 1);
    assert_eq!(read(&dir), HashMap::new());
    insert(&mut writer, &[of_trace(1, 3)]);
    assert_eq!(read(&dir).values().collect::<Vec<_>>(), [&trace_id(1)]);
    assert_eq!(upkeep::verify(dir.path()).expect("read"), []);
}

#[test]
fn where_all_have_gone_and_numbers_begin_anew_traces_are_remembered() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = writer(&dir);
    insert(
        &mut writer,
        &[of_trace(1, 1), of_trace(2, 2), of_trace(2, 3)],
    );
    expire_to(&mut writer, 1);
    assert_eq!(read(&dir), HashMap::new());
    insert(&mut writer, &[of_trace(3, 4)]);
    let (conn, traces, _) = writer.parts();
    traces.last = None;
    conn.execute("DELETE FROM new_trace_ids", [])
        .expect("deleted");
    // It is not looked for.
    let trace = traces.of(conn, trace_id(3), &Identity::default());
    assert_eq!(trace.expect("remembered").number, 1);
    assert_eq!(traces.young.traces.len(), 1);
}
