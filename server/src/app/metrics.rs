//! The counters of the bus and of the span pipeline, for `/metrics` and `GetStats`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use loom_core::{EventBus, GroupBooks, Stream};
use loom_proto::semconv::metric;
use loom_proto::v1;
use loom_telemetry::pipeline::PipelineStats;
use loom_telemetry::sink::SinkStats;

use super::{Parts, books};

/// The pipeline's books as one sink would have them: where several sinks get a span, the store counts.
pub(super) fn span_stats(stats: &PipelineStats) -> v1::SpanStats {
    let store = stats.sinks.first();
    let mut dropped: BTreeMap<String, u64> = BTreeMap::new();
    let lost = stats
        .refused
        .iter()
        .chain(store.into_iter().flat_map(|sink| sink.dropped.iter()));
    for (reason, spans) in lost.filter(|(_, spans)| *spans > 0) {
        *dropped.entry(reason.as_str().to_owned()).or_default() += spans;
    }
    v1::SpanStats {
        recorded: stats.recorded + stats.refused.total() + stats.sampled_out,
        sampled_out: stats.sampled_out,
        exported: store.map_or(0, |sink| sink.exported),
        dropped,
        queued: stats.waiting + store.map_or(0, |sink| sink.queued),
    }
}

/// Prometheus' text format.
pub(super) fn render(parts: &Parts) -> String {
    let bus = parts.bridge.bus_stats();
    let spans = parts.pipeline.stats();
    let mut text = String::new();
    let plain = |value: u64| vec![(String::new(), value)];
    bus_families(&mut text, &bus);
    books::by_topic(&mut text, &parts.bus.report());
    streams(&mut text, &parts.bus);
    family(
        &mut text,
        metric::TRACE_INVALID_CONTEXT,
        "counter",
        labelled("reason", &bus.invalid_context),
    );
    family(
        &mut text,
        metric::SPANS_RECORDED,
        "counter",
        plain(spans.recorded + spans.refused.total() + spans.sampled_out),
    );
    let sink = |value: fn(&SinkStats) -> u64| {
        spans
            .sinks
            .iter()
            .map(|sink| (format!("{{sink=\"{}\"}}", sink.name), value(sink)))
            .collect()
    };
    family(
        &mut text,
        metric::SPANS_EXPORTED,
        "counter",
        sink(|sink| sink.exported),
    );
    let refused = spans
        .refused
        .iter()
        .map(|(reason, n)| (format!("{{sink=\"\",reason=\"{reason}\"}}"), n));
    let dropped = spans.sinks.iter().flat_map(|sink| {
        sink.dropped
            .iter()
            .map(|(reason, n)| (format!("{{sink=\"{}\",reason=\"{reason}\"}}", sink.name), n))
    });
    family(
        &mut text,
        metric::SPANS_DROPPED,
        "counter",
        refused.chain(dropped).filter(|(_, n)| *n > 0).collect(),
    );
    family(
        &mut text,
        metric::SPANS_SAMPLED_OUT,
        "counter",
        plain(spans.sampled_out),
    );
    family(
        &mut text,
        metric::SPANS_QUEUED,
        "gauge",
        sink(|sink| sink.queued),
    );
    family(
        &mut text,
        metric::AGENTS_CONNECTED,
        "gauge",
        plain(parts.directory.len() as u64),
    );
    text
}

/// The books of the bus in total, and what it did not take.
fn bus_families(text: &mut String, bus: &v1::BusStats) {
    let counters = [
        (metric::BUS_PUBLISHED, bus.published),
        (metric::BUS_ROUTED, bus.routed),
        (metric::BUS_UNROUTED, bus.unrouted),
        (metric::BUS_OFFERED, bus.offered),
        (metric::BUS_DELIVERED, bus.delivered),
        (metric::BUS_DEAD_LETTERED, bus.dead_lettered),
        (metric::BUS_EXPIRED, bus.expired),
    ];
    for (name, value) in counters {
        family(text, name, "counter", vec![(String::new(), value)]);
    }
    let dropped = labelled("reason", &bus.dropped);
    family(text, metric::BUS_DROPPED, "counter", dropped);
    let queued = vec![(String::new(), bus.queued)];
    family(text, metric::BUS_QUEUED, "gauge", queued);
    let rejected = labelled("code", &bus.rejected);
    family(text, metric::BUS_REJECTED, "counter", rejected);
}

/// The streams and the groups that read them.
fn streams(text: &mut String, bus: &EventBus) {
    type OfStream = fn(&Stream) -> u64;
    type OfGroup = fn(&GroupBooks) -> u64;
    let of_streams: [(&str, OfStream); 2] = [
        (metric::STREAM_EVENTS, |stream| stream.journal().end()),
        (metric::STREAM_DUPLICATES, Stream::duplicates),
    ];
    for (name, value) in of_streams {
        let sample = |stream: &Arc<Stream>| {
            let labels = format!("{{stream=\"{}\"}}", stream.name());
            (labels, value(stream))
        };
        family(
            text,
            name,
            "counter",
            bus.streams().iter().map(sample).collect(),
        );
    }
    let groups: Vec<_> = bus
        .groups()
        .iter()
        .map(|group| {
            let labels = format!(
                "stream=\"{}\",group=\"{}\"",
                group.stream().name(),
                group.name()
            );
            (labels, group.books())
        })
        .collect();
    let of_groups: [(&str, &str, OfGroup); 8] = [
        (metric::GROUP_READ, "counter", |books| books.read),
        (metric::GROUP_ACKED, "counter", |books| books.acked),
        (metric::GROUP_DEAD, "counter", |books| books.dead),
        (metric::GROUP_RETRIED, "counter", |books| books.retried),
        (metric::GROUP_TIMED_OUT, "counter", |books| books.timed_out),
        (metric::GROUP_STALE, "counter", |books| books.stale),
        (metric::GROUP_OPEN, "gauge", |books| books.open),
        (metric::GROUP_LAG, "gauge", |books| books.lag),
    ];
    for (name, kind, value) in of_groups {
        let samples = groups
            .iter()
            .map(|(labels, books)| (format!("{{{labels}}}"), value(books)));
        family(text, name, kind, samples.collect());
    }
    let unreadable = groups.iter().flat_map(|(labels, books)| {
        [("damaged", books.damaged), ("expired", books.expired)]
            .map(|(reason, count)| (format!("{{{labels},reason=\"{reason}\"}}"), count))
    });
    family(
        text,
        metric::GROUP_UNREADABLE,
        "counter",
        unreadable.collect(),
    );
}

fn labelled(label: &str, counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    counts
        .iter()
        .map(|(value, n)| (format!("{{{label}=\"{value}\"}}"), *n))
        .collect()
}

/// The help is the meaning that `semconv` gives the name.
pub(super) fn family(text: &mut String, name: &str, kind: &str, samples: Vec<(String, u64)>) {
    let help = metric::ALL
        .iter()
        .find(|known| known.value == name)
        .map_or("", |known| known.meaning.trim());
    // Writing to a String does not fail.
    _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        _ = writeln!(text, "{name}{labels} {value}");
    }
}
