use super::*;
use crate::testing::{BASE, MS, span, stored};

const EVENTS: [&str; 2] = [
    "0190d0c2-5b6a-7c52-9d61-0f3b2a4f5e6d",
    "0190d0c2-5b6a-7c52-9d61-0f3b2a4f5e6e",
];

fn said(mut span: Span, who: &str, pairs: &[(&str, Value)]) -> Span {
    span.identity.agent = Some(who.to_owned());
    let pairs = pairs.iter();
    span.attributes = pairs.map(|(key, value)| (*key, value.clone())).collect();
    span
}

/// A publish of an event by an agent, matched by so many.
fn publish(id: u64, who: &str, topic: &str, event: &str, at_ms: u64, matched: i64) -> Span {
    let pairs = [
        (attribute::TOPIC, Value::from(topic)),
        (attribute::EVENT_ID, Value::from(event)),
        (attribute::BUS_MATCHED, Value::Int(matched)),
    ];
    said(
        span(id, 0, name::BUS_PUBLISH, at_ms, at_ms + 1),
        who,
        &pairs,
    )
}

fn handler(id: u64, who: &str, topic: &str, event: &str, ms: (u64, u64)) -> Span {
    let pairs = [
        (attribute::TOPIC, Value::from(topic)),
        (attribute::EVENT, Value::from(event)),
    ];
    said(span(id, 0, name::ON_EVENT, ms.0, ms.1), who, &pairs)
}

fn topology(spans: &[Span], from_ms: u64, workflow: Option<&str>, max: usize) -> Topology {
    let (_dir, conn) = stored(spans);
    let (from, to) = (BASE + from_ms * MS, BASE + 10_000 * MS);
    read(&conn, from, to, workflow, max).expect("read")
}

#[test]
fn agents_topics_and_edges() {
    let call = [(attribute::CALLER, Value::from("processor"))];
    let spans = [
        publish(1, "sensor", "data", EVENTS[0], 1_000, 1),
        publish(2, "sensor", "data", EVENTS[1], 2_000, 1),
        publish(3, "processor", "unheard", EVENTS[0], 2_500, 0),
        handler(4, "processor", "data", EVENTS[0], (1_010, 1_030)),
        handler(5, "processor", "data", EVENTS[1], (2_040, 2_050)).failed("no"),
        said(span(6, 0, name::ON_ACTION, 3_000, 3_007), "tools", &call),
        // Neither of the bus nor a handler.
        said(span(7, 0, "mine", 3_000, 3_007), "tools", &call),
    ];
    let found = topology(&spans, 0, None, 100);
    assert!((found.window_s - 10.0).abs() < 1e-9, "{}", found.window_s);
    let agents: Vec<_> = found
        .agents
        .iter()
        .map(|a| {
            (
                a.agent_id.as_str(),
                a.executions_per_s,
                a.errors_per_s,
                a.p95_ms,
            )
        })
        .collect();
    let expected = [
        ("processor", 0.2, 0.1, Some(20.0)),
        ("sensor", 0.0, 0.0, None),
        ("tools", 0.1, 0.0, Some(7.0)),
    ];
    assert_eq!(agents, expected);
    let topics: Vec<_> = found
        .topics
        .iter()
        .map(|t| (t.topic.as_str(), t.published_per_s, t.unrouted))
        .collect();
    assert_eq!(topics, [("data", 0.2, 0), ("unheard", 0.1, 1)]);
    let edges: Vec<_> = found
        .edges
        .iter()
        .map(|e| {
            let ends = (e.from.id.as_str(), e.to.id.as_str());
            (e.kind, ends, (e.count, e.errors), e.p50_ms, e.p95_ms)
        })
        .collect();
    let expected = [
        (
            EdgeKind::Publish,
            ("processor", "unheard"),
            (1, 0),
            None,
            None,
        ),
        (EdgeKind::Publish, ("sensor", "data"), (2, 0), None, None),
        (
            EdgeKind::Deliver,
            ("data", "processor"),
            (2, 1),
            Some(10.0),
            Some(40.0),
        ),
        (
            EdgeKind::Call,
            ("processor", "tools"),
            (1, 0),
            Some(7.0),
            Some(7.0),
        ),
    ];
    assert_eq!(edges, expected);
}

#[test]
fn what_was_published_before_the_window_is_found_by_its_event() {
    let spans = [
        publish(1, "sensor", "data", EVENTS[0], 100, 1),
        handler(2, "processor", "data", EVENTS[0], (5_000, 5_010)),
        handler(3, "processor", "data", "no uuid", (5_000, 5_010)),
    ];
    let found = topology(&spans, 1_000, None, 100);
    assert_eq!(found.edges.len(), 1);
    let edge = &found.edges[0];
    assert_eq!((edge.count, edge.p95_ms), (2, Some(4_900.0)));
    assert!(found.topics[0].published_per_s < 1e-9, "not in the window");
}

#[test]
fn of_one_workflow() {
    let mut spans = [
        publish(1, "sensor", "data", EVENTS[0], 100, 1),
        publish(2, "sensor", "data", EVENTS[1], 100, 1),
    ];
    spans[0].identity.workflow = Some("w".to_owned());
    spans[1].trace_id = crate::testing::trace_id(2);
    let count = |workflow| {
        topology(&spans, 0, workflow, 100)
            .edges
            .first()
            .map(|e| e.count)
    };
    assert_eq!(
        (count(None), count(Some("w")), count(Some("x"))),
        (Some(2), Some(1), None)
    );
}

#[test]
fn a_window_with_too_much_is_shorter() {
    let spans: Vec<_> = (1..=20)
        .map(|id| publish(id, "sensor", "data", EVENTS[0], id * 100, 1))
        .collect();
    let found = topology(&spans, 0, None, 5);
    // The newest five, of which the oldest began at 1.6 s.
    assert!((found.window_s - 8.4).abs() < 1e-9, "{}", found.window_s);
    assert_eq!(found.edges[0].count, 5);
}
