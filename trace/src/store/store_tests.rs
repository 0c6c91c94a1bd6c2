use loom_proto::semconv::attribute;
use rusqlite::Connection;

use super::*;
use crate::check::FindingKind;
use crate::model::{Attributes, Event, Identity, Link, Span, SpanKind, Status, StatusCode, Value};
use crate::prices::Prices;
use crate::spool::Position;
use crate::testing::{all_spans, golden_chain, plan, reader, span, span_id, trace_id};

fn writer() -> (tempfile::TempDir, Writer) {
    let dir = tempfile::tempdir().expect("a folder");
    let writer = crate::testing::writer(&dir);
    (dir, writer)
}

fn insert(writer: &mut Writer, spans: &[Span], received_ms: u64, offset: u64) -> writer::Written {
    let position = Position { segment: 1, offset };
    let result = writer.transaction::<_, StoreError>(|batch| {
        for span in spans {
            batch.insert(span, received_ms)?;
        }
        Ok((position, ()))
    });
    result.expect("written").0
}

fn count(dir: &tempfile::TempDir, sql: &str) -> i64 {
    reader(dir)
        .query_row(sql, [], |row| row.get(0))
        .expect("a number")
}

#[test]
fn a_span_comes_back_as_it_was() {
    let attributes: Attributes = [
        ("b", Value::Bool(true)),
        ("i", Value::Int(i64::MAX)),
        ("d", Value::Double(1.0)),
        ("y", Value::Bytes(vec![0, 1])),
        (
            "a",
            Value::Array(vec![Value::Empty, Value::from("ü\u{0}\n")]),
        ),
    ]
    .into_iter()
    .collect();
    let full = Span {
        kind: SpanKind::Consumer,
        trace_state: "a=b".to_owned(),
        flags: u32::MAX,
        status: Status {
            code: StatusCode::Error,
            message: "no".to_owned(),
        },
        attributes: attributes.clone(),
        dropped_attributes: 1,
        events: vec![Event {
            time_ns: u64::MAX,
            name: "e".to_owned(),
            attributes: attributes.clone(),
            dropped_attributes: 2,
        }],
        dropped_events: 3,
        links: vec![Link {
            trace_id: trace_id(9),
            span_id: span_id(9),
            trace_state: "c=d".to_owned(),
            flags: 1,
            attributes,
            dropped_attributes: 4,
        }],
        dropped_links: u32::MAX,
        identity: Identity {
            agent: Some("a".to_owned()),
            workflow: Some("w".to_owned()),
            session: Some("s".to_owned()),
            user: Some("u".to_owned()),
            tenant: Some("t".to_owned()),
            thread: Some("th".to_owned()),
        },
        ..span(2, 1, "full", 5, 3)
    };
    // In another trace, whose spans have nothing in common with it.
    let mut empty = span(1, 0, "", 0, 1);
    empty.trace_id = trace_id(2);
    let spans = vec![empty, full];
    let (dir, mut writer) = writer();
    insert(&mut writer, &spans, 7, 1);
    assert_eq!(all_spans(&dir), spans);
}

#[test]
fn a_stand_in_yields_to_the_span_itself_and_not_the_other_way_round() {
    let itself = span(2, 1, "itself", 5, 9);
    let mut stand_in = span(2, 1, "stand-in", 5, 5);
    let mark = (attribute::STAND_IN.to_owned(), Value::Bool(true));
    stand_in.attributes.0.push(mark);
    let orders = [
        [&stand_in, &itself, &stand_in],
        [&itself, &stand_in, &itself],
    ];
    for (place, order) in orders.into_iter().enumerate() {
        let (dir, mut writer) = writer();
        let spans = order.map(Span::clone);
        let written = insert(&mut writer, &spans[..1], 0, 1);
        assert_eq!((written.stored, written.duplicates), (1, 0), "{place}");
        let written = insert(&mut writer, &spans[1..], 0, 2);
        assert_eq!((written.stored, written.duplicates), (0, 2), "{place}");
        assert_eq!(all_spans(&dir), std::slice::from_ref(&itself), "{place}");
    }
}

#[test]
fn times_beyond_the_range_become_its_end() {
    let mut late = span(1, 0, "late", 0, 0);
    late.start_ns = u64::MAX;
    late.end_ns = u64::MAX;
    let (dir, mut writer) = writer();
    insert(&mut writer, &[late], 0, 1);
    assert_eq!(all_spans(&dir)[0].start_ns, i64::MAX.unsigned_abs());
}

#[test]
fn a_span_is_kept_once() {
    let (dir, mut writer) = writer();
    let spans = golden_chain();
    insert(&mut writer, &spans, 0, 1);
    let mut again = spans[0].clone();
    again.name = "another name".to_owned();
    let written = insert(&mut writer, &[again, span(100, 1, "new", 1, 2)], 0, 2);
    assert_eq!((written.stored, written.duplicates), (1, 1));
    assert_eq!(written.conflicts, 1, "two spans had one id");
    let written = insert(&mut writer, &spans[..2], 0, 2);
    assert_eq!(
        (written.duplicates, written.conflicts),
        (2, 0),
        "sent twice"
    );
    assert_eq!(all_spans(&dir)[0].name, "sensor.emit_data");
    assert_eq!(
        writer.position().expect("stored"),
        Position {
            segment: 1,
            offset: 2
        }
    );
}

#[test]
fn a_failed_transaction_leaves_nothing_behind() {
    let (dir, mut writer) = writer();
    insert(&mut writer, &[span(1, 0, "before", 0, 1)], 0, 1);
    let failed = writer.transaction::<(), StoreError>(|batch| {
        batch.insert(&span(2, 0, "lost", 0, 1).of("lost service"), 0)?;
        Err(rusqlite::Error::InvalidQuery.into())
    });
    assert!(failed.is_err());
    assert_eq!(writer.position().expect("stored").offset, 1);
    assert_eq!(count(&dir, "SELECT count(*) FROM services"), 1);
    // The same service again: its id of the failed transaction must not be remembered.
    insert(
        &mut writer,
        &[span(2, 0, "found", 0, 1).of("lost service")],
        0,
        2,
    );
    assert_eq!(all_spans(&dir)[1].service(), "lost service");
    let joined = "SELECT count(*) FROM spans JOIN services ON services.id = service_id
                  WHERE services.name = 'lost service'";
    assert_eq!(count(&dir, joined), 1);
}

#[test]
fn a_newer_database_is_refused() {
    let (dir, writer) = writer();
    drop(writer);
    let path = dir.path().join(FILE);
    let conn = Connection::open(&path).expect("opens");
    conn.execute("INSERT INTO schema_version (version) VALUES (99)", [])
        .expect("written");
    drop(conn);
    assert!(matches!(
        Writer::open(&path, Prices::default()),
        Err(StoreError::Newer { found: 99, .. })
    ));
}

#[test]
fn a_file_that_is_no_database_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE);
    std::fs::write(&path, "this is not a database, whatever its name says").expect("written");
    assert!(matches!(
        Writer::open(&path, Prices::default()),
        Err(StoreError::Sqlite(_))
    ));
}

/// Runs retention to its end; returns how many spans went and in how many steps.
fn expire(writer: &mut Writer, retention: &Retention, now_ms: u64) -> (u64, u32) {
    let (mut spans, mut steps) = (0, 0);
    loop {
        match writer.expire(retention, now_ms).expect("deleted") {
            0 => return (spans, steps),
            some => {
                spans += some;
                steps += 1;
            }
        }
    }
}

#[test]
fn old_traces_go_as_a_whole() {
    let (dir, mut writer) = writer();
    let mut other = span(50, 0, "other", 0, 1).of("other");
    other.trace_id = trace_id(2);
    let chain = golden_chain();
    // The trace begins long ago and ends now; another one lies between.
    insert(&mut writer, &chain[..4], 1_000, 1);
    insert(&mut writer, &[other], 50_000, 2);
    insert(&mut writer, &chain[4..], 60_000, 3);
    let retention = Retention {
        max_age_s: 20,
        max_spans: 0,
        max_bytes: 0,
    };
    assert_eq!(expire(&mut writer, &retention, 15_000), (0, 0));
    assert_eq!(expire(&mut writer, &retention, 60_000), (9, 1));
    let left = all_spans(&dir);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].name, "other");
    let findings = crate::check::check(&left, &crate::check::Options::default());
    assert!(!findings.iter().any(|f| f.kind == FindingKind::Orphan));
}

#[test]
fn a_long_trace_goes_in_steps_and_what_nobody_uses_goes_with_it() {
    let (dir, mut writer) = writer();
    let long: Vec<_> = (1..=5_000)
        .map(|id| span(id, 0, "long", 0, 1).of("gone"))
        .collect();
    insert(&mut writer, &long, 0, 1);
    let mut last = span(9_000, 0, "last", 0, 1).of("stays");
    last.trace_id = trace_id(2);
    insert(&mut writer, &[last.clone()], 0, 2);
    let retention = Retention {
        max_age_s: 0,
        max_spans: 1,
        max_bytes: 0,
    };
    assert_eq!(expire(&mut writer, &retention, 0), (5_000, 3));
    assert_eq!(all_spans(&dir), [last]);
    for table in ["services", "resources", "operations", "traces"] {
        assert_eq!(
            count(&dir, &format!("SELECT count(*) FROM {table}")),
            1,
            "{table}"
        );
    }
    // Used again after it has gone.
    insert(&mut writer, &[span(1, 0, "long", 0, 1).of("gone")], 0, 3);
    assert_eq!(all_spans(&dir)[1].service(), "gone");
}

#[test]
fn ids_go_on_where_they_were_though_the_newest_span_has_gone() {
    let (dir, mut writer) = writer();
    let traced = |trace, ids: std::ops::RangeInclusive<u64>| -> Vec<_> {
        let of = |id| Span {
            trace_id: trace_id(trace),
            start_ns: id,
            end_ns: id,
            ..span(id, 0, "s", 0, 0)
        };
        ids.map(of).collect()
    };
    insert(&mut writer, &traced(1, 1..=100), 1_000, 1);
    let retention = Retention {
        max_age_s: 1,
        max_spans: 0,
        max_bytes: 0,
    };
    assert_eq!(expire(&mut writer, &retention, 9_000), (100, 1));
    insert(&mut writer, &traced(2, 101..=200), 9_000, 2);
    insert(&mut writer, &traced(3, 201..=300), 9_000, 3);
    // Every span began when its id says.
    let right = "SELECT count(*) FROM span_rows WHERE id = start_ns AND id > 100";
    assert_eq!(count(&dir, right), 200);
    let conn = reader(&dir);
    let missing = blocks::missing(&conn).expect("compared");
    assert_eq!(missing, blocks::Missing::default());
}

#[test]
fn more_resources_than_are_remembered() {
    let (dir, mut writer) = writer();
    let spans: Vec<_> = (1..=5_000)
        .map(|id| span(id, 0, "x", 0, 1).of(&format!("s{id}")))
        .collect();
    insert(&mut writer, &spans, 0, 1);
    let again: Vec<_> = (1..=5_000)
        .map(|id| span(9_000 + id, 0, "x", 0, 1).of(&format!("s{id}")))
        .collect();
    insert(&mut writer, &again, 0, 2);
    assert_eq!(count(&dir, "SELECT count(*) FROM services"), 5_000);
    assert_eq!(count(&dir, "SELECT min(last_span) FROM resources"), 10_000);
    assert_eq!(all_spans(&dir)[7_777].service(), "s2778");
}

#[test]
fn a_full_disk_loses_nothing_and_is_left_behind() {
    let (dir, mut writer) = writer();
    insert(&mut writer, &[span(1, 0, "before", 0, 1)], 0, 1);
    let (conn, ..) = writer.parts();
    // SQLite then fails as it does on a full disk.
    let pages: i64 = conn
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .expect("a number");
    conn.query_row(
        &format!("PRAGMA max_page_count = {}", pages + 2),
        [],
        |_| Ok(()),
    )
    .expect("set");
    let spans: Vec<_> = (10..2_000)
        .map(|id| span(id, 1, "many", 0, 1).of("new"))
        .collect();
    let store = |writer: &mut Writer| {
        writer.transaction::<_, StoreError>(|batch| {
            spans.iter().try_for_each(|span| batch.insert(span, 0))?;
            Ok((
                Position {
                    segment: 1,
                    offset: 2,
                },
                (),
            ))
        })
    };
    let error = store(&mut writer).expect_err("no room");
    let StoreError::Sqlite(error) = error else {
        panic!("{error}");
    };
    assert_eq!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DiskFull)
    );
    assert_eq!(writer.position().expect("stored").offset, 1);
    assert_eq!(all_spans(&dir).len(), 1);

    let (conn, ..) = writer.parts();
    conn.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(()))
        .expect("set");
    assert_eq!(store(&mut writer).expect("room again").0.stored, 1_990);
    assert_eq!(all_spans(&dir)[1_000].service(), "new");
}

/// Targets of links, and who links to them.
fn links(dir: &tempfile::TempDir) -> Vec<(Vec<u8>, Vec<u8>, i64)> {
    let conn = reader(dir);
    let mut statement = conn
        .prepare("SELECT target_trace, target_span, span FROM links")
        .expect("valid");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.and_then(Iterator::collect).expect("links")
}

#[test]
fn the_way_back_from_a_link_goes_with_its_span() {
    let (dir, mut writer) = writer();
    let mut joins = span(1, 0, "joins", 0, 1);
    joins.links = [7, 8, 7]
        .map(|target| Link {
            trace_id: trace_id(9),
            span_id: span_id(target),
            trace_state: String::new(),
            flags: 1,
            attributes: Attributes::default(),
            dropped_attributes: 0,
        })
        .to_vec();
    let mut other = joins.clone();
    other.trace_id = trace_id(2);
    other.links.truncate(1);
    insert(&mut writer, &[joins.clone()], 1_000, 1);
    insert(&mut writer, &[joins, other], 60_000, 1);
    let to = |target: u64, from| {
        let trace = trace_id(9).as_bytes().to_vec();
        (trace, span_id(target).as_bytes().to_vec(), from)
    };
    assert_eq!(links(&dir), [to(7, 1), to(7, 2), to(8, 1)]);
    let retention = Retention {
        max_age_s: 20,
        max_spans: 0,
        max_bytes: 0,
    };
    assert_eq!(expire(&mut writer, &retention, 60_000), (1, 1));
    assert_eq!(links(&dir), [to(7, 2)]);
}

/// What docs/storage.md tells people who select by time.
#[test]
fn in_sql_the_blocks_say_where_a_time_begins() {
    let (dir, mut writer) = writer();
    insert(&mut writer, &golden_chain(), 0, 1);
    let conn = reader(&dir);
    let sql = "SELECT name FROM spans
               WHERE id >= (SELECT min(id) << 14 FROM blocks WHERE to_ns > ?1) AND start_ns > ?1";
    let names = |since: u64| -> usize {
        let mut statement = conn.prepare(sql).expect(sql);
        let names = statement.query_map([row::signed(since)], |row| row.get::<_, String>(0));
        names.expect("read").count()
    };
    let last = golden_chain().iter().map(|span| span.start_ns).max();
    let last = last.expect("there are some");
    assert_eq!(names(0), golden_chain().len());
    assert!((1..golden_chain().len()).contains(&names(last - 1)));
    assert_eq!(names(last), 0);
    let plan = plan(&conn, sql, [0]);
    let by_id = "SEARCH span USING INTEGER PRIMARY KEY (rowid>?)";
    assert!(plan.iter().any(|step| step.contains(by_id)), "{plan:?}");
}
