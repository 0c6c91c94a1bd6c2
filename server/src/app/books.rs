//! The books of the bus and of the spans, as the API and the metrics show them.

use std::fmt::Write;

use loom_core::ledger::OTHERS;
use loom_core::{DropReason, LedgerReport, LedgerSnapshot};
use loom_proto::semconv::metric;
use loom_proto::v1;
use loom_telemetry::sink::SinkStats;
use loom_trace::api::{Family, Kind, Labels};
use serde_json::{Map, Value, json};

use super::Parts;
use super::metrics::span_stats;

/// Topics with samples of their own; the accounts of the others are added up. A metrics store pays for each label's value.
const TOPICS: usize = 256;

/// The part of `/api/v1/stats` that is not the store's.
pub(super) fn stats(parts: &Parts) -> Map<String, Value> {
    let report = parts.bus.report();
    let spans = span_stats(&parts.pipeline.stats());
    let topics: Vec<_> = report
        .topics
        .iter()
        .filter(|(_, account)| account.published + account.events > 0)
        .map(|(topic, account)| {
            let mut row = account_json(account);
            row.insert("topic".to_owned(), json!(**topic));
            Value::Object(row)
        })
        .collect();
    let mut answer = Map::new();
    answer.insert(
        "bus".to_owned(),
        json!({
            "balanced": report.is_balanced(),
            "quiet": report.is_quiet,
            "total": account_json(&report.total),
            "topics": topics,
        }),
    );
    answer.insert(
        "spans".to_owned(),
        json!({
            "recorded": spans.recorded,
            "stored": spans.exported,
            "sampled_out": spans.sampled_out,
            "dropped": spans.dropped,
            "queued": spans.queued,
        }),
    );
    answer
}

fn account_json(account: &LedgerSnapshot) -> Map<String, Value> {
    let dropped = reasons(account).map(|(reason, count)| (reason.to_owned(), json!(count)));
    let fields = [
        ("events", json!(account.events)),
        ("published", json!(account.published)),
        ("delivered", json!(account.delivered)),
        ("filtered", json!(account.filtered)),
        ("dead_lettered", json!(account.dead_lettered)),
        ("expired", json!(account.expired)),
        ("dropped", Value::Object(dropped.collect())),
        ("in_flight", json!(account.in_flight)),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The reasons that occurred, with their counts.
fn reasons(account: &LedgerSnapshot) -> impl Iterator<Item = (&'static str, u64)> {
    DropReason::ALL
        .into_iter()
        .zip(account.dropped)
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.as_str(), count))
}

/// The metrics by topic.
pub(super) fn by_topic(report: &LedgerReport) -> [Family; 3] {
    let (mut events, mut deliveries, mut in_flight) = (Vec::new(), Vec::new(), Vec::new());
    // The first ones that came keep their samples: a counter must not begin anew.
    let own = TOPICS.min(report.topics.len().saturating_sub(1));
    let (own, shared) = report.topics.split_at(own);
    let mut others = LedgerSnapshot::default();
    for (_, account) in shared {
        others.add(account);
    }
    let own = own.iter().map(|(topic, account)| (&**topic, account));
    for (topic, account) in own.chain([(OTHERS, &others)]) {
        let of_topic = Labels::of([("topic", topic)]);
        events.push((of_topic.clone(), account.events));
        in_flight.push((of_topic, account.in_flight));
        let ends = [
            ("delivered", account.delivered),
            ("filtered", account.filtered),
            ("dead_lettered", account.dead_lettered),
            ("expired", account.expired),
            ("dropped", account.dropped_total()),
        ];
        let ends = ends.into_iter().filter(|(_, count)| *count > 0);
        deliveries.extend(ends.map(|(end, count)| {
            let labels = Labels::of([("topic", topic), ("outcome", end)]);
            (labels, count)
        }));
    }
    [
        Family::new(metric::TOPIC_EVENTS, Kind::Counter, events),
        Family::new(metric::TOPIC_DELIVERIES, Kind::Counter, deliveries),
        Family::new(metric::TOPIC_IN_FLIGHT, Kind::Gauge, in_flight),
    ]
}

/// One line about the whole run, for the end of it.
pub(super) fn summary(
    bus: &LedgerSnapshot,
    rejected: u64,
    spans: &v1::SpanStats,
    exports: &[SinkStats],
) -> String {
    let lost: u64 = spans.dropped.values().sum();
    let mut line = format!(
        "events: {} published, {rejected} rejected; deliveries: {} published = {} delivered + {} filtered + {} dead_lettered \
         + {} expired + {} dropped{} + {} in_flight; spans: {} recorded = {} stored + {} sampled_out + {lost} dropped{} + {} queued",
        bus.events,
        bus.published,
        bus.delivered,
        bus.filtered,
        bus.dead_lettered,
        bus.expired,
        bus.dropped_total(),
        named(reasons(bus)),
        bus.in_flight,
        spans.recorded,
        spans.exported,
        spans.sampled_out,
        named(
            spans
                .dropped
                .iter()
                .map(|(reason, n)| (reason.as_str(), *n))
        ),
        spans.queued,
    );
    for sink in exports {
        // Writing to a String does not fail.
        _ = write!(
            line,
            "; {}: {} exported + {} dropped{} + {} queued",
            sink.name,
            sink.exported,
            sink.dropped.total(),
            named(sink.dropped.iter().map(|(reason, n)| (reason.as_str(), n))),
            sink.queued
        );
    }
    line
}

fn named<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let named: Vec<_> = counts
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| format!("{reason} {n}"))
        .collect();
    if named.is_empty() {
        String::new()
    } else {
        format!(" ({})", named.join(", "))
    }
}
