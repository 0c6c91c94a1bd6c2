//! How the hops of an event follow on each other.
//!
//! `bridge.publish` → `EventBus.publish` → `bridge.forward` → `agent.on_event`, all about one event. What an agent does in
//! between is its own: a user's span may stand anywhere above a publish and below a handler.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use loom_proto::semconv::span as name;

use super::scan::Row;
use crate::check::{Finding, FindingKind};
use crate::model::SpanId;

/// What is wrong between hops, missing handlers aside.
pub(super) fn check(spans: &[Row]) -> Vec<Finding> {
    let by_id: HashMap<SpanId, &Row> = spans.iter().map(|span| (span.span_id, span)).collect();
    let published = parents_of(spans, name::BUS_PUBLISH);
    let mut findings = Vec::new();
    for span in spans {
        let parent = span.parent_span_id.and_then(|id| by_id.get(&id));
        if let Some(detail) = parent.and_then(|parent| not_below(span, parent)) {
            findings.push(found(FindingKind::OtherDelivery, span, detail));
        }
        // A publish that was refused ends at the bridge.
        let is_taken = &*span.name == name::BRIDGE_PUBLISH && !span.is_error;
        if is_taken && !published.contains(&span.span_id) {
            let detail = format!("{} has no {} below it", span.name, name::BUS_PUBLISH);
            findings.push(found(FindingKind::NoPublish, span, detail));
        }
    }
    findings
}

/// Deliveries without a handler, and the agents that had them.
pub(super) fn unhandled(spans: &[Row]) -> Vec<(&Arc<str>, Finding)> {
    let handled = parents_of(spans, name::ON_EVENT);
    let deliveries = spans
        .iter()
        .filter(|span| &*span.name == name::BRIDGE_FORWARD && !handled.contains(&span.span_id));
    let found = deliveries.filter_map(|span| {
        let agent = span.agent.as_ref()?;
        let detail = format!(
            "{} to {agent} has no {} below it",
            span.name,
            name::ON_EVENT
        );
        Some((agent, found(FindingKind::NoHandler, span, detail)))
    });
    found.collect()
}

/// The agent that told of a handler.
pub(super) fn told_by(span: &Row) -> Option<&Arc<str>> {
    let is_told = &*span.name == name::ON_EVENT && !span.is_stand_in;
    span.agent.as_ref().filter(|_| is_told)
}

/// Whether it is a span of the server: of the bus, the bridge or the broker, or of its own life, which begins with `loom.`.
pub(super) fn is_of_the_server(span: &Row) -> bool {
    let names = [
        name::BRIDGE_PUBLISH,
        name::BUS_PUBLISH,
        name::BRIDGE_FORWARD,
        name::BROKER_INVOKE,
    ];
    names.contains(&&*span.name) || span.name.starts_with("loom.")
}

/// Why a span cannot be right below this one; `None` where it can.
fn not_below(span: &Row, parent: &Row) -> Option<String> {
    let hop_before = match &*span.name {
        name::BUS_PUBLISH => name::BRIDGE_PUBLISH,
        name::BRIDGE_FORWARD => name::BUS_PUBLISH,
        name::ON_EVENT => name::BRIDGE_FORWARD,
        _ => return None,
    };
    if &*parent.name != hop_before {
        // The server's own publishes have any span above them, the other hops only each other.
        let is_free = &*span.name == name::BUS_PUBLISH;
        return (!is_free).then(|| format!("{} is below {}", span.name, parent.name));
    }
    match (&span.event, &parent.event) {
        (Some(event), Some(of_parent)) if event != of_parent => Some(format!(
            "{} is about event {event}, and {} above it about {of_parent}",
            span.name, parent.name
        )),
        _ => None,
    }
}

/// Ids of the spans that have a child of this name.
fn parents_of(spans: &[Row], child: &str) -> HashSet<SpanId> {
    let children = spans.iter().filter(|span| &*span.name == child);
    children.filter_map(|span| span.parent_span_id).collect()
}

fn found(kind: FindingKind, span: &Row, detail: String) -> Finding {
    Finding::new(kind, span.span_id, span.parent_span_id, detail)
}
