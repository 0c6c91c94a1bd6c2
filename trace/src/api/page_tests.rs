use super::*;
use crate::model::Value;
use crate::testing::{golden_chain, span, trace};

#[test]
fn a_whole_trace() {
    let html = render(&trace(golden_chain()));
    assert_eq!(html.matches("<tr class=\"span\">").count(), 9);
    assert_eq!(html.matches("class=\"wait\"").count(), 2);
    assert!(html.contains("The trace is whole"));
    assert!(html.contains("12 ms · 9 spans · 0 errors"));
}

#[test]
fn faults_are_named() {
    let mut spans = golden_chain();
    spans.remove(3);
    spans[5] = spans[5].clone().failed("why");
    let html = render(&trace(spans));
    assert!(!html.contains("The trace is whole"));
    assert_eq!(html.matches("<tr class=\"missing\">").count(), 1);
    assert_eq!(html.matches("<tr class=\"error\">").count(), 1);
    assert!(html.contains("agent.on_event has the parent 0000000000000004"));
}

#[test]
fn nothing_from_a_span_becomes_markup() {
    let evil = "<script>alert('x')</script>\"&\u{0}";
    let mut hostile = span(1, 77, evil, 0, 1).of(evil).failed(evil);
    hostile.attributes = [(evil, Value::from(evil))].into_iter().collect();
    hostile.events = vec![crate::model::Event {
        time_ns: 0,
        name: evil.to_owned(),
        attributes: hostile.attributes.clone(),
        dropped_attributes: 0,
    }];
    let html = render(&trace(vec![hostile]));
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("alert('"), "{html}");
    assert!(!html.contains('\u{0}'));
    // The policy allows neither, so the page must not need them.
    assert!(!html.contains(" style=") && !html.contains(" on"), "{html}");
}

#[test]
fn a_bar_stays_on_its_line_whatever_the_times() {
    let html = render(&trace(vec![span(1, 0, "zero", 0, 0)]));
    assert!(html.contains("x=\"0.00%\""), "{html}");
    let mut backwards = span(1, 0, "agent.on_event", 9, 1);
    backwards.start_ns = i64::MAX as u64;
    assert!(render(&trace(vec![span(2, 0, "early", 0, 1), backwards])).contains("x=\"100.00%\""));
}
