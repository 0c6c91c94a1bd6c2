use super::*;
use crate::testing::{golden_chain, span, span_id};

/// Depth and name of each row; a missing span is its id.
fn shape(spans: &[Span]) -> Vec<(usize, String)> {
    tree(spans)
        .iter()
        .map(|row| {
            let name = match row.node {
                Node::Span(span) => span.name.clone(),
                Node::Missing(id) => id.to_string(),
            };
            (row.depth, name)
        })
        .collect()
}

fn expect(spans: &[Span], rows: &[(usize, &str)]) {
    let rows: Vec<_> = rows
        .iter()
        .map(|(depth, name)| (*depth, (*name).to_owned()))
        .collect();
    assert_eq!(shape(spans), rows);
}

#[test]
fn the_golden_chain_is_a_staircase() {
    let spans = golden_chain();
    let depths: Vec<_> = tree(&spans).iter().map(|row| row.depth).collect();
    assert_eq!(depths, (0..9).collect::<Vec<_>>());
}

#[test]
fn siblings_stand_by_their_start_below_their_parent() {
    let spans = [
        span(4, 1, "late", 5, 6),
        span(3, 2, "inner", 2, 3),
        span(2, 1, "early", 1, 4),
        span(1, 0, "root", 0, 9),
    ];
    expect(
        &spans,
        &[(0, "root"), (1, "early"), (2, "inner"), (1, "late")],
    );
    let rows = tree(&spans);
    assert_eq!(
        rows.iter().map(|r| r.is_last).collect::<Vec<_>>(),
        [true, false, true, true]
    );
    assert_eq!(
        rows.iter().map(|r| r.parent).collect::<Vec<_>>(),
        [None, Some(0), Some(1), Some(0)]
    );
}

#[test]
fn a_missing_parent_has_one_row_for_all_its_children() {
    let spans = [
        span(1, 0, "root", 0, 9),
        span(2, 77, "b", 6, 7),
        span(3, 77, "a", 5, 6),
    ];
    expect(
        &spans,
        &[
            (0, "root"),
            (0, &span_id(77).to_string()),
            (1, "a"),
            (1, "b"),
        ],
    );
}

#[test]
fn cycles_are_cut_at_their_earliest_span() {
    let spans = [
        span(1, 3, "c", 3, 4),
        span(2, 1, "a", 1, 2),
        span(3, 2, "b", 2, 3),
        span(9, 9, "self", 9, 9),
    ];
    expect(&spans, &[(0, "a"), (1, "b"), (2, "c"), (0, "self")]);
}

#[test]
fn a_second_span_of_the_same_id_has_a_row_without_children() {
    let spans = [
        span(1, 0, "root", 0, 9),
        span(2, 1, "x", 1, 2),
        span(2, 1, "y", 2, 3),
        span(3, 2, "child", 3, 4),
    ];
    expect(&spans, &[(0, "root"), (1, "x"), (2, "child"), (1, "y")]);
}

#[test]
fn every_span_has_exactly_one_row_however_deep_or_knotted() {
    let chain: Vec<_> = (1..=100_000)
        .map(|id| span(id, id - 1, "x", 0, 0))
        .collect();
    assert_eq!(tree(&chain).len(), chain.len());
    let pairs: Vec<_> = (1..=100_000)
        .map(|id| span(id, ((id - 1) ^ 1) + 1, "x", id, id))
        .collect();
    assert_eq!(tree(&pairs).len(), pairs.len());
    assert_eq!(tree(&[]), []);
}
