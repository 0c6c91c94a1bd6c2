use rusqlite::Connection;

use super::*;
use crate::error::StoreError;
use crate::model::{Attributes, Span, SpanKind, Value};
use crate::prices::Prices;
use crate::spool::Position;
use crate::store::{self, Retention, Writer};
use crate::testing::{BASE, MS, span, trace_id};

/// A database, and who writes it.
struct Stored {
    dir: tempfile::TempDir,
    writer: Writer,
}

impl Stored {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let prices = Prices::own().expect("readable");
        let writer = Writer::open(&dir.path().join(store::FILE), prices).expect("opens");
        Self { dir, writer }
    }

    fn of(spans: &[Span]) -> Self {
        let mut stored = Self::new();
        stored.insert(spans);
        stored
    }

    fn insert(&mut self, spans: &[Span]) -> store::writer::Written {
        let written = self.writer.transaction::<_, StoreError>(|batch| {
            spans.iter().try_for_each(|span| batch.insert(span, 0))?;
            Ok((Position::default(), ()))
        });
        written.expect("written").0
    }

    fn conn(&self) -> Connection {
        store::open_reader(&self.dir.path().join(store::FILE)).expect("opens")
    }

    fn agent(&self, id: &str) -> Metrics {
        let whose = Whose::Agent(id.to_owned());
        self.metrics(&whose, BASE..BASE + 1_000_000 * MS)
    }

    fn metrics(&self, whose: &Whose, during_ns: Range<u64>) -> Metrics {
        let grid = Grid::of(&during_ns);
        let budget = read::Budget::default();
        read::metrics(&self.conn(), whose, &during_ns, grid, budget).expect("read")
    }

    /// The rows of a query, each value as text.
    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let conn = self.conn();
        let mut statement = conn.prepare(sql).expect(sql);
        let columns = statement.column_count();
        let text = |row: &rusqlite::Row<'_>, at| {
            Ok::<_, rusqlite::Error>(match row.get::<_, rusqlite::types::Value>(at)? {
                rusqlite::types::Value::Null => "NULL".to_owned(),
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Real(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}"),
            })
        };
        let rows = statement.query_map([], |row| (0..columns).map(|at| text(row, at)).collect());
        rows.and_then(Iterator::collect).expect(sql)
    }
}

fn said<const N: usize>(pairs: [(&str, Value); N]) -> Attributes {
    pairs.into_iter().collect()
}

/// A call of agent `a` that takes `ms`.
fn call(id: u64, parent: u64, ms: u64) -> Span {
    let mut call = span(id, parent, "chat gpt-4o-mini", 0, ms);
    call.kind = SpanKind::Client;
    call.attributes = said([
        ("gen_ai.operation.name", Value::from("chat")),
        ("gen_ai.provider.name", Value::from("openai")),
        ("gen_ai.request.model", Value::from("gpt-4o-mini")),
        ("gen_ai.usage.input_tokens", Value::Int(1_000)),
        ("gen_ai.usage.output_tokens", Value::Int(500)),
    ]);
    call.identity.agent = Some("a".to_owned());
    call
}

fn handler(id: u64, ms: u64) -> Span {
    let mut handler = span(id, 0, "agent.on_event", 0, ms);
    handler.attributes = said([
        ("topic", Value::from("orders.new")),
        ("loom.phase.llm_processing_ms", Value::Double(1.5)),
    ]);
    handler.identity.agent = Some("a".to_owned());
    handler
}

#[test]
fn sums_and_percentiles_of_an_agent() {
    let mut spans: Vec<_> = (1..=100).map(|id| handler(id, id)).collect();
    spans[99] = spans[99].clone().failed("no");
    let mut first = call(201, 1, 40);
    first
        .attributes
        .0
        .push(("loom.llm.ttft_ms".to_owned(), Value::Double(8.0)));
    let mut unknown = call(202, 1, 20);
    unknown.attributes.0[2].1 = Value::from("model-of-mine");
    spans.extend([first, unknown]);
    let found = Stored::of(&spans).agent("a");
    let percentiles = |p50, p95, p99| Some(Percentiles { p50, p95, p99 });
    let expected = Metrics {
        executions: Counts {
            count: 100,
            errors: 1,
            error_rate: Some(0.01),
            duration_ms: percentiles(50.0, 95.0, 99.0),
        },
        phases: [("llm_processing_ms".to_owned(), 150.0)].into(),
        model_calls: ModelCalls {
            counts: Counts {
                count: 2,
                errors: 0,
                error_rate: Some(0.0),
                duration_ms: percentiles(20.0, 40.0, 40.0),
            },
            ttft_ms: percentiles(8.0, 8.0, 8.0),
            prompt_tokens: Some(2_000),
            completion_tokens: Some(1_000),
            total_tokens: Some(3_000),
            // 1000 at 0.15 and 500 at 0.60 USD a million.
            cost_usd: found.model_calls.cost_usd,
            without_cost: 1,
        },
        ..nothing(&found)
    };
    assert_eq!(found, expected);
    let cost = found.model_calls.cost_usd.expect("one is known");
    assert!((cost - 0.000_45).abs() < 1e-12, "{cost}");
}

/// Figures that nobody has measured, over the same time.
fn nothing(found: &Metrics) -> Metrics {
    Metrics {
        since_ns: found.since_ns,
        is_complete: true,
        series: found.series.clone(),
        ..Metrics::default()
    }
}

#[test]
fn of_nothing_there_is_nothing_but_the_count() {
    let stored = Stored::of(&[handler(1, 5)]);
    let nobody = stored.agent("nobody");
    assert_eq!(nobody, nothing(&nobody));
    assert!(nobody.series.executions.iter().all(Option::is_none));
    let told = serde_json::to_value(nobody.executions).expect("plain");
    assert_eq!(told["error_rate"], serde_json::Value::Null);
    let told = serde_json::to_value(nobody.model_calls).expect("plain");
    assert_eq!(told["cost_usd"], serde_json::Value::Null);
    let whose = Whose::Agent("a".to_owned());
    let before = stored.metrics(&whose, 0..BASE);
    assert_eq!(before, nothing(&before), "it began later");
}

#[test]
fn the_table_follows_the_spans() {
    let mut stored = Stored::new();
    let mut stand_in = handler(1, 0);
    stand_in
        .attributes
        .0
        .push(("loom.stand_in".to_owned(), Value::Bool(true)));
    stored.insert(&[stand_in.failed("lost"), call(2, 1, 10)]);
    let sql = "SELECT kind, duration_ns, status, workflow_id FROM measures ORDER BY kind";
    let call_row = |workflow: &str| ["1", "10000000", "0", workflow].map(str::to_owned).to_vec();
    let handler_row = |duration: &str, status: &str, workflow: &str| {
        ["2", duration, status, workflow]
            .map(str::to_owned)
            .to_vec()
    };
    assert_eq!(
        stored.rows(sql),
        [call_row("NULL"), handler_row("NULL", "2", "NULL")]
    );
    assert_eq!(
        stored.agent("a").executions.duration_ms,
        None,
        "nobody knows how long it took"
    );

    // The handler itself, twice, and it knows the workflow.
    let mut handler = handler(1, 7);
    handler.identity.workflow = Some("w".to_owned());
    stored.insert(&[handler.clone(), handler, call(2, 1, 10)]);
    let expected = [call_row("w"), handler_row("7000000", "0", "w")];
    assert_eq!(stored.rows(sql), expected);
    let whose = Whose::Workflow("w".to_owned());
    let of_workflow = stored.metrics(&whose, 0..u64::MAX);
    assert_eq!(
        (
            of_workflow.executions.count,
            of_workflow.model_calls.counts.count
        ),
        (1, 1)
    );

    let mut young = span(9, 0, "young", 0, 1);
    young.trace_id = trace_id(2);
    stored.insert(&[young]);
    let retention = Retention {
        max_age_s: 0,
        max_spans: 1,
        max_bytes: 0,
    };
    assert_eq!(stored.writer.expire(&retention, 0).expect("deleted"), 2);
    assert!(stored.rows(sql).is_empty());
}

#[test]
fn unpriced_calls_are_counted_once() {
    let mut stored = Stored::new();
    let mut unknown = call(1, 0, 10);
    unknown.attributes.0[1].1 = Value::from("nobody");
    assert_eq!(
        stored.insert(&[unknown.clone(), call(2, 0, 10)]).unpriced,
        1
    );
    assert_eq!(stored.insert(&[unknown]).unpriced, 0, "a duplicate");
}

/// An HTTP request below span `parent`, and the server's span below it.
fn http(id: u64, parent: u64, ms: u64, server_ms: Option<u64>) -> Vec<Span> {
    let mut client = span(id, parent, "POST", 0, ms);
    client.kind = SpanKind::Client;
    client.attributes = said([("http.request.method", Value::from("POST"))]);
    let server = server_ms.map(|ms| {
        let mut server = span(id + 1, id, "POST /v1/chat", 1, ms + 1);
        server.kind = SpanKind::Server;
        server
    });
    [client].into_iter().chain(server).collect()
}

#[test]
fn latency_of_the_network_is_known_where_both_ends_are() {
    let mut spans = vec![
        call(1, 0, 100),
        call(2, 0, 100),
        call(3, 0, 100),
        handler(4, 50),
    ];
    spans.extend(http(10, 1, 90, Some(70)));
    spans.extend(http(12, 1, 5, Some(4)));
    spans.extend(http(20, 2, 90, None));
    let stored = Stored::of(&spans);
    let rows = stored.rows(
        "SELECT span_id, model_latency_ms, network_latency_ms, agent_name, operation, timestamp
         FROM performance_metrics ORDER BY span_id",
    );
    let row = |id: &str, model: &str, network: &str, operation: &str| {
        let id = format!("{id:0>16}");
        [
            &id,
            model,
            network,
            "a",
            operation,
            "2026-01-01T00:00:00.000Z",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let expected = [
        row("1", "79", "21", "chat"),
        row("2", "100", "NULL", "chat"),
        row("3", "100", "NULL", "chat"),
        row("4", "NULL", "NULL", "orders.new"),
    ];
    assert_eq!(rows, expected);
}

/// Every query of the page runs, and says what the page says.
#[test]
fn the_queries_of_the_page() {
    let mut handler = handler(1, 50);
    handler.identity.workflow = Some("w".to_owned());
    let mut stored = Stored::new();
    let now_ms = crate::indexer::now_ms();
    let written = stored.writer.transaction::<_, StoreError>(|batch| {
        batch.insert(&handler, now_ms)?;
        batch.insert(&call(2, 1, 20), now_ms)?;
        batch.insert(&span(3, 1, "old", 0, 1), 0)?;
        Ok((Position::default(), ()))
    });
    written.expect("written");
    let page = include_str!("../../../docs/metrics.md");
    let queries: Vec<_> = page
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(queries.len(), 6);
    let found: Vec<_> = queries.iter().map(|sql| stored.rows(sql)).collect();
    let row = |cells: &[&str]| {
        cells
            .iter()
            .map(|cell| (*cell).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found[0],
        [row(&[
            "openai",
            "gpt-4o-mini",
            "1",
            "1500",
            "0.00045",
            "NULL"
        ])]
    );
    assert_eq!(found[2], [row(&["llm_processing_ms", "1", "1.5"])]);
    let fresh = [
        row(&["agent.on_event", "a", "w"]),
        row(&["chat gpt-4o-mini", "a", "w"]),
    ];
    assert_eq!(found[3], fresh, "the old one is older");
    assert_eq!(found[4], [row(&["2", "2", "2"])]);
    // As the first users of such a table wrote it.
    let theirs = "SELECT name, json_extract(attributes, '$.agent_id') as agent_id FROM spans
                  WHERE created_at > datetime('now', '-5 minutes') LIMIT 10";
    assert_eq!(stored.rows(theirs).len(), 2);
}
