use super::*;
use crate::model::{Attributes, Span, Value};
use crate::prices::Prices;
use crate::spool::Position;
use crate::store::{self, Writer};
use crate::testing::{span, span_id, trace_id};

fn below(id: u64, parent: u64, start_ms: u64, end_ms: u64, key: &str, value: &str) -> Span {
    let mut found = span(id, parent, "x", start_ms, end_ms);
    found.kind = SpanKind::Client;
    found.attributes = [(key, Value::from(value))].into_iter().collect();
    found
}

fn of(spans: &[Span]) -> Option<Timing> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(store::FILE);
    let mut writer = Writer::open(&path, Prices::default()).expect("opens");
    let written = writer.transaction::<_, StoreError>(|batch| {
        spans.iter().try_for_each(|span| batch.insert(span, 0))?;
        Ok((Position::default(), ()))
    });
    written.expect("written");
    let conn = store::open_reader(&path).expect("opens");
    timing(&conn, trace_id(1), span_id(2)).expect("read")
}

fn handler(attributes: Attributes) -> Span {
    Span {
        attributes,
        ..span(2, 1, "agent.on_event", 100, 200)
    }
}

#[test]
fn times_of_what_was_open_count_once_and_only_within_the_handler() {
    let mut forward = span(1, 0, "bridge.forward", 90, 99);
    forward.attributes = [(attribute::QUEUE_WAIT_US, Value::Double(2_500.0))]
        .into_iter()
        .collect();
    let phases = [("loom.phase.llm_processing_ms", Value::Double(60.0))]
        .into_iter()
        .collect();
    let spans = [
        forward,
        handler(phases),
        // Two calls at once: 110 to 150 in all, one of them with an HTTP request and a user's span between.
        below(10, 2, 110, 140, "gen_ai.operation.name", "chat"),
        below(11, 2, 120, 150, "gen_ai.operation.name", "chat"),
        span(12, 10, "mine", 110, 140),
        below(13, 12, 112, 132, "http.request.method", "POST"),
        below(20, 2, 150, 160, "gen_ai.operation.name", "execute_tool"),
        below(21, 20, 152, 155, "db.system", "sqlite"),
        below(22, 20, 156, 158, "db.system.name", "sqlite"),
        // It goes on after the handler has ended, and one began before it.
        below(23, 2, 190, 500, "http.method", "GET"),
        // What others do with what it has published is not its time.
        span(30, 2, "bridge.publish", 160, 161),
        below(31, 30, 162, 180, "gen_ai.operation.name", "chat"),
    ];
    let expected = Timing {
        total_ms: Some(100.0),
        queue_wait_ms: Some(2.5),
        phases: [("llm_processing_ms".to_owned(), 60.0)].into(),
        llm_ms: 40.0,
        tool_ms: 10.0,
        database_ms: 5.0,
        http_ms: 30.0,
    };
    assert_eq!(of(&spans), Some(expected));
}

#[test]
fn what_was_not_recorded_is_unknown() {
    let stand_in = [(attribute::STAND_IN, Value::Bool(true))]
        .into_iter()
        .collect();
    let timing = of(&[handler(stand_in)]).expect("a handler");
    assert_eq!((timing.total_ms, timing.queue_wait_ms), (None, None));
    assert_eq!(of(&[span(2, 1, "no handler", 0, 1)]), None);
    assert_eq!(of(&[span(3, 1, "another", 0, 1)]), None);
}

#[test]
fn spans_in_a_circle_end() {
    let spans = [
        handler(Attributes::default()),
        below(3, 2, 110, 120, "db.system", "x"),
        span(2_000, 2_001, "circle", 0, 1),
        span(2_001, 2_000, "circle", 0, 1),
    ];
    assert!(of(&spans).is_some_and(|timing| (timing.database_ms - 10.0).abs() < 1e-9));
}

#[test]
fn times_are_united() {
    let cases = [
        (vec![], 0),
        (vec![(0, 10), (5, 15), (20, 30)], 25),
        (vec![(5, 6), (0, 10), (10, 12)], 12),
        (vec![(10, 5), (7, 7)], 0),
    ];
    for (times, expected) in cases {
        assert_eq!(union_ns(times.clone()), expected, "{times:?}");
    }
}
