use super::*;
use crate::testing::{golden_chain, span, span_id, trace_id};

fn kinds(spans: &[Span]) -> Vec<(FindingKind, SpanId)> {
    let findings = check(spans, &Options::default());
    findings.into_iter().map(|f| (f.kind, f.span_id)).collect()
}

#[test]
fn a_whole_trace_has_no_findings() {
    assert_eq!(check(&golden_chain(), &Options::default()), []);
    assert_eq!(check(&[], &Options::default()), []);
}

#[test]
fn the_order_of_the_spans_does_not_matter() {
    let mut spans = golden_chain();
    spans.reverse();
    assert_eq!(kinds(&spans), []);
}

#[test]
fn a_child_may_outlive_its_parent() {
    assert_eq!(
        kinds(&[span(1, 0, "publish", 0, 1), span(2, 1, "handle", 5, 9)]),
        []
    );
}

#[test]
fn orphans() {
    let mut spans = golden_chain();
    spans.remove(3);
    let findings = check(&spans, &Options::default());
    assert_eq!(findings.len(), 1);
    let finding = &findings[0];
    assert_eq!(
        (finding.kind, finding.span_id),
        (FindingKind::Orphan, span_id(5))
    );
    assert_eq!(finding.parent_span_id, Some(span_id(4)));
    assert_eq!(
        finding.detail,
        "agent.on_event has the parent 0000000000000004, which is not in the trace"
    );
    assert!(!finding.hint.is_empty());
}

#[test]
fn roots_after_the_first() {
    let spans = [
        span(1, 0, "a", 0, 1),
        span(2, 0, "b", 0, 1),
        span(3, 0, "c", 0, 1),
    ];
    let expected = [
        (FindingKind::ExtraRoot, span_id(2)),
        (FindingKind::ExtraRoot, span_id(3)),
    ];
    assert_eq!(kinds(&spans), expected);
}

#[test]
fn a_child_that_starts_first_and_the_tolerance_for_it() {
    let spans = [span(1, 0, "a", 10, 20), span(2, 1, "b", 7, 30)];
    assert_eq!(
        kinds(&spans),
        [(FindingKind::StartsBeforeParent, span_id(2))]
    );
    let tolerant = Options {
        clock_tolerance_ns: 3_000_000,
    };
    assert_eq!(check(&spans, &tolerant), []);
    let findings = check(&spans, &Options::default());
    assert_eq!(findings[0].detail, "b starts 3.0 ms before its parent a");
}

#[test]
fn times_that_go_backwards() {
    assert_eq!(
        kinds(&[span(1, 0, "a", 10, 9)]),
        [(FindingKind::EndsBeforeStart, span_id(1))]
    );
}

#[test]
fn two_spans_of_one_id() {
    let spans = [
        span(1, 0, "a", 0, 1),
        span(2, 1, "b", 0, 1),
        span(2, 1, "c", 0, 1),
    ];
    assert_eq!(kinds(&spans), [(FindingKind::DuplicateSpan, span_id(2))]);
}

#[test]
fn a_span_of_another_trace() {
    let mut other = span(2, 1, "b", 0, 1);
    other.trace_id = trace_id(2);
    assert_eq!(
        kinds(&[span(1, 0, "a", 0, 1), other]),
        [(FindingKind::OtherTrace, span_id(2))]
    );
}

#[test]
fn cycles_and_only_their_members() {
    let spans = [
        span(1, 1, "self", 0, 1),
        span(2, 4, "x", 0, 1),
        span(3, 2, "y", 0, 1),
        span(4, 3, "z", 0, 1),
        // Hangs below the cycle without being a part of it.
        span(5, 3, "below", 0, 1),
    ];
    let expected = [1, 2, 3, 4].map(|id| (FindingKind::Cycle, span_id(id)));
    assert_eq!(kinds(&spans), expected);
}

#[test]
fn a_long_chain_takes_no_stack() {
    let chain: Vec<_> = (1..=100_000)
        .map(|id| span(id, id - 1, "x", id, id))
        .collect();
    assert_eq!(kinds(&chain), []);
}
