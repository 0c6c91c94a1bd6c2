use super::*;
use crate::model::{Attributes, Link, Span, TraceId, Value};
use crate::spool::Position;
use crate::testing::{span, span_id, trace_id};

/// A handler and what it has asked, as trace `number`.
fn spans(number: u64) -> [Span; 2] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&(number + 1).to_be_bytes());
    let trace = TraceId::from_bytes(&bytes).expect("not zero");
    let mut handler = span(1, 0, "agent.on_event", number, number + 1);
    handler.attributes = [("topic", Value::from("orders"))].into_iter().collect();
    handler.identity.agent = Some(format!("agent-{}", number % 3));
    handler.links.push(Link {
        trace_id: trace_id(9),
        span_id: span_id(number + 1),
        trace_state: String::new(),
        flags: 0,
        attributes: Attributes::default(),
        dropped_attributes: 0,
    });
    let mut asks = span(2, 1, "ask", number, number + 1);
    asks.attributes = [("text", Value::String("x".repeat(100)))]
        .into_iter()
        .collect();
    [handler, asks].map(|mut span| {
        span.trace_id = trace;
        span
    })
}

/// Stores traces of these numbers, each received at its number in ms.
fn store(writer: &mut Writer, numbers: std::ops::Range<u64>) {
    let stored = writer.transaction::<_, StoreError>(|batch| {
        for number in numbers {
            for span in spans(number) {
                batch.insert(&span, number)?;
            }
        }
        Ok((Position::default(), ()))
    });
    stored.expect("written");
}

fn stored(traces: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(&dir.path().join(FILE), Prices::default()).expect("opens");
    store(&mut writer, 0..traces);
    dir
}

const ALL: Retention = Retention {
    max_age_s: 0,
    max_spans: 0,
    max_bytes: 0,
};

#[test]
fn a_store_tells_how_it_is() {
    let dir = stored(2_000);
    let stats = stats(dir.path(), &ALL, 0).expect("read");
    assert_eq!((stats.spans, stats.traces), (4_000, 2_000));
    assert_eq!((stats.oldest_ms, stats.newest_ms), (Some(0), Some(1_999)));
    assert_eq!(stats.due, Due::default());
    let parts: u64 = stats.parts.iter().map(|part| part.bytes).sum();
    assert_eq!(parts, stats.used_bytes);
    let is_index = |name: &str| {
        stats
            .parts
            .iter()
            .any(|part| part.name == name && part.is_index)
    };
    assert!(is_index("spans_by_trace") && !is_index("span_rows"));
}

#[test]
fn what_is_due_is_what_goes() {
    let by_age = Retention {
        max_age_s: 1,
        ..ALL
    };
    let by_spans = Retention {
        max_spans: 1_001,
        ..ALL
    };
    for (retention, expected) in [(by_age, 1_000), (by_spans, 1_500)] {
        let dir = stored(2_000);
        let due = would_prune(dir.path(), &retention, 2_000).expect("read");
        assert_eq!((due.traces, due.spans), (expected, 2 * expected));
        let pruned = prune(dir.path(), &retention, 2_000, false).expect("deleted");
        assert_eq!(pruned.spans, due.spans);
        let left = stats(dir.path(), &retention, 2_000).expect("read");
        assert_eq!((left.traces, left.due), (2_000 - expected, Due::default()));
        assert_eq!(verify(dir.path()).expect("read"), []);
    }
}

#[test]
fn a_bound_of_bytes_is_kept_and_room_is_used_again_or_given_back() {
    let dir = stored(6_000);
    let path = dir.path().join(FILE);
    let full = stats(dir.path(), &ALL, 0).expect("read").used_bytes;
    let retention = Retention {
        max_bytes: full / 2,
        ..ALL
    };
    assert!(would_prune(dir.path(), &retention, 0).expect("read").traces > 2_000);
    let pruned = prune(dir.path(), &retention, 0, false).expect("deleted");
    assert_eq!(pruned.used_bytes_before, full);
    assert!(
        pruned.used_bytes <= full / 2 && pruned.used_bytes > full / 3,
        "{pruned:?}"
    );
    assert!(pruned.file_bytes >= full);
    // As many again as have gone find room in the file.
    let mut writer = Writer::open(&path, Prices::default()).expect("opens");
    store(&mut writer, 6_000..8_000);
    writer.checkpoint().expect("written");
    drop(writer);
    assert!(bytes_of(&path) <= pruned.file_bytes + (full / 10));
    let pruned = prune(dir.path(), &retention, 0, true).expect("deleted");
    assert!(pruned.file_bytes <= full / 2, "{pruned:?}");
    assert_eq!(verify(dir.path()).expect("read"), []);
}

#[test]
fn what_is_wrong_is_found() {
    let plants = [
        (
            "DELETE FROM names WHERE text = 'agent-1'",
            "spans whose agent is not in names",
            1,
        ),
        (
            "DELETE FROM traces WHERE id = 1",
            "spans whose trace is not in traces",
            2,
        ),
        (
            "UPDATE measures SET status = 9 WHERE id = 1",
            "measures that say something else than their span",
            1,
        ),
        (
            "INSERT INTO links VALUES (x'01', x'02', 999)",
            "links without their span",
            1,
        ),
        (
            "INSERT INTO traces (id, trace_id) VALUES (99, x'01'); INSERT INTO trace_ids VALUES (x'01', 99)",
            "traces without spans",
            1,
        ),
        (
            "DELETE FROM new_trace_ids WHERE trace = 1",
            "traces that are not found by their id",
            1,
        ),
        (
            "INSERT INTO trace_ids SELECT trace_id, 2 FROM traces WHERE id = 1",
            "traces that are not found by their id",
            1,
        ),
        (
            "INSERT INTO trace_ids VALUES (x'01', 99)",
            "ids of traces that are not there",
            1,
        ),
        (
            "UPDATE span_rows SET own = '{' WHERE id = 2",
            "spans whose attributes are no JSON",
            1,
        ),
        (
            "DELETE FROM postings WHERE list = 0",
            "lists in which a span is missing",
            6,
        ),
        (
            "DELETE FROM samples WHERE list = 0",
            "lists in which figures are missing",
            3,
        ),
    ];
    for (plant, what, count) in plants {
        let dir = stored(3);
        let conn = Connection::open(dir.path().join(FILE)).expect("opens");
        conn.execute_batch(plant).expect(plant);
        let faults = verify(dir.path()).expect("read");
        assert_eq!(faults.len(), 1, "{plant}: {faults:?}");
        assert_eq!((faults[0].what.as_str(), faults[0].count), (what, count));
    }
}

#[test]
fn a_running_server_keeps_its_directory_and_can_be_looked_at() {
    let dir = stored(3);
    let _server = lock(dir.path()).expect("free");
    assert!(matches!(
        prune(dir.path(), &ALL, 0, false),
        Err(StoreError::Locked(_))
    ));
    assert!(matches!(migrate(dir.path()), Err(StoreError::Locked(_))));
    assert_eq!(stats(dir.path(), &ALL, 0).expect("read").spans, 6);
    assert_eq!(verify(dir.path()).expect("read"), []);
}

#[test]
fn an_older_store_is_changed_only_when_it_is_said() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(
        stats(dir.path(), &ALL, 0),
        Err(StoreError::Missing(_))
    ));
    assert!(matches!(migrate(dir.path()), Err(StoreError::Missing(_))));
    let conn = Connection::open(dir.path().join(FILE)).expect("opens");
    conn.execute_batch(include_str!("../../tests/data/schema_5.sql"))
        .expect("loaded");
    drop(conn);
    let older = |result: Result<(), StoreError>| {
        matches!(
            result,
            Err(StoreError::Older {
                found: 5,
                known: NEWEST,
                ..
            })
        )
    };
    assert!(older(stats(dir.path(), &ALL, 0).map(drop)));
    assert!(older(prune(dir.path(), &ALL, 0, false).map(drop)));
    let expected = Migrated {
        from: 5,
        to: NEWEST,
    };
    assert_eq!(migrate(dir.path()).expect("migrated"), expected);
    assert_eq!(stats(dir.path(), &ALL, 0).expect("read").spans, 10);
    assert_eq!(verify(dir.path()).expect("read"), []);
}
