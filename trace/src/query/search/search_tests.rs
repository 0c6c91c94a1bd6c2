use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::{Span, SpanKind, Value};
use crate::query::lists::shortest;
use crate::query::{Field, Words};
use crate::store::blocks::List;
use crate::testing::{BASE, MS, span, span_id, stored, trace_id};

fn search(matching: Predicate, limit: usize) -> Search {
    Search {
        matching,
        no_errors: false,
        sort: Sort::Newest,
        after: None,
        limit,
    }
}

/// Numbers of the traces on all pages in their order.
fn pages(conn: &Connection, mut search: Search, budget: Budget) -> Vec<u8> {
    let mut found = Vec::new();
    loop {
        let page = run(conn, &search, budget).expect("an answer");
        assert!(page.items.len() <= search.limit);
        assert!(page.next.is_none() || page.truncated);
        found.extend(page.items.iter().map(|found| found.trace_id.as_bytes()[0]));
        match page.next {
            // It comes back as a text.
            Some(next) => search.after = Some(next.to_string().parse().expect("a place")),
            None => return found,
        }
    }
}

/// A span of a trace; ids are unique in it.
fn of_trace(trace: u8, id: u64, start_ms: u64, end_ms: u64) -> Span {
    let mut span = span(id, 0, "work", start_ms, end_ms);
    span.trace_id = trace_id(trace);
    span
}

#[test]
fn pages_show_each_trace_once() {
    // Each trace has matches far apart, so that a page ends between them.
    let spans: Vec<_> = (1..=9)
        .flat_map(|trace| {
            [
                of_trace(trace, 1, trace.into(), 99),
                of_trace(trace, 2, 40 - u64::from(trace), 99),
            ]
        })
        .collect();
    let (_dir, conn) = stored(&spans);
    let expected: Vec<u8> = (1..=9).collect();
    for limit in 1..=10 {
        let all = search(Predicate::All(Vec::new()), limit);
        assert_eq!(pages(&conn, all, Budget::default()), expected, "{limit}");
    }
}

#[test]
fn the_slowest_first_whatever_comes_meanwhile() {
    let spans: Vec<_> = [(1, 50), (2, 10), (3, 90), (4, 10), (5, 70)]
        .map(|(trace, ms)| of_trace(trace, 1, trace.into(), u64::from(trace) + ms))
        .into();
    let (_dir, conn) = stored(&spans);
    for limit in 1..=6 {
        let slowest = Search {
            sort: Sort::Slowest,
            ..search(Predicate::All(Vec::new()), limit)
        };
        assert_eq!(pages(&conn, slowest, Budget::default()), [3, 5, 1, 4, 2]);
    }
}

#[test]
fn a_walk_that_finds_nothing_ends_and_goes_on() {
    let mut spans: Vec<_> = (1..=200)
        .map(|id| of_trace(1, id, 1_000 + id, 2_000))
        .collect();
    spans.push(of_trace(2, 1, 1, 2));
    let wanted = spans.last_mut().expect("a span");
    wanted.name = "wanted".to_owned();
    wanted.attributes.0.push(("k".to_owned(), Value::from("v")));
    let (_dir, conn) = stored(&spans);
    let few = Budget {
        spans: 30,
        ..Budget::default()
    };
    let by_name = search(Predicate::Is(Field::Operation, "wanted".to_owned()), 5);
    let first = run(&conn, &by_name, few).expect("an answer");
    assert_eq!((first.items.len(), first.truncated), (0, true));
    assert!(first.next.is_some(), "it goes on from there");
    assert_eq!(pages(&conn, by_name, few), [2]);

    // Bodies are dearer than rows, and no time at all is enough for one row a page.
    let bodies = Budget {
        bodies: 7,
        ..Budget::default()
    };
    let by_tag = search(Predicate::Attribute("k".to_owned(), "v".to_owned()), 5);
    assert_eq!(pages(&conn, by_tag.clone(), bodies), [2]);
    let no_time = Budget {
        time: Duration::ZERO,
        ..Budget::default()
    };
    assert_eq!(pages(&conn, by_tag, no_time), [2]);
}

#[test]
fn the_shortest_list_is_walked() {
    let mut spans: Vec<_> = (1..=100).map(|id| of_trace(1, id, id, 200)).collect();
    for (at, span) in spans.iter_mut().enumerate() {
        span.identity.agent = Some("busy".to_owned());
        if at == 0 {
            span.identity.thread = Some("rare".to_owned());
        }
    }
    let (_dir, conn) = stored(&spans);
    let both = Predicate::All(vec![
        Predicate::Is(Field::Agent, "busy".to_owned()),
        Predicate::Is(Field::Thread, "x".to_owned()),
        Predicate::Status(StatusCode::Error),
    ]);
    let all = i64::MIN..=i64::MAX;
    let lists = both.lists();
    assert_eq!(lists.len(), 3);
    // Nobody has that thread, so there is nothing to walk along.
    assert_eq!(
        shortest(&conn, &lists, all.clone()).expect("an answer"),
        None
    );
    let lists = [
        (List::Agent, "busy"),
        (List::Thread, "rare"),
        (List::Service, "svc"),
    ];
    let rare = shortest(&conn, &lists, all.clone()).expect("an answer");
    assert_eq!(rare.map(|(list, _)| list), Some(List::Thread));
    let lists = [(List::Agent, "busy"), (List::Failed, "")];
    let failed = shortest(&conn, &lists, all.clone()).expect("an answer");
    assert_eq!(failed, Some((List::Failed, 0)));
    // What stands below a choice or a negation narrows nothing.
    let choice = Predicate::Any(vec![both.clone(), Predicate::Not(Box::new(both))]);
    assert_eq!(choice.lists(), []);
    let every = shortest(&conn, &[], all).expect("an answer");
    assert_eq!(every, Some((List::All, 0)));
}

#[test]
fn traces_without_errors() {
    let spans = [
        of_trace(1, 1, 1, 9),
        of_trace(2, 1, 2, 9),
        of_trace(2, 2, 0, 9).failed("no"),
        of_trace(3, 1, 3, 9),
    ];
    let (_dir, conn) = stored(&spans);
    let good = Search {
        no_errors: true,
        ..search(Predicate::All(Vec::new()), 1)
    };
    assert_eq!(pages(&conn, good.clone(), Budget::default()), [3, 1]);
    let good = Search {
        sort: Sort::Slowest,
        ..good
    };
    assert_eq!(pages(&conn, good, Budget::default()), [1, 3]);
}

#[test]
fn texts_that_are_no_place() {
    for text in [
        "", "n", "n1", "n1-2-3", "s1-2", "x1-2", "n1-x", "é1-2", "n1--2",
    ] {
        let place: Result<Place, _> = text.parse();
        // A minus before a number is a cut too.
        assert_eq!(place, Err(InvalidPlace), "{text}");
    }
}

const VALUES: [&str; 3] = ["a", "b", "it's; DROP TABLE spans --"];

fn value() -> impl Strategy<Value = String> {
    proptest::sample::select(&VALUES[..]).prop_map(str::to_owned)
}

fn field() -> impl Strategy<Value = Field> {
    proptest::sample::select(vec![
        Field::Service,
        Field::Agent,
        Field::Workflow,
        Field::Session,
        Field::User,
        Field::Tenant,
        Field::Thread,
        Field::Topic,
        Field::Operation,
    ])
}

fn predicates() -> impl Strategy<Value = Predicate> {
    let status =
        proptest::sample::select(vec![StatusCode::Unset, StatusCode::Ok, StatusCode::Error]);
    let leaf = prop_oneof![
        4 => (field(), value()).prop_map(|(field, value)| Predicate::Is(field, value)),
        1 => value().prop_map(|value| Predicate::Attribute("topic".to_owned(), value)),
        1 => status.prop_map(Predicate::Status),
        1 => (0u64..30).prop_map(|ms| Predicate::AtLeast(ms * MS)),
        1 => (0u64..30).prop_map(|ms| Predicate::AtMost(ms * MS)),
        1 => (0u64..60).prop_map(|ms| Predicate::From(BASE + ms * MS)),
        1 => (0u64..60).prop_map(|ms| Predicate::To(BASE + ms * MS)),
        1 => value().prop_map(|value| {
            Predicate::Holds(Words::of(&value).expect("few").expect("some"))
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 0..3).prop_map(Predicate::All),
            1 => proptest::collection::vec(inner.clone(), 0..3).prop_map(Predicate::Any),
            1 => inner.prop_map(|one| Predicate::Not(Box::new(one))),
        ]
    })
}

/// Trace, start and length in ms, name, service, ids and topic, status.
type Drawn = (u8, u64, u64, String, String, Vec<Option<String>>, i64);

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let ids = proptest::collection::vec(proptest::option::of(value()), 7);
    let span = (1u8..6, 0u64..60, 0u64..30, value(), value(), ids, 0i64..3);
    proptest::collection::vec(span, 1..20).prop_map(|spans| {
        let spans = spans.into_iter().enumerate();
        let span = |(at, (trace, start, long, name, service, ids, status)): (usize, Drawn)| {
            let mut span = of_trace(trace, at as u64 + 1, start, start + long);
            span = span.of(&service);
            span.name = name;
            span.kind = SpanKind::Consumer;
            span.status.code = StatusCode::from_number(status);
            let ids: Vec<Option<String>> = ids;
            let mut ids = ids.into_iter();
            let mut next = || ids.next().flatten();
            span.identity.agent = next();
            span.identity.thread = next();
            let topic = next().map(|topic| ("topic".to_owned(), Value::String(topic)));
            span.attributes.0.extend(topic);
            // Traces share them; what is common to a trace is filled in by the store.
            let common = VALUES[usize::from(trace) % 3].to_owned();
            span.identity.workflow = Some(common.clone());
            span.identity.user = Some(common);
            span
        };
        spans.map(span).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn sql_and_rust_find_the_same(spans in spans(), matching in predicates(), limit in 1usize..4) {
        let (_dir, conn) = stored(&spans);
        // By brute force: each trace by its newest match.
        let mut newest: BTreeMap<u8, (u64, usize)> = BTreeMap::new();
        for (at, span) in spans.iter().enumerate() {
            if matching.matches(span) {
                let place = newest.entry(span.trace_id.as_bytes()[0]).or_default();
                *place = (*place).max((span.start_ns, at));
            }
        }
        let mut expected: Vec<_> = newest.into_iter().collect();
        expected.sort_by_key(|(_, place)| std::cmp::Reverse(*place));
        let expected: Vec<u8> = expected.into_iter().map(|(trace, _)| trace).collect();
        let small = Budget { spans: 3, bodies: 2, ..Budget::default() };
        for budget in [Budget::default(), small] {
            let found = pages(&conn, search(matching.clone(), limit), budget);
            prop_assert_eq!(&found, &expected);
        }
    }
}

#[test]
fn a_span_of_another_trace_has_its_own_id() {
    // Ids of spans may repeat between traces.
    let spans = [of_trace(1, 7, 1, 2), of_trace(2, 7, 3, 4)];
    let (_dir, conn) = stored(&spans);
    assert_eq!(spans[0].span_id, span_id(7));
    let all = search(Predicate::All(Vec::new()), 9);
    assert_eq!(pages(&conn, all, Budget::default()), [2, 1]);
}
