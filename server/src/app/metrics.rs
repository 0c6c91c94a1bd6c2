//! The counters of the bus and of the span pipeline, for `/metrics` and `GetStats`.

use std::collections::BTreeMap;
use std::sync::Arc;

use loom_core::{EventBus, GroupBooks, LedgerSnapshot, Stream};
use loom_proto::semconv::metric;
use loom_proto::v1;
use loom_telemetry::pipeline::PipelineStats;
use loom_telemetry::sink::{DropReason, SinkStats};
use loom_trace::api::{Family, Kind, Labels};

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

/// What the bus and the span pipeline have counted.
pub(super) fn families(parts: &Parts) -> Vec<Family> {
    let report = parts.bus.report();
    let mut families = of_bus(&report.total);
    families.push(labelled(
        metric::BUS_REJECTED,
        "code",
        parts.bridge.rejected(),
    ));
    families.extend(books::by_topic(&report));
    families.extend(of_streams(&parts.bus));
    families.push(labelled(
        metric::TRACE_INVALID_CONTEXT,
        "reason",
        parts.bridge.invalid_context(),
    ));
    families.extend(of_spans(&parts.pipeline.stats()));
    families.push(Family::single(
        metric::AGENTS_CONNECTED,
        Kind::Gauge,
        parts.directory.len() as u64,
    ));
    families
}

/// The server's own spans on their way.
fn of_spans(spans: &PipelineStats) -> [Family; 5] {
    let by_sink = |name, kind, value: fn(&SinkStats) -> u64| {
        let of = |sink: &SinkStats| (Labels::of([("sink", sink.name)]), value(sink));
        Family::new(name, kind, spans.sinks.iter().map(of))
    };
    let of_reason =
        |sink: &str, reason: DropReason| Labels::of([("sink", sink), ("reason", reason.as_str())]);
    let refused = spans
        .refused
        .all()
        .map(|(reason, n)| (of_reason("", reason), n));
    let dropped = spans.sinks.iter().flat_map(|sink| {
        let dropped = sink.dropped.all();
        dropped.map(|(reason, n)| (of_reason(sink.name, reason), n))
    });
    let recorded = spans.recorded + spans.refused.total() + spans.sampled_out;
    [
        Family::single(metric::SPANS_RECORDED, Kind::Counter, recorded),
        by_sink(metric::SPANS_EXPORTED, Kind::Counter, |sink| sink.exported),
        Family::new(metric::SPANS_DROPPED, Kind::Counter, refused.chain(dropped)),
        Family::single(metric::SPANS_SAMPLED_OUT, Kind::Counter, spans.sampled_out),
        by_sink(metric::SPANS_QUEUED, Kind::Gauge, |sink| sink.queued),
    ]
}

/// The books of the bus in total.
fn of_bus(bus: &LedgerSnapshot) -> Vec<Family> {
    let counters = [
        (metric::BUS_PUBLISHED, bus.events),
        (metric::BUS_ROUTED, bus.routed()),
        (metric::BUS_UNROUTED, bus.filtered),
        (metric::BUS_OFFERED, bus.offered()),
        (metric::BUS_DELIVERED, bus.delivered),
        (metric::BUS_DEAD_LETTERED, bus.dead_lettered),
        (metric::BUS_EXPIRED, bus.expired),
    ];
    let counters = counters.map(|(name, value)| Family::single(name, Kind::Counter, value));
    let mut families = Vec::from(counters);
    families.push(labelled(metric::BUS_DROPPED, "reason", books::reasons(bus)));
    families.push(Family::single(
        metric::BUS_QUEUED,
        Kind::Gauge,
        bus.in_flight,
    ));
    families
}

/// The streams and the groups that read them.
fn of_streams(bus: &EventBus) -> Vec<Family> {
    type OfStream = fn(&Stream) -> u64;
    type OfGroup = fn(&GroupBooks) -> u64;
    let of_streams: [(&str, OfStream); 2] = [
        (metric::STREAM_EVENTS, |stream| stream.journal().end()),
        (metric::STREAM_DUPLICATES, Stream::duplicates),
    ];
    let mut families = Vec::new();
    for (name, value) in of_streams {
        let sample = |stream: &Arc<Stream>| {
            let labels = Labels::of([("stream", stream.name())]);
            (labels, value(stream))
        };
        let samples = bus.streams().iter().map(sample);
        families.push(Family::new(name, Kind::Counter, samples));
    }
    let groups: Vec<_> = bus
        .groups()
        .iter()
        .map(|group| {
            (
                group.stream().name().to_owned(),
                group.name().to_owned(),
                group.books(),
            )
        })
        .collect();
    let of_groups: [(&str, Kind, OfGroup); 8] = [
        (metric::GROUP_READ, Kind::Counter, |books| books.read),
        (metric::GROUP_ACKED, Kind::Counter, |books| books.acked),
        (metric::GROUP_DEAD, Kind::Counter, |books| books.dead),
        (metric::GROUP_RETRIED, Kind::Counter, |books| books.retried),
        (metric::GROUP_TIMED_OUT, Kind::Counter, |books| {
            books.timed_out
        }),
        (metric::GROUP_STALE, Kind::Counter, |books| books.stale),
        (metric::GROUP_OPEN, Kind::Gauge, |books| books.open),
        (metric::GROUP_LAG, Kind::Gauge, |books| books.lag),
    ];
    for (name, kind, value) in of_groups {
        let samples = groups.iter().map(|(stream, group, books)| {
            let labels = Labels::of([("stream", stream), ("group", group)]);
            (labels, value(books))
        });
        families.push(Family::new(name, kind, samples));
    }
    let unreadable = groups.iter().flat_map(|(stream, group, books)| {
        [("damaged", books.damaged), ("expired", books.expired)].map(|(reason, count)| {
            let labels = Labels::of([("stream", stream), ("group", group), ("reason", reason)]);
            (labels, count)
        })
    });
    families.push(Family::new(
        metric::GROUP_UNREADABLE,
        Kind::Counter,
        unreadable,
    ));
    families
}

/// Counters by reason, from 0 on: the first time is a rise then, which `rate()` sees, and not a series that has just begun.
fn labelled(
    name: &'static str,
    label: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> Family {
    let sample = |(value, n)| (Labels::of([(label, value)]), n);
    Family::new(name, Kind::Counter, counts.map(sample))
}
