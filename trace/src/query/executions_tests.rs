use rusqlite::types::Value as Sql;

use super::*;
use crate::model::{Attributes, Event, Identity, Link, Span, Status, StatusCode};
use crate::testing::{BASE, MS, plan, span, span_id, stored, trace_id};

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs
        .iter()
        .map(|(key, text)| (*key, Value::from(*text)))
        .collect()
}

/// A handler's span under span `id - 1`, from `id` ms on.
fn handler(id: u64, agent: &str) -> Span {
    Span {
        attributes: attributes(&[("topic", "orders.new"), ("correlation_id", "c-1")]),
        identity: Identity {
            agent: Some(agent.to_owned()),
            ..Identity::default()
        },
        ..span(id, id - 1, "agent.on_event", id, id + 2)
    }
}

fn ended(mut span: Span, state: &str) -> Span {
    span.status = Status {
        code: StatusCode::Error,
        message: format!("it is {state}"),
    };
    span.attributes
        .0
        .push(("loom.execution.state".to_owned(), Value::from(state)));
    span
}

/// Two of each kind, and spans that are no executions between them.
fn mixed() -> Vec<Span> {
    let mut spans = Vec::new();
    for round in 0..2 {
        let at = 10 + 20 * round;
        spans.push(span(at - 1, 0, "bridge.forward", at - 1, at));
        spans.push(handler(at, "worker"));
        spans.push(handler(at + 2, "worker").failed("ValueError: no"));
        spans.push(ended(handler(at + 4, "other"), "TIMEOUT"));
        spans.push(ended(handler(at + 6, "other"), "DEAD"));
        spans.push(span(at + 8, at, "chat model", at + 8, at + 9).failed("not ours"));
    }
    spans
}

fn rows(conn: &Connection, sql: &str) -> Vec<Vec<Sql>> {
    let mut statement = conn.prepare(sql).expect("valid");
    let columns = statement.column_count();
    let read = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
    read.and_then(Iterator::collect).expect("rows")
}

fn texts(conn: &Connection, sql: &str) -> Vec<Vec<String>> {
    let text = |value| match value {
        Sql::Text(text) => text,
        Sql::Null => "-".to_owned(),
        other => format!("{other:?}"),
    };
    let rows = rows(conn, sql).into_iter();
    rows.map(|row| row.into_iter().map(text).collect())
        .collect()
}

fn ids(found: &[StoredExecution]) -> Vec<u64> {
    let number = |id: SpanId| u64::from_be_bytes(*id.as_bytes());
    found
        .iter()
        .map(|execution| number(execution.span_id))
        .collect()
}

/// A state that is none, as whoever is no agent of ours may say it, is a failure wherever it is looked for.
#[test]
fn what_is_no_state_has_failed() {
    let (_dir, conn) = stored(&[handler(10, "a"), ended(handler(12, "a"), "TIRED")]);
    let in_state = |state: &str| ExecutionSearch {
        states: vec![state.to_owned()],
        limit: 10,
        ..ExecutionSearch::default()
    };
    let found = list(&conn, &in_state("FAILED")).expect("read");
    assert_eq!(ids(&found), [12]);
    assert_eq!(found[0].state, ExecutionState::Failed);
    let tired = list(&conn, &in_state("TIRED")).expect("read");
    assert!(tired.is_empty());
    let counted = count(&conn, &ExecutionSearch::default()).expect("read");
    let expected = [("COMPLETED".to_owned(), 1), ("FAILED".to_owned(), 1)];
    assert_eq!(counted, expected.into());
}

#[test]
fn the_views_have_the_columns_that_were_promised() {
    let (_dir, conn) = stored(&[]);
    let promised = [
        (
            "agent_executions",
            "execution_id trace_id parent_span_id span_id correlation_id user_id thread_id agent_name operation start_time \
             end_time duration_ms state error_message metadata",
        ),
        (
            "agent_events",
            "event_id trace_id span_id user_id event_type timestamp data",
        ),
        (
            "error_logs",
            "error_id trace_id span_id user_id agent_name operation timestamp error_type error_message stack_trace metadata",
        ),
        (
            "trace_correlations",
            "trace_id span_id related_trace_id related_span_id relation",
        ),
    ];
    for (view, columns) in promised {
        let statement = conn
            .prepare(&format!("SELECT * FROM {view}"))
            .expect("valid");
        let expected: Vec<_> = columns.split_whitespace().collect();
        let found: Vec<_> = statement.column_names().collect();
        assert_eq!(found, expected, "{view}");
    }
}

#[test]
fn a_handler_is_a_row_of_agent_executions() {
    let mut handled = handler(0x0a, "worker");
    handled.identity.user = Some("u".to_owned());
    handled.identity.thread = Some("t".to_owned());
    let (_dir, conn) = stored(&[handled]);
    let row = &rows(&conn, "SELECT * FROM agent_executions")[0];
    let text = |text: &str| Sql::Text(text.to_owned());
    let expected = [
        text("0000000000000009"),
        text("01010101010101010101010101010101"),
        text("0000000000000009"),
        text("000000000000000a"),
        text("c-1"),
        text("u"),
        text("t"),
        text("worker"),
        text("orders.new"),
        text("2026-01-01T00:00:00.010Z"),
        text("2026-01-01T00:00:00.012Z"),
        Sql::Real(2.0),
        text("COMPLETED"),
        Sql::Null,
        text(r#"{"topic":"orders.new","correlation_id":"c-1"}"#),
    ];
    assert_eq!(row[..], expected);
}

#[test]
fn calls_are_executions_and_other_spans_are_not() {
    let mut call = span(2, 0, "agent.on_action", 0, 1);
    call.attributes = attributes(&[("loom.broker.capability", "calc.add")]);
    let (_dir, conn) = stored(&[span(1, 0, "broker.invoke", 0, 1), call]);
    let found = texts(
        &conn,
        "SELECT execution_id, operation FROM agent_executions",
    );
    // Nobody handed it over, so it has its own id.
    assert_eq!(found, [["0000000000000002", "calc.add"]]);
}

#[test]
fn the_state_is_what_the_span_says() {
    let (_dir, conn) = stored(&mixed());
    let found = texts(
        &conn,
        "SELECT state, error_message FROM agent_executions ORDER BY start_time LIMIT 4",
    );
    let expected = [
        ["COMPLETED", "-"],
        ["FAILED", "ValueError: no"],
        ["TIMEOUT", "it is TIMEOUT"],
        ["DEAD", "it is DEAD"],
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_happened_in_a_handler_is_in_agent_events() {
    let event = |name: &str, at: u64| Event {
        time_ns: BASE + at * MS,
        name: name.to_owned(),
        attributes: attributes(&[("gen_ai.tool.name", "search")]),
        dropped_attributes: 0,
    };
    let mut busy = ended(handler(10, "worker"), "TIMEOUT");
    busy.events = vec![
        event("agent_thinking", 10),
        event("somebody's own", 10),
        event("tool_executing", 11),
        event("tool_completed", 12),
    ];
    let (_dir, conn) = stored(&[busy]);
    let found = texts(
        &conn,
        "SELECT event_id, event_type, timestamp, data FROM agent_events ORDER BY timestamp, event_type = 'agent_completed'",
    );
    let (id, tool) = ("000000000000000a", r#"{"gen_ai.tool.name":"search"}"#);
    let at = |ms: u64| format!("2026-01-01T00:00:00.0{ms}Z");
    let row = |what: &str, kind: &str, ms, data: &str| {
        vec![
            format!("{id}-{what}"),
            kind.to_owned(),
            at(ms),
            data.to_owned(),
        ]
    };
    let expected = [
        row("started", "agent_started", 10, r#"{"agent_name":"worker"}"#),
        row("0", "agent_thinking", 10, tool),
        row("2", "tool_executing", 11, tool),
        row("3", "tool_completed", 12, tool),
        row(
            "completed",
            "agent_completed",
            12,
            r#"{"agent_name":"worker","state":"TIMEOUT"}"#,
        ),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_failed_span_is_a_row_of_error_logs_with_its_last_exception() {
    let exception = |class: &str| Event {
        time_ns: BASE,
        name: "exception".to_owned(),
        attributes: attributes(&[
            ("exception.type", class),
            ("exception.stacktrace", "line 1"),
        ]),
        dropped_attributes: 0,
    };
    let mut failed = handler(10, "worker").failed("ValueError: no");
    failed.events = vec![exception("KeyError"), exception("ValueError")];
    let bare = span(20, 0, "chat model", 0, 1).failed("");
    let (_dir, conn) = stored(&[failed, bare, handler(30, "worker")]);
    let found = texts(
        &conn,
        "SELECT error_id, operation, error_type, error_message, stack_trace FROM error_logs ORDER BY error_id",
    );
    let expected = [
        [
            "000000000000000a",
            "agent.on_event",
            "ValueError",
            "ValueError: no",
            "line 1",
        ],
        ["0000000000000014", "chat model", "-", "-", "-"],
    ];
    assert_eq!(found, expected);
}

#[test]
fn parents_and_links_are_rows_of_trace_correlations() {
    let mut linked = handler(10, "worker");
    linked.links = vec![Link {
        trace_id: trace_id(9),
        span_id: span_id(7),
        trace_state: String::new(),
        flags: 1,
        attributes: Attributes::default(),
        dropped_attributes: 0,
    }];
    let (_dir, conn) = stored(&[linked, span(1, 0, "root", 0, 1)]);
    let found = texts(
        &conn,
        "SELECT span_id, related_trace_id, related_span_id, relation FROM trace_correlations ORDER BY relation",
    );
    let expected = [
        [
            "000000000000000a",
            "01010101010101010101010101010101",
            "0000000000000009",
            "child_of",
        ],
        [
            "000000000000000a",
            "09090909090909090909090909090909",
            "0000000000000007",
            "link",
        ],
    ];
    assert_eq!(found, expected);
}

#[test]
fn executions_are_found_by_each_condition() {
    let (_dir, conn) = stored(&mixed());
    let all = || ExecutionSearch {
        limit: 100,
        ..ExecutionSearch::default()
    };
    let states = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let cases = [
        (all(), vec![36, 34, 32, 30, 16, 14, 12, 10]),
        (ExecutionSearch { limit: 3, ..all() }, vec![36, 34, 32]),
        (
            ExecutionSearch {
                states: states(&["FAILED"]),
                ..all()
            },
            vec![32, 12],
        ),
        (
            ExecutionSearch {
                states: states(&["COMPLETED"]),
                ..all()
            },
            vec![30, 10],
        ),
        (
            ExecutionSearch {
                states: states(&["DEAD", "COMPLETED"]),
                ..all()
            },
            vec![36, 30, 16, 10],
        ),
        (
            ExecutionSearch {
                agent: Some("other".to_owned()),
                ..all()
            },
            vec![36, 34, 16, 14],
        ),
        (
            ExecutionSearch {
                agent: Some("nobody".to_owned()),
                ..all()
            },
            vec![],
        ),
        (
            ExecutionSearch {
                workflow: Some("w".to_owned()),
                ..all()
            },
            vec![],
        ),
        (
            ExecutionSearch {
                from_ns: Some(BASE + 14 * MS),
                to_ns: Some(BASE + 32 * MS),
                ..all()
            },
            vec![30, 16, 14],
        ),
    ];
    for (search, expected) in cases {
        assert_eq!(
            ids(&list(&conn, &search).expect("found")),
            expected,
            "{search:?}"
        );
        let counted: u64 = count(&conn, &search).expect("counted").values().sum();
        if search.limit == 100 {
            assert_eq!(counted, expected.len() as u64, "{search:?}");
        }
    }
    let by_state = count(&conn, &all()).expect("counted");
    let expected = ["COMPLETED", "DEAD", "FAILED", "TIMEOUT"].map(|name| (name.to_owned(), 2));
    assert_eq!(by_state, BTreeMap::from(expected));
}

#[test]
fn pages_meet_each_execution_once() {
    // Some begin at the same time: then the order of arrival decides.
    let same_time = |mut span: Span| {
        span.start_ns = BASE + 10 * MS;
        span
    };
    let mut spans = mixed();
    spans.extend((50..60).map(|id| same_time(handler(id, "worker"))));
    let (_dir, conn) = stored(&spans);
    for limit in 1..7 {
        let mut search = ExecutionSearch {
            limit,
            ..ExecutionSearch::default()
        };
        let mut met = Vec::new();
        loop {
            let page = list(&conn, &search).expect("found");
            let Some(last) = page.last() else { break };
            // A cursor goes out as text.
            search.after = Some(last.place.to_string().parse().expect("a place"));
            met.extend(ids(&page));
        }
        assert_eq!(met.len(), 18, "{limit}");
        met.sort_unstable();
        met.dedup();
        assert_eq!(met.len(), 18, "{limit}");
    }
    for text in ["", "-", "1", "1-", "a-b", "1-2-3"] {
        assert_eq!(text.parse::<Place>(), Err(InvalidPlace), "{text}");
    }
}

#[test]
fn an_execution_is_found_by_its_id() {
    let mut root = handler(50, "worker");
    root.parent_span_id = None;
    let mut spans = mixed();
    spans.push(root);
    let (_dir, conn) = stored(&spans);
    let found = |id| {
        find(&conn, span_id(id))
            .expect("read")
            .map(|found| (found.id(), found.span_id))
    };
    assert_eq!(found(9), Some((span_id(9), span_id(10))));
    assert_eq!(found(50), Some((span_id(50), span_id(50))));
    // A handler that was handed over has not its own id, and what is no handler has none.
    assert_eq!(found(10), None);
    assert_eq!(found(17), None);
}

#[test]
fn what_people_ask_for_uses_an_index() {
    let (_dir, conn) = stored(&mixed());
    let plans = [
        (
            "SELECT count(*) FROM (SELECT 1 FROM executions WHERE start_ns >= 1 AND status <> 2 LIMIT -1)",
            "executions_by_start",
        ),
        (
            "SELECT attributes FROM executions WHERE parent_span_id = x'01' LIMIT 1",
            "executions_by_start",
        ),
        (
            "SELECT attributes FROM executions WHERE status = 2 ORDER BY start_ns DESC, id DESC LIMIT 5",
            "spans_with_error",
        ),
        (
            "SELECT * FROM agent_executions WHERE agent_name = 'x'",
            "executions_by_agent",
        ),
        (
            "SELECT * FROM agent_executions WHERE user_id = 'x'",
            "executions_by_user",
        ),
        (
            "SELECT * FROM agent_executions WHERE thread_id = 'x'",
            "executions_by_thread",
        ),
        (
            "SELECT * FROM agent_events WHERE user_id = 'x'",
            "executions_by_user",
        ),
        ("SELECT * FROM error_logs", "spans_with_error"),
    ];
    for (sql, index) in plans {
        let plan = plan(&conn, sql, []);
        let spans: Vec<_> = plan.iter().filter(|step| step.contains(" span ")).collect();
        assert!(!spans.is_empty(), "{sql}: {plan:?}");
        assert!(
            spans.iter().all(|step| step.contains(index)),
            "{sql}: {plan:?}"
        );
    }
}
