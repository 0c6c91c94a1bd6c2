use rusqlite::Connection;
use rusqlite::types::Value;

use crate::prices::Prices;
use crate::store::{FILE, Writer, blocks};

/// A database that Loom wrote when its schema was at step 5, as `sqlite3 traces.db .dump` tells it.
const STEP_5: &str = include_str!("../../tests/data/schema_5.sql");

/// What people were promised, each in an order of its own.
const PROMISED: [&str; 8] = [
    "SELECT id, trace_id, span_id, parent_span_id, received_ms, created_at, service_id, resource_id, scope_id, kind, start_ns,
         end_ns, status, flags, name, agent_id, workflow_id, session_id, user_id, tenant_id, thread_id, status_message,
         trace_state, dropped_attributes, dropped_events, dropped_links, attributes, events, links
     FROM spans ORDER BY id",
    "SELECT * FROM executions ORDER BY id",
    "SELECT * FROM agent_executions ORDER BY execution_id",
    "SELECT * FROM agent_events ORDER BY event_id",
    "SELECT * FROM error_logs ORDER BY error_id",
    "SELECT * FROM trace_correlations ORDER BY span_id, relation",
    "SELECT * FROM performance_metrics ORDER BY metric_id",
    "SELECT name, kind FROM operations ORDER BY service, name, kind",
];

fn rows(conn: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = conn.prepare(sql).expect(sql);
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
    rows.and_then(Iterator::collect).expect(sql)
}

#[test]
fn an_older_database_says_the_same_when_it_is_migrated() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(FILE);
    let conn = Connection::open(&path).expect("opens");
    conn.execute_batch(STEP_5).expect("loaded");
    let before = PROMISED.map(|sql| rows(&conn, sql));
    assert!(before.iter().all(|rows| !rows.is_empty()));
    drop(conn);
    drop(Writer::open(&path, Prices::default()).expect("migrated"));
    let conn = Connection::open(&path).expect("opens");
    for (sql, before) in PROMISED.into_iter().zip(before) {
        assert_eq!(rows(&conn, sql), before, "{sql}");
    }
    let unlisted = blocks::missing(&conn).expect("compared");
    assert_eq!(unlisted, blocks::Missing::default());
    let listed = "SELECT DISTINCT list FROM postings ORDER BY list";
    assert!(rows(&conn, listed).len() > 5, "{:?}", rows(&conn, listed));
    let links = "SELECT lower(hex(target_trace)), lower(hex(target_span)), span FROM links";
    let joined = Value::from("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
    let first = Value::from("0000000000000001".to_owned());
    assert_eq!(rows(&conn, links), [[joined, first, Value::from(6)]]);
}
