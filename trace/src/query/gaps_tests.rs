use super::*;
use crate::error::StoreError;
use crate::model::{Span, Value};
use crate::prices::Prices;
use crate::spool::Position;
use crate::store::{self, Writer};
use crate::testing::{BASE, MS, golden_chain, plan, span, span_id, trace_id};

const PROCESSOR: &str = "processor";

/// One reading from a sensor over a processor to an output, as the identities of its spans name the agents.
fn chain() -> Vec<Span> {
    let agents = [
        "sensor", "sensor", "", PROCESSOR, PROCESSOR, PROCESSOR, "", "output", "output",
    ];
    let mut spans = golden_chain();
    for (span, agent) in spans.iter_mut().zip(agents) {
        span.identity.agent = (!agent.is_empty()).then(|| agent.to_owned());
        let event = if span.span_id <= span_id(5) {
            "e1"
        } else {
            "e2"
        };
        set(span, attribute::EVENT_ID, event);
    }
    spans
}

fn set(span: &mut Span, key: &str, value: &str) {
    span.attributes.0.push((key.to_owned(), Value::from(value)));
}

fn without(lost: &[u64]) -> Vec<Span> {
    let mut spans = chain();
    spans.retain(|span| lost.iter().all(|id| span.span_id != span_id(*id)));
    spans
}

/// A database with these spans.
fn database(spans: &[Span]) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(store::FILE);
    let mut writer = Writer::open(&path, Prices::default()).expect("opens");
    let written = writer.transaction::<_, StoreError>(|batch| {
        for span in spans {
            batch.insert(span, 0)?;
        }
        let position = Position {
            segment: 1,
            offset: 1,
        };
        Ok((position, ()))
    });
    written.expect("written");
    (dir, store::open_reader(&path).expect("opens"))
}

/// The gaps that this agent has left in these spans.
fn gaps(spans: &[Span], agent: &str) -> Gaps {
    gaps_of_one_connected(spans, agent, u64::MAX)
}

/// The same, where the agent is connected since this time.
fn gaps_of_one_connected(spans: &[Span], agent: &str, own_from_ns: u64) -> Gaps {
    let (_dir, conn) = database(spans);
    let lost = Lost {
        agent: agent.to_owned(),
        during_ns: 0..u64::MAX,
        own_from_ns,
        limit: 100,
    };
    find(&conn, &lost).expect("found").credible()
}

fn shown(spans: &[Span], agent: &str) -> Vec<Shown> {
    let gaps = gaps(spans, agent);
    gaps.found.into_iter().map(|gap| gap.shown_by).collect()
}

/// A handler of an earlier event, by which an agent is known to tell spans.
fn told_before() -> Vec<Span> {
    let mut spans = [
        span(20, 0, name::BRIDGE_FORWARD, 0, 1),
        span(21, 20, name::ON_EVENT, 0, 1),
    ];
    for span in &mut spans {
        span.identity.agent = Some(PROCESSOR.to_owned());
    }
    spans.into()
}

#[test]
fn a_whole_trace_has_no_gaps() {
    for agent in ["sensor", PROCESSOR, "output", "nobody"] {
        assert_eq!(shown(&chain(), agent), [], "{agent}");
    }
}

#[test]
fn a_lost_handler_shows_by_its_delivery_and_by_what_it_led_to() {
    let mut spans = without(&[5]);
    spans.extend(told_before());
    let delivery = Shown::Handler {
        delivery: span_id(4),
        end: End::Unknown,
    };
    let above = Shown::Parent {
        span_id: span_id(5),
        above: Some(span_id(21)),
    };
    assert_eq!(shown(&spans, PROCESSOR), [above, delivery]);
}

#[test]
fn what_an_agent_did_first_in_a_trace_came_of_the_publish_before() {
    let above = Shown::Handling {
        span_id: span_id(5),
        publish: span_id(3),
        published_ns: BASE + MS,
    };
    let gaps = gaps(&without(&[4, 5]), PROCESSOR);
    assert_eq!(gaps.found.len(), 1);
    let gap = &gaps.found[0];
    assert_eq!(gap.shown_by, above);
    assert_eq!(gap.event_id.as_deref(), Some("e1"), "what was handled");
    assert_eq!(gap.start_ns, BASE + 7 * MS, "of what shows it");
}

#[test]
fn what_an_attempt_before_has_emitted_was_not_handled() {
    let mut spans = without(&[4, 5]);
    let mut emitted_before = span(22, 2, name::BUS_PUBLISH, 2, 3);
    set(&mut emitted_before, attribute::EVENT_ID, "e0");
    set(&mut emitted_before, attribute::TOPIC, "results");
    set(&mut spans[2], attribute::TOPIC, "orders");
    spans.push(emitted_before);
    let mut elsewhere = told_before();
    for span in &mut elsewhere {
        span.trace_id = trace_id(2);
        set(span, attribute::TOPIC, "orders");
    }
    spans.extend(elsewhere);
    let gaps = gaps(&spans, PROCESSOR);
    assert_eq!(gaps.found[0].event_id.as_deref(), Some("e1"));
    assert_eq!(gaps.found[0].topic.as_deref(), Some("orders"));
}

#[test]
fn who_never_tells_of_handlers_misses_none() {
    let spans = without(&[9]);
    let gaps = gaps(&spans, "output");
    assert_eq!((gaps.found, gaps.is_telling), (Vec::new(), false));
}

#[test]
fn the_end_of_an_acknowledged_delivery_is_known_by_the_next_one() {
    let mut spans = without(&[5, 6, 7, 8, 9]);
    spans.extend(told_before());
    set(&mut spans[3], attribute::MESSAGING_GROUP, "workers");
    let end = |spans: &[Span]| match shown(spans, PROCESSOR)[..] {
        [Shown::Handler { end, .. }] => end,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(end(&spans), End::LastTried);
    let mut again = span(30, 3, name::BRIDGE_FORWARD, 5, 6);
    again.identity.agent = Some("another".to_owned());
    set(&mut again, attribute::MESSAGING_GROUP, "others");
    spans.push(again.clone());
    assert_eq!(end(&spans), End::LastTried, "another group's");
    again.span_id = span_id(31);
    again.attributes.0.clear();
    set(&mut again, attribute::MESSAGING_GROUP, "workers");
    spans.push(again);
    assert_eq!(end(&spans), End::TriedAgain);
}

#[test]
fn a_delivery_that_was_lost_with_the_server_is_found_by_its_event() {
    let lost = |publish| Shown::Delivery {
        span_id: span_id(4),
        publish,
    };
    assert_eq!(shown(&without(&[4]), PROCESSOR), [lost(Some(span_id(3)))]);
    assert_eq!(shown(&without(&[3, 4]), PROCESSOR), [lost(None)]);
}

#[test]
fn an_event_that_was_published_again_is_delivered_under_its_first_publish() {
    let mut spans = without(&[4]);
    let mut again = span(20, 2, name::BUS_PUBLISH, 8, 9);
    set(&mut again, attribute::EVENT_ID, "e1");
    spans.insert(0, again);
    let delivery = Shown::Delivery {
        span_id: span_id(4),
        publish: Some(span_id(3)),
    };
    assert_eq!(shown(&spans, PROCESSOR), [delivery]);
}

#[test]
fn of_one_that_is_connected_only_deliveries_are_missing() {
    let connected = |lost: &[u64]| {
        let mut spans = without(lost);
        spans.extend(told_before());
        let gaps = gaps_of_one_connected(&spans, PROCESSOR, BASE + 2 * MS);
        gaps.found
            .into_iter()
            .map(|gap| gap.shown_by)
            .collect::<Vec<_>>()
    };
    let delivery = Shown::Delivery {
        span_id: span_id(4),
        publish: Some(span_id(3)),
    };
    assert_eq!(connected(&[4]), [delivery], "the server was lost");
    assert_eq!(connected(&[5]), [], "its handler is still at work");
}

#[test]
fn a_lost_root_has_nothing_above_it() {
    let root = Shown::Parent {
        span_id: span_id(1),
        above: None,
    };
    assert_eq!(shown(&without(&[1]), "sensor"), [root]);
}

#[test]
fn pages_together_show_what_one_look_shows() {
    let mut spans = without(&[4, 5]);
    spans.extend(told_before());
    let (_dir, conn) = database(&spans);
    let look = |end, limit| {
        let lost = Lost {
            agent: PROCESSOR.to_owned(),
            during_ns: 0..end,
            own_from_ns: u64::MAX,
            limit,
        };
        find(&conn, &lost).expect("found")
    };
    let whole = look(u64::MAX, 100);
    assert!(!whole.found.is_empty() && whole.next_end_ns.is_none());
    let mut paged = look(u64::MAX, 1);
    while let Some(end) = paged.next_end_ns {
        paged.extend(look(end, 1));
    }
    paged.found.dedup();
    assert_eq!(paged, whole);
}

#[test]
fn only_agents_on_the_bus_are_mended() {
    let mut spans = without(&[1]);
    assert_eq!(shown(&spans, "sensor").len(), 1);
    spans[0].name = "GET /".to_owned();
    assert_eq!(shown(&spans, "sensor"), [], "no hop of the bus names it");
}

#[test]
fn who_handled_what_the_bus_has_published_is_on_the_bus() {
    let delivery = Shown::Delivery {
        span_id: span_id(8),
        publish: Some(span_id(7)),
    };
    assert_eq!(shown(&without(&[8]), "output"), [delivery]);
    assert_eq!(shown(&without(&[7, 8]), "output"), []);
}

#[test]
fn agents_are_listed_by_the_times_of_their_spans() {
    let (_dir, conn) = database(&chain());
    let during = |range| agents(&conn, &range).expect("read");
    assert_eq!(during(0..u64::MAX), ["output", PROCESSOR, "sensor"]);
    assert_eq!(during(0..BASE + 2 * MS), ["sensor"]);
}

/// An agent may have millions of spans: what is asked about one of them must not walk through the others.
#[test]
fn questions_about_one_trace_read_that_trace_only() {
    let (_dir, conn) = database(&chain());
    let around = Around::new(&conn, PROCESSOR).expect("prepared");
    let statements = [
        &around.about,
        &around.is_there,
        &around.handler,
        &around.publish,
        &around.above,
        &around.again,
        &around.handled,
    ];
    for statement in statements {
        let sql = statement.expanded_sql().expect("its text");
        let steps = plan(&conn, &sql, []);
        let of_spans: Vec<_> = steps.iter().filter(|step| step.contains("spans")).collect();
        assert!(
            !of_spans.is_empty() && of_spans.iter().all(|step| step.contains("spans_by_trace")),
            "{sql}: {steps:?}"
        );
    }
}
