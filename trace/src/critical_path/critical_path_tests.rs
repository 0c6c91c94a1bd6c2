use super::Part::{BusWait, Delivery, Llm, Other, Tool, Work};
use super::*;
use crate::model::{Attributes, SpanId, StatusCode, Value};
use crate::outline::{GenAi, OutlineLink, OutlineSpan};
use crate::testing::{BASE, span_id, trace_id};

#[path = "property_tests.rs"]
mod property;

/// Spans of one trace; times are ns after [`BASE`].
#[derive(Debug)]
struct Dag(Outline);

impl Dag {
    fn new() -> Self {
        Self(Outline {
            id: trace_id(1),
            truncated: false,
            names: vec![String::new()],
            services: vec!["server".to_owned(), "agent".to_owned()],
            agents: Vec::new(),
            scopes: vec![String::new()],
            topics: Vec::new(),
            spans: Vec::new(),
            links: Vec::new(),
        })
    }

    /// A span of the user's; parent 0 is none.
    fn span(mut self, id: u64, parent: u64, start: u64, end: u64) -> Self {
        self.0.spans.push(OutlineSpan {
            span_id: span_id(id),
            parent_span_id: SpanId::from_bytes(&parent.to_be_bytes()),
            name: 0,
            service: 1,
            agent: None,
            scope: 0,
            topic: None,
            kind: SpanKind::Internal,
            step: Step::Other,
            start_ns: BASE + start,
            end_ns: BASE + end,
            status: StatusCode::Unset,
            events: 0,
            links: 0,
            is_stand_in: false,
            is_orphan: false,
            gen_ai: GenAi::No,
            wait_ns: None,
        });
        self
    }

    /// Changes the last span.
    fn with(mut self, change: impl FnOnce(&mut OutlineSpan)) -> Self {
        change(self.0.spans.last_mut().expect("a span"));
        self
    }

    fn step(self, step: Step) -> Self {
        self.with(|span| {
            span.step = step;
            span.service = u32::from(matches!(step, Step::Handler | Step::Action));
            span.kind = match step {
                Step::Publish | Step::Handler => SpanKind::Consumer,
                Step::Forward => SpanKind::Producer,
                Step::Invoke => SpanKind::Client,
                Step::Action => SpanKind::Server,
                Step::Other => SpanKind::Internal,
            };
        })
    }

    /// One delivery: its publish has the id, its forward the next one, its handler the one after that.
    fn hop(self, id: u64, parent: u64, publish: u64, forward: u64, handler: (u64, u64)) -> Self {
        self.span(id, parent, publish, publish + 10)
            .step(Step::Publish)
            .span(id + 1, id, forward, forward + 10)
            .step(Step::Forward)
            .with(|span| span.wait_ns = Some(forward.saturating_sub(publish + 10)))
            .span(id + 2, id + 1, handler.0, handler.1)
            .step(Step::Handler)
    }

    /// Links the last span.
    fn link(mut self, to: u64, is_last: bool) -> Self {
        let mut attributes = Attributes::default();
        if is_last {
            let key = loom_proto::semconv::attribute::JOIN_LAST;
            attributes.0.push((key.to_owned(), Value::Bool(true)));
        }
        self.0.links.push(OutlineLink {
            from: self.0.spans.len() as u32 - 1,
            trace_id: self.0.id,
            span_id: span_id(to),
            attributes,
        });
        self
    }

    /// Id of the span, begin, end and part of each segment.
    fn path(&self) -> Vec<(u64, u64, u64, Part)> {
        let segments = critical_path(&self.0);
        is_whole(&self.0, &segments);
        let id = |place: usize| u64::from_be_bytes(*self.0.spans[place].span_id.as_bytes());
        segments
            .iter()
            .map(|segment| (id(segment.span), segment.from, segment.to, segment.part))
            .collect()
    }
}

/// The promise: in order, without a gap, and as long as the trace.
fn is_whole(outline: &Outline, segments: &[Segment]) {
    let mut reached = 0;
    for segment in segments {
        assert_eq!(segment.from, reached, "{segments:?}");
        assert!(segment.to > segment.from, "{segments:?}");
        assert!(segment.span < outline.spans.len());
        reached = segment.to;
    }
    let duration = outline.end_ns() - outline.start_ns();
    assert_eq!(reached, duration, "{segments:?}");
    let sum = Summary::of(segments);
    let parts = [
        sum.work_ns,
        sum.bus_wait_ns,
        sum.delivery_ns,
        sum.llm_ns,
        sum.tool_ns,
        sum.other_ns,
    ];
    assert_eq!(parts.iter().sum::<u64>(), duration);
}

#[test]
fn nothing_takes_no_time() {
    assert_eq!(Dag::new().path(), []);
    assert_eq!(Dag::new().span(1, 0, 5, 5).path(), []);
    assert_eq!(Dag::new().span(1, 0, 0, 7).path(), [(1, 0, 7, Work)]);
}

#[test]
fn a_call_is_part_of_its_caller() {
    let dag = Dag::new()
        .span(1, 0, 0, 100)
        .span(2, 1, 10, 30)
        .span(3, 1, 40, 90)
        .span(4, 3, 50, 60);
    let expected = [
        (1, 0, 10, Work),
        (2, 10, 30, Work),
        (1, 30, 40, Work),
        (3, 40, 50, Work),
        (4, 50, 60, Work),
        (3, 60, 90, Work),
        (1, 90, 100, Work),
    ];
    assert_eq!(dag.path(), expected);
}

#[test]
fn a_chain_goes_through_the_bus() {
    // The sensor is still busy when its reading is handled: nobody waits for that.
    let dag = Dag::new()
        .span(1, 0, 0, 300)
        .hop(2, 1, 50, 100, (120, 400))
        .hop(5, 4, 350, 360, (500, 900));
    let expected = [
        (1, 0, 50, Work),
        (2, 50, 60, Delivery),
        (3, 60, 100, BusWait),
        (3, 100, 110, Delivery),
        (4, 110, 120, Delivery),
        (4, 120, 350, Work),
        (5, 350, 360, Delivery),
        (6, 360, 370, Delivery),
        (7, 370, 500, Delivery),
        (7, 500, 900, Work),
    ];
    assert_eq!(dag.path(), expected);
}

#[test]
fn a_wait_that_is_not_the_mailboxs_is_delivery() {
    let dag = Dag::new().hop(1, 0, 0, 100, (110, 200)).with(|_| ()).path();
    assert_eq!(dag[1], (2, 10, 100, BusWait));
    let mut dag = Dag::new().hop(1, 0, 0, 100, (110, 200));
    dag.0.spans[1].wait_ns = Some(30);
    assert_eq!(
        dag.path()[1..3],
        [(2, 10, 70, Delivery), (2, 70, 100, BusWait)]
    );
    dag.0.spans[1].wait_ns = None;
    assert_eq!(dag.path()[1], (2, 10, 110, Delivery));
    // More than there was: the publish itself was part of it.
    dag.0.spans[1].wait_ns = Some(1_000);
    assert_eq!(dag.path()[1], (2, 10, 100, BusWait));
}

#[test]
fn of_a_fan_out_the_branch_that_ends_last_counts() {
    let dag = Dag::new()
        .span(1, 0, 0, 10)
        .span(2, 1, 2, 6)
        .step(Step::Publish)
        .span(3, 2, 8, 9)
        .step(Step::Forward)
        .span(4, 3, 10, 50)
        .step(Step::Handler)
        .span(5, 2, 12, 13)
        .step(Step::Forward)
        .span(6, 5, 14, 90)
        .step(Step::Handler);
    let path = dag.path();
    assert_eq!(path.last(), Some(&(6, 14, 90, Work)));
    assert!(path.iter().all(|&(id, ..)| id != 4 && id != 3), "{path:?}");
}

#[test]
fn of_a_fan_in_the_last_arrival_counts() {
    // Two branches of different length are joined by the handler of the second delivery.
    let dag = Dag::new()
        .span(1, 0, 0, 10)
        .hop(10, 1, 1, 20, (30, 100))
        .hop(20, 1, 2, 20, (30, 200))
        .span(30, 12, 90, 95)
        .step(Step::Publish)
        .span(31, 30, 96, 99)
        .step(Step::Forward)
        .span(40, 22, 190, 195)
        .step(Step::Publish)
        .span(41, 40, 300, 310)
        .step(Step::Forward)
        .span(42, 41, 320, 500)
        .step(Step::Handler)
        .link(31, false)
        .link(41, true);
    let path = dag.path();
    let mut ids: Vec<_> = path.iter().map(|&(id, ..)| id).collect();
    ids.dedup();
    assert_eq!(ids, [1, 20, 21, 22, 40, 41, 42]);

    // The handler hangs below the delivery that came first: the link decides all the same.
    let mut other = Dag(dag.0);
    let joined = other.0.spans.last_mut().expect("a span");
    joined.parent_span_id = Some(span_id(31));
    assert_eq!(other.path(), path);
}

#[test]
fn who_asks_waits_for_the_last_reply() {
    // The span that asked goes on while the replies are made, and is linked to their deliveries.
    let asked = |links: &[(u64, bool)]| {
        let dag = Dag::new().span(1, 0, 0, 1_000);
        let dag = links
            .iter()
            .fold(dag, |dag, &(to, last)| dag.link(to, last));
        dag.hop(10, 1, 100, 110, (130, 300))
            .span(13, 12, 280, 285)
            .step(Step::Publish)
            .span(14, 13, 290, 295)
            .step(Step::Forward)
            .hop(20, 1, 101, 111, (131, 800))
            .span(23, 22, 780, 785)
            .step(Step::Publish)
            .span(24, 23, 790, 795)
            .step(Step::Forward)
    };
    let ids = |dag: &Dag| {
        let mut ids: Vec<_> = dag.path().iter().map(|s| s.0).collect();
        ids.dedup();
        ids
    };
    assert_eq!(ids(&asked(&[])), [1], "nobody says that it waited");
    let both = asked(&[(14, false), (24, true)]);
    assert_eq!(ids(&both), [1, 20, 21, 22, 23, 24, 1]);
    assert_eq!(both.path().last(), Some(&(1, 795, 1_000, Work)));
    // Clocks may say otherwise; the order of the arrivals is that of the links.
    assert_eq!(
        ids(&asked(&[(24, false), (14, true)])),
        [1, 10, 11, 12, 13, 14, 1]
    );
    // The first of two was enough.
    assert_eq!(ids(&asked(&[(14, true)])), [1, 10, 11, 12, 13, 14, 1]);
}

#[test]
fn a_link_to_another_trace_decides_nothing() {
    let mut dag = Dag::new().span(1, 0, 0, 100).span(2, 0, 10, 90);
    dag = dag.link(1, true);
    dag.0.links[0].trace_id = trace_id(9);
    assert_eq!(dag.path(), [(1, 0, 100, Work)]);
}

#[test]
fn a_child_that_outlives_its_parent() {
    // Begun by the parent, waited for by nobody: the path begins in it, and leaves the parent when it began.
    let dag = Dag::new().span(1, 0, 0, 50).span(2, 1, 20, 100);
    assert_eq!(dag.path(), [(1, 0, 20, Work), (2, 20, 100, Work)]);
    // Where somebody else ends last, it is not on the path.
    let dag = Dag::new()
        .span(1, 0, 0, 200)
        .span(2, 1, 0, 50)
        .span(3, 2, 20, 100);
    assert_eq!(dag.path(), [(2, 0, 50, Work), (1, 50, 200, Work)]);
}

#[test]
fn of_parallel_model_calls_the_longest_counts() {
    let call = |span: &mut OutlineSpan| span.gen_ai = GenAi::ModelCall;
    let dag = Dag::new()
        .span(1, 0, 0, 100)
        .span(2, 1, 10, 60)
        .with(call)
        .span(3, 1, 11, 80)
        .with(call)
        .span(4, 3, 20, 70)
        .with(|span| span.kind = SpanKind::Client)
        .span(5, 1, 85, 95)
        .with(|span| span.gen_ai = GenAi::Tool);
    let expected = [
        (1, 0, 11, Work),
        (3, 11, 20, Llm),
        (4, 20, 70, Llm),
        (3, 70, 80, Llm),
        (1, 80, 85, Work),
        (5, 85, 95, Tool),
        (1, 95, 100, Work),
    ];
    assert_eq!(dag.path(), expected);
}

#[test]
fn a_call_of_a_capability_is_waited_for() {
    let dag = Dag::new()
        .span(1, 0, 0, 100)
        .step(Step::Handler)
        .span(2, 1, 10, 90)
        .step(Step::Invoke)
        .span(3, 2, 20, 80)
        .step(Step::Action);
    let expected = [
        (1, 0, 10, Work),
        (2, 10, 20, Delivery),
        (3, 20, 80, Work),
        (2, 80, 90, Delivery),
        (1, 90, 100, Work),
    ];
    assert_eq!(dag.path(), expected);
}

#[test]
fn where_a_parent_is_missing_the_time_before_is_of_what_ran() {
    // While something ran, that is what the time was spent on.
    let dag = Dag::new()
        .span(1, 0, 0, 100)
        .span(2, 1, 10, 20)
        .span(3, 99, 50, 200);
    let expected = [
        (1, 0, 10, Work),
        (2, 10, 20, Work),
        (1, 20, 50, Work),
        (3, 50, 200, Work),
    ];
    assert_eq!(dag.path(), expected);
    // Where nothing did, nobody knows.
    let dag = Dag::new()
        .span(1, 0, 0, 30)
        .span(2, 1, 10, 20)
        .span(3, 99, 50, 200);
    let expected = [
        (1, 0, 10, Work),
        (2, 10, 20, Work),
        (1, 20, 30, Work),
        (3, 30, 50, Other),
        (3, 50, 200, Work),
    ];
    assert_eq!(dag.path(), expected);
}

#[test]
fn clocks_that_differ_cost_no_time() {
    // The handler's process is 30 behind: it seems to begin before its event was published.
    let dag = Dag::new().span(1, 0, 0, 60).hop(2, 1, 40, 45, (20, 200));
    assert_eq!(dag.path(), [(1, 0, 20, Work), (4, 20, 200, Work)]);
    // A server that seems to answer after its client had the answer, and before it was asked.
    let server = |start, end| {
        Dag::new()
            .span(1, 0, 0, 100)
            .span(2, 1, 20, 60)
            .with(|span| span.kind = SpanKind::Client)
            .span(3, 2, start, end)
            .with(|span| span.kind = SpanKind::Server)
            .path()
    };
    let tail = (1, 60, 100, Work);
    assert_eq!(
        server(40, 70),
        [(1, 0, 20, Work), (2, 20, 40, Work), (3, 40, 60, Work), tail]
    );
    assert_eq!(
        server(10, 50),
        [(1, 0, 20, Work), (3, 20, 50, Work), (2, 50, 60, Work), tail]
    );
}

#[test]
fn an_attempt_waits_for_the_one_before() {
    let dag = Dag::new()
        .span(1, 0, 0, 10)
        .step(Step::Publish)
        .span(2, 1, 20, 21)
        .step(Step::Forward)
        .span(3, 2, 25, 50)
        .step(Step::Handler)
        .span(4, 1, 150, 151)
        .step(Step::Forward)
        .with(|span| span.wait_ns = Some(140))
        .link(2, false)
        .span(5, 4, 160, 200)
        .step(Step::Handler)
        // The dead letter: a publish below the attempt, caused by what became of it.
        .span(6, 4, 210, 220)
        .step(Step::Publish);
    let expected = [
        (1, 0, 10, Delivery),
        (2, 10, 21, Delivery),
        (3, 21, 25, Delivery),
        (3, 25, 50, Work),
        (4, 50, 150, BusWait),
        (4, 150, 151, Delivery),
        (5, 151, 160, Delivery),
        (5, 160, 200, Work),
        (6, 200, 220, Delivery),
    ];
    assert_eq!(dag.path(), expected);
}

#[test]
fn circles_end() {
    // Parents in a circle, and links in a circle, at one moment and over some time.
    for times in [[(0, 9), (0, 9), (0, 9)], [(0, 9), (9, 9), (9, 9)]] {
        let [a, b, c] = times;
        let dag = Dag::new()
            .span(1, 3, a.0, a.1)
            .link(2, true)
            .span(2, 1, b.0, b.1)
            .link(3, true)
            .span(3, 2, c.0, c.1)
            .link(1, false)
            .span(4, 4, 0, 12);
        dag.path();
    }
}

#[test]
fn what_ran_before() {
    let begin = [0, 10, 20, 30];
    let end = [100, 15, 40, 35];
    let running = Running::new(&begin, &end);
    // At 32 three run, and the one that began last counts; at 15 and 100 they still do.
    for (now, expected) in [
        (32, Some((3, 35))),
        (36, Some((2, 40))),
        (41, Some((0, 100))),
        (15, Some((1, 15))),
        (100, Some((0, 100))),
        (500, Some((0, 100))),
        (0, None),
    ] {
        assert_eq!(running.before(now), expected, "{now}");
    }
    assert_eq!(Running::new(&[], &[]).before(5), None);
}
