//! The books of the bus and of the spans, as the API and the metrics show them.

use std::fmt::Write;

use loom_core::ledger::OTHERS;
use loom_core::{DropReason, LedgerReport, LedgerSnapshot};
use loom_proto::semconv::metric;
use loom_proto::v1;
use loom_telemetry::sink::SinkStats;
use loom_trace::api::{Family, Kind, Labels};

use super::Parts;
use super::metrics::span_stats;
use crate::accounts::{Account, Books, BusBooks, SpanBooks, TopicAccount};

/// Topics with samples of their own; the accounts of the others are added up. A metrics store pays for each label's value.
const TOPICS: usize = 256;

/// What the server has counted until now.
pub(super) fn books(parts: &Parts) -> Books {
    let report = parts.bus.report();
    let spans = span_stats(&parts.pipeline.stats());
    let used = |account: &LedgerSnapshot| account.published + account.events > 0;
    let topics = report.topics.iter().filter(|(_, account)| used(account));
    Books {
        bus: BusBooks {
            balanced: report.is_balanced(),
            quiet: report.is_quiet,
            total: (&report.total).into(),
            topics: topics
                .map(|(topic, account)| TopicAccount {
                    account: account.into(),
                    topic: (**topic).to_owned(),
                })
                .collect(),
        },
        spans: SpanBooks {
            recorded: spans.recorded,
            stored: spans.exported,
            sampled_out: spans.sampled_out,
            dropped: spans.dropped,
            queued: spans.queued,
        },
    }
}

impl From<&LedgerSnapshot> for Account {
    fn from(account: &LedgerSnapshot) -> Self {
        let dropped = reasons(account).filter(|(_, count)| *count > 0);
        let dropped = dropped.map(|(reason, count)| (reason.to_owned(), count));
        Self {
            events: account.events,
            published: account.published,
            delivered: account.delivered,
            filtered: account.filtered,
            dead_lettered: account.dead_lettered,
            expired: account.expired,
            dropped: dropped.collect(),
            in_flight: account.in_flight,
        }
    }
}

/// All reasons for which deliveries are lost, with their counts.
pub(super) fn reasons(account: &LedgerSnapshot) -> impl Iterator<Item = (&'static str, u64)> {
    DropReason::ALL
        .into_iter()
        .zip(account.dropped)
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
