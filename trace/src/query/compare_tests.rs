use proptest::prelude::*;

use super::*;
use crate::model::{SpanKind, StatusCode};
use crate::outline::{GenAi, OutlineSpan, Step};
use crate::testing::{BASE, span_id, trace_id};

/// A trace of spans with id from 1 on: parent or 0, a letter as name, begin after [`BASE`] and duration in ns.
fn trace(spans: &[(u64, char, u64, u64)]) -> Outline {
    let names: Vec<char> = ('a'..='z').collect();
    let span =
        |(place, &(parent, name, start, long)): (usize, &(u64, char, u64, u64))| OutlineSpan {
            span_id: span_id(place as u64 + 1),
            parent_span_id: SpanId::from_bytes(&parent.to_be_bytes()),
            name: u32::from(name) - u32::from('a'),
            service: 0,
            agent: None,
            scope: 0,
            topic: None,
            kind: SpanKind::Internal,
            step: Step::Other,
            start_ns: BASE + start,
            end_ns: BASE + start + long,
            status: StatusCode::Unset,
            events: 0,
            links: 0,
            is_stand_in: false,
            is_orphan: false,
            gen_ai: GenAi::No,
            wait_ns: None,
        };
    Outline {
        id: trace_id(1),
        truncated: false,
        names: names.iter().map(char::to_string).collect(),
        services: vec!["s".to_owned()],
        agents: Vec::new(),
        scopes: vec![String::new()],
        topics: Vec::new(),
        spans: spans.iter().enumerate().map(span).collect(),
        links: Vec::new(),
    }
}

/// A node as `s: a/s: b 1x5 | -`.
fn shown(node: &Node) -> String {
    let side = |side: Option<Side>| match side {
        Some(Side { count, duration_ns }) => format!("{count}x{duration_ns}"),
        None => "-".to_owned(),
    };
    format!(
        "{} {} | {}",
        node.path.join("/"),
        side(node.a),
        side(node.b)
    )
}

fn told(a: &Outline, b: &Outline) -> Vec<String> {
    compare(a, b).nodes.iter().map(shown).collect()
}

#[test]
fn the_same_path_is_the_same_node() {
    let a = trace(&[
        (0, 'a', 0, 100),
        (1, 'b', 10, 20),
        (1, 'b', 30, 25),
        (2, 'c', 12, 5),
    ]);
    // The same at another time, without `c`, and with `d` at the beginning.
    let b = trace(&[(0, 'a', 1_000, 90), (1, 'd', 1_001, 7), (1, 'b', 1_020, 60)]);
    let expected = [
        "s: a 1x100 | 1x90",
        "s: a/s: d - | 1x7",
        "s: a/s: b 2x45 | 1x60",
        "s: a/s: b/s: c 1x5 | -",
    ];
    assert_eq!(told(&a, &b), expected);
    assert!(!compare(&a, &b).truncated);
}

#[test]
fn orphans_and_circles_are_compared_too() {
    // 2 and 3 stand below each other, 4 below itself, 5 below a span that is not there.
    let a = trace(&[
        (0, 'a', 0, 9),
        (3, 'b', 1, 1),
        (2, 'c', 2, 1),
        (4, 'd', 3, 1),
        (99, 'e', 4, 1),
    ]);
    let expected = [
        "s: a 1x9 | -",
        "s: b 1x1 | -",
        "s: b/s: c 1x1 | -",
        "s: d 1x1 | -",
        "s: e 1x1 | -",
    ];
    assert_eq!(told(&a, &trace(&[])), expected);
    assert!(told(&trace(&[]), &trace(&[])).is_empty());
}

#[test]
fn what_is_too_much_is_left_out_and_said() {
    let nowhere = trace(&[]);
    let chain: Vec<_> = (0..200).map(|id| (id, 'a', id, 1)).collect();
    let found = compare(&trace(&chain), &nowhere);
    assert_eq!((found.nodes.len(), found.truncated), (MAX_DEPTH, true));
    assert!(
        found
            .nodes
            .iter()
            .all(|node| node.a.is_some_and(|side| side.count == 1))
    );

    let mut wide = trace(&vec![(0, 'a', 0, 1); MAX_NODES]);
    for (place, span) in wide.spans.iter_mut().enumerate() {
        span.service = place as u32;
    }
    wide.services = (0..=MAX_NODES)
        .map(|place| format!("s{place:04}"))
        .collect();
    let found = compare(&nowhere, &wide);
    assert_eq!((found.nodes.len(), found.truncated), (MAX_NODES, false));
    let mut one_more = wide.spans[0];
    (one_more.span_id, one_more.service) = (span_id(1 << 40), MAX_NODES as u32);
    wide.spans.push(one_more);
    let found = compare(&nowhere, &wide);
    assert_eq!((found.nodes.len(), found.truncated), (MAX_NODES, true));

    let mut part = trace(&[(0, 'a', 0, 1)]);
    part.truncated = true;
    assert!(compare(&part, &nowhere).truncated);

    part.names[0] = "ä".repeat(MAX_CHARS + 1);
    let told = &compare(&part, &nowhere).nodes[0].path[0];
    assert_eq!(told.chars().count(), "s: ".len() + MAX_CHARS);
}

fn traces() -> impl Strategy<Value = Outline> {
    let name = prop::sample::select(vec!['a', 'b', 'c']);
    let span = (0u64..40, name, 0u64..50, 0u64..50);
    prop::collection::vec(span, 0..40).prop_map(|spans| trace(&spans))
}

proptest! {
    #[test]
    fn a_trace_has_no_difference_to_itself(trace in traces()) {
        for node in compare(&trace, &trace).nodes {
            prop_assert!(node.a.is_some());
            prop_assert_eq!(node.a, node.b);
        }
    }

    #[test]
    fn swapping_the_traces_swaps_the_sides(a in traces(), b in traces()) {
        let mut swapped = compare(&b, &a);
        for node in &mut swapped.nodes {
            std::mem::swap(&mut node.a, &mut node.b);
        }
        prop_assert_eq!(compare(&a, &b), swapped);
    }

    #[test]
    fn every_span_is_in_one_node_below_that_of_its_parent(a in traces(), b in traces()) {
        let found = compare(&a, &b);
        prop_assert!(!found.truncated);
        let sum = |side: fn(&Node) -> Option<Side>| -> u64 {
            found.nodes.iter().filter_map(side).map(|side| side.count).sum()
        };
        prop_assert_eq!(sum(|node| node.a), a.spans.len() as u64);
        prop_assert_eq!(sum(|node| node.b), b.spans.len() as u64);
        let mut before: Vec<&[Arc<str>]> = vec![&[]];
        for node in &found.nodes {
            let (_, above) = node.path.split_last().expect("a path has an end");
            prop_assert!(before.contains(&above), "{:?}", node.path);
            prop_assert!(!before.contains(&&node.path[..]), "{:?}", node.path);
            before.push(&node.path);
        }
    }
}
