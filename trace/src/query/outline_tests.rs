use proptest::prelude::*;

use super::*;
use crate::measure::{Kind, measure};
use crate::model::{Event, Span, Status};
use crate::prices::Prices;
use crate::testing::{BASE, MS, span, stored, trace_id};

/// Values of attributes: what means something, what columns and shapes say too, and what is of another type.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::from("sensor.data")),
        Just(Value::from("agent")),
        Just(Value::from("workflow")),
        Just(Value::from("chat")),
        Just(Value::from("execute_tool")),
        Just(Value::from("LLM")),
        Just(Value::from("")),
        Just(Value::from("01890f3e-7b4a-7cc2-98c9-00000000abcd")),
        Just(Value::String(trace_id(1).to_string())),
        "[x]{60,70}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        Just(Value::Int(1_500)),
        Just(Value::Empty),
    ]
}

fn keys() -> impl Strategy<Value = String> {
    // Written out: taken from the list that is tested, a key that is missing there would not be missed here.
    let keys = vec![
        "topic",
        "messaging.destination.name",
        "loom.stand_in",
        "loom.queue.wait_us",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.total_tokens",
        "openinference.span.kind",
        "event_id",
        "agent.id",
        "another",
    ];
    prop::sample::select(keys).prop_map(str::to_owned)
}

prop_compose! {
    /// A span without its id.
    fn any_span()(
        name in prop::sample::select(vec![
            name::BRIDGE_PUBLISH, name::BUS_PUBLISH, name::BRIDGE_FORWARD, name::ON_EVENT, name::BROKER_INVOKE,
            name::ON_ACTION, "another",
        ]),
        attributes in prop::collection::vec((keys(), values()), 0..4),
        (parent, start, took) in (0u64..4, 0u64..9, -3i64..9),
        (kind, status, events, links) in (0i64..6, 0i64..3, 0usize..3, 0usize..3),
        (agent, workflow) in (any::<bool>(), any::<bool>()),
        (service, scope) in ("[ab]", "[ab]"),
    ) -> Span {
        let mut span = span(1, parent, name, start, 0).of(&service);
        span.end_ns = span.start_ns.saturating_add_signed(took * MS.cast_signed());
        span.kind = SpanKind::from_number(kind);
        span.status = Status { code: StatusCode::from_number(status), message: String::new() };
        span.attributes = Attributes(attributes);
        span.identity.agent = agent.then(|| "agent".to_owned());
        span.identity.workflow = workflow.then(|| "workflow".to_owned());
        // Two scopes of one name: they differ in their version.
        let version = start.to_string();
        span.scope = std::sync::Arc::new(crate::model::Scope { name: scope, version, ..Default::default() });
        let event = Event { time_ns: BASE, name: "e".to_owned(), attributes: Attributes::default(), dropped_attributes: 0 };
        span.events = vec![event; events];
        let link = Link {
            trace_id: trace_id(2), span_id: span.span_id, trace_state: String::new(), flags: 0,
            attributes: Attributes::default(), dropped_attributes: 0,
        };
        span.links = vec![link; links];
        span
    }
}

/// A span of an outline with its texts instead of their places, which depend on the order in which rows are read.
#[derive(Debug, PartialEq)]
struct Shown<'a> {
    name: &'a str,
    service: &'a str,
    agent: Option<&'a str>,
    scope: &'a str,
    topic: Option<&'a str>,
    span: OutlineSpan,
}

fn outlined(outline: &Outline) -> Vec<Shown<'_>> {
    let shown = |span: &OutlineSpan| Shown {
        name: &outline.names[span.name as usize],
        service: &outline.services[span.service as usize],
        agent: span.agent.map(|at| outline.agents[at as usize].as_str()),
        scope: &outline.scopes[span.scope as usize],
        topic: span.topic.map(|at| outline.topics[at as usize].as_str()),
        span: OutlineSpan {
            name: 0,
            service: 0,
            agent: None,
            scope: 0,
            topic: None,
            ..*span
        },
    };
    outline.spans.iter().map(shown).collect()
}

/// The same from all that is known of a span.
fn whole<'a>(span: &'a Span, all: &[Span], prices: &Prices) -> Shown<'a> {
    let step = step(&span.name);
    let measured = measure(span, prices).map(|measures| measures.kind);
    let wait_us = match span.attributes.get(attribute::QUEUE_WAIT_US) {
        Some(Value::Int(us @ 0..)) if step == Step::Forward => Some(us.unsigned_abs()),
        _ => None,
    };
    Shown {
        name: &span.name,
        service: span.service(),
        agent: span.identity.agent.as_deref(),
        scope: &span.scope.name,
        topic: topic(&span.attributes),
        span: OutlineSpan {
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            kind: span.kind,
            step,
            start_ns: span.start_ns,
            end_ns: span.start_ns + span.duration_ns(),
            status: span.status.code,
            events: span.events.len() as u32,
            links: span.links.len() as u32,
            is_stand_in: span.is_stand_in(),
            is_orphan: span
                .parent_span_id
                .is_some_and(|parent| !all.iter().any(|other| other.span_id == parent)),
            gen_ai: match measured {
                Some(Kind::ModelCall) => GenAi::ModelCall,
                _ if is_tool(&span.attributes) => GenAi::Tool,
                _ => GenAi::No,
            },
            wait_ns: wait_us.map(|us| us.saturating_mul(1_000)),
            name: 0,
            service: 0,
            agent: None,
            scope: 0,
            topic: None,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn an_outline_tells_what_the_whole_spans_tell(mut spans in prop::collection::vec(any_span(), 1..40)) {
        for (place, span) in spans.iter_mut().enumerate() {
            span.span_id = crate::testing::span_id(place as u64 + 1);
        }
        let prices = Prices::own().expect("readable");
        let (_dir, conn) = stored(&spans);
        let outline = read(&conn, trace_id(1), 100).expect("readable").expect("stored");
        let mut expected: Vec<_> = spans.iter().map(|span| whole(span, &spans, &prices)).collect();
        expected.sort_by_key(|shown| (shown.span.start_ns, shown.span.span_id));
        prop_assert_eq!(outlined(&outline), expected);
        let links: usize = spans.iter().map(|span| span.links.len()).sum();
        prop_assert_eq!(outline.links.len(), links);
    }
}
