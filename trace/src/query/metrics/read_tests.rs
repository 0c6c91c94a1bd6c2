use loom_proto::semconv::{attribute, span as name};

use super::*;
use crate::model::{Span, Value};
use crate::testing::{BASE, MS, span, stored};

const SECOND: u64 = 1_000 * MS;

/// A handler of agent `agent` that begins `at_s` after [`BASE`] and takes `ms`.
fn handler(id: u64, agent: &str, at_s: u64, ms: u64) -> Span {
    let mut handler = span(id, 0, name::ON_EVENT, at_s * 1_000, at_s * 1_000 + ms);
    handler.identity.agent = Some(agent.to_owned());
    handler
}

/// A model call of agent `a` with so many tokens.
fn call(id: u64, at_s: u64, tokens: i64) -> Span {
    let mut call = span(id, 0, "chat", at_s * 1_000, at_s * 1_000 + 1);
    call.identity.agent = Some("a".to_owned());
    call.attributes = [
        (attribute::GEN_AI_OPERATION_NAME, Value::from("chat")),
        ("gen_ai.usage.input_tokens", Value::Int(tokens)),
        ("gen_ai.usage.output_tokens", Value::Int(0)),
    ]
    .into_iter()
    .collect();
    call
}

/// Metrics of the first minute after [`BASE`] in steps of ten seconds.
fn minute(conn: &Connection, whose: &Whose, budget: Budget) -> Metrics {
    let during_ns = BASE..BASE + 60 * SECOND;
    let grid = Grid::with_step(&during_ns, 10).expect("six steps");
    metrics(conn, whose, &during_ns, grid, budget).expect("read")
}

fn agent(id: &str) -> Whose {
    Whose::Agent(id.to_owned())
}

#[test]
fn a_step_has_what_began_in_it() {
    let mut stand_in = handler(6, "a", 41, 0).failed("lost");
    let of_stand_in = (attribute::STAND_IN.to_owned(), Value::Bool(true));
    stand_in.attributes.0.push(of_stand_in);
    let spans = [
        handler(1, "a", 0, 10),
        handler(2, "a", 9, 30).failed("no"),
        handler(3, "a", 9, 20),
        call(4, 10, 100),
        call(5, 19, 11),
        stand_in,
        handler(7, "a", 59, 40),
        handler(8, "a", 60, 99),
        handler(9, "b", 25, 99),
    ];
    let (_dir, conn) = stored(&spans);
    let found = minute(&conn, &agent("a"), Budget::default());
    let series = Series {
        at: ["00", "10", "20", "30", "40", "50"]
            .map(|second| format!("2026-01-01T00:00:{second}.000Z"))
            .to_vec(),
        executions: vec![Some(3), None, None, None, Some(1), Some(1)],
        errors: vec![Some(1), None, None, None, Some(1), Some(0)],
        p50_ms: vec![Some(20.0), None, None, None, None, Some(40.0)],
        p95_ms: vec![Some(30.0), None, None, None, None, Some(40.0)],
        total_tokens: vec![None, Some(111), None, None, None, None],
        cost_usd: vec![None; 6],
    };
    assert_eq!(found.series, series);
    assert_eq!((found.executions.count, found.executions.errors), (5, 2));
    // The steps have put their durations into another order, and none is lost.
    let of_all = found.executions.duration_ms.map(|of| (of.p50, of.p99));
    assert_eq!(of_all, Some((20.0, 40.0)));
    assert_eq!((found.since_ns, found.is_complete), (BASE, true));
    assert!(found.by_agent.is_empty() && found.by_workflow.is_empty());
}

#[test]
fn of_everything_the_busiest_are_named() {
    let mut spans = Vec::new();
    for agent in 0..150 {
        // Agent 149 has 4 handlers, the others 1 to 3.
        let handlers = if agent == 149 { 4 } else { agent % 3 + 1 };
        for _ in 0..handlers {
            let id = spans.len() as u64 + 1;
            let mut handler = handler(id, &format!("agent-{agent:03}"), id % 60, agent + 1);
            handler.identity.workflow = (agent % 2 == 0).then(|| format!("w{}", agent % 4));
            spans.push(handler);
        }
    }
    spans[0] = spans[0].clone().failed("no");
    spans.push(call(9_999, 1, 5));
    let (_dir, conn) = stored(&spans);
    let found = minute(&conn, &Whose::All, Budget::default());
    assert_eq!(found.executions.count + 1, spans.len() as u64);
    assert_eq!(found.model_calls.total_tokens, Some(5));
    assert_eq!(found.by_agent.len(), MAX_SHARES);
    let shown = |share: &Share| {
        let p95 = share.counts.duration_ms.map(|duration| duration.p95);
        (share.id.clone(), share.counts.count, p95)
    };
    let first: Vec<_> = found.by_agent[..3].iter().map(shown).collect();
    let of = |id: &str, count, ms| (id.to_owned(), count, Some(ms));
    let expected = [
        of("agent-149", 4, 150.0),
        of("agent-002", 3, 3.0),
        of("agent-005", 3, 6.0),
    ];
    assert_eq!(first, expected);
    let workflows: Vec<_> = found.by_workflow.iter().map(|share| &share.id).collect();
    assert_eq!(workflows.len(), 2, "what has none is in none");
    let errors: u64 = found.by_workflow.iter().map(|of| of.counts.errors).sum();
    assert_eq!(errors, 1);
}

#[test]
fn the_newest_are_looked_at_and_no_more_than_the_budget() {
    let spans: Vec<_> = (0..60).map(|at| handler(at + 1, "a", at, 1)).collect();
    let (_dir, conn) = stored(&spans);
    let of = |samples, time| minute(&conn, &agent("a"), Budget { samples, time });
    let enough = Duration::from_secs(60);

    let whole = of(60, enough);
    assert_eq!((whole.is_complete, whole.since_ns), (true, BASE));
    let part = of(15, enough);
    assert_eq!((part.is_complete, part.executions.count), (false, 15));
    assert_eq!(part.since_ns, BASE + 45 * SECOND);
    let steps = [None, None, None, None, Some(5), Some(10)];
    assert_eq!(part.series.executions, steps);
    let nothing = of(60, Duration::ZERO);
    assert_eq!((nothing.is_complete, nothing.executions.count), (false, 0));
    assert_eq!(nothing.since_ns, BASE + 60 * SECOND);
}
