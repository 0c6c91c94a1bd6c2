//! `/metrics`: counters and histograms for Prometheus, or for who asks for it as `OpenMetrics`.

pub(super) mod exposition;
mod handled;
mod histogram;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use loom_proto::semconv::metric as names;
use tokio::sync::Mutex;

use self::exposition::{Family, Format, Kind, Labels, render};
use self::handled::Histograms;
use super::Api;
use crate::counters::CounterValues;

/// What is counted for this page alone. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Measured(Arc<Mutex<Histograms>>);

impl Measured {
    /// With so many agents and topics of their own.
    pub(super) fn new(labels: usize) -> Self {
        Self(Arc::new(Mutex::new(Histograms::new(labels))))
    }
}

pub(super) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    let mut families = of_store(&api.store.counters(), api.store.disk_bytes());
    families.extend(api.extension.metrics.iter().flat_map(|further| further()));
    {
        let mut histograms = api.measured.0.lock().await;
        // What could not be read now is read the next time.
        if let Err(error) = histograms.catch_up(&api.store.query()).await {
            tracing::warn!(%error, "the histograms of /metrics are not of this moment");
        }
        families.extend(histograms.families());
    }
    let accept = headers.get(header::ACCEPT);
    let format = format(accept.and_then(|accept| accept.to_str().ok()));
    let kind = match format {
        Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };
    let text = render(&families, format);
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The format that `Accept` prefers; of two that are as welcome, the one with more in it.
fn format(accept: Option<&str>) -> Format {
    let weight = |wanted: &str| {
        let ranges = accept.unwrap_or_default().split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next()?.eq_ignore_ascii_case(wanted);
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            is_it.then(|| weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
        });
        ranges.fold(0.0, f64::max)
    };
    let open = weight("application/openmetrics-text");
    if open > 0.0 && open >= weight("text/plain") {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

fn of_store(c: &CounterValues, store_bytes: u64) -> Vec<Family> {
    let counter = |name, value| Family::single(name, Kind::Counter, value);
    let by_reason = |name, reasons: &[(&str, u64)]| {
        let of = |&(reason, count): &(&str, u64)| (Labels::of([("reason", reason)]), count);
        Family::new(name, Kind::Counter, reasons.iter().map(of))
    };
    vec![
        counter(names::STORE_REQUESTS, c.requests),
        counter(names::STORE_MALFORMED, c.malformed_requests),
        counter(names::STORE_ACCEPTED, c.accepted),
        by_reason(
            names::STORE_REJECTED,
            &[
                ("trace_id", c.rejected_trace_id),
                ("span_id", c.rejected_span_id),
                ("parent_span_id", c.rejected_parent_span_id),
            ],
        ),
        by_reason(
            names::STORE_REFUSED,
            &[
                ("spool_full", c.refused_spool_full),
                ("spool_error", c.refused_spool_error),
                ("closed", c.refused_closed),
            ],
        ),
        counter(names::STORE_STORED, c.stored),
        by_reason(
            names::STORE_DROPPED,
            &[("duplicate", c.duplicates), ("spool_damaged", c.lost_spans)],
        ),
        counter(names::STORE_CONFLICTS, c.conflicts),
        counter(names::STORE_EXPIRED, c.expired),
        counter(names::STORE_UNPRICED, c.unpriced),
        counter(names::STORE_ERRORS, c.store_errors),
        Family::single(names::STORE_LAG, Kind::Gauge, c.lag),
        Family::single(names::STORE_BYTES, Kind::Gauge, store_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_shown() {
        // A different prime for each field, by way of its JSON.
        let json = serde_json::to_value(CounterValues::default()).expect("plain numbers");
        let fields: Vec<String> = json
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        // Seen from the start, not counted since: what it counts is part of the lag.
        let shown_elsewhere = ["backlog", "damaged_bytes", "damaged_places"];
        for (place, field) in fields.iter().enumerate() {
            if shown_elsewhere.contains(&field.as_str()) {
                continue;
            }
            let mut json = json.clone();
            json[field] = (1_000 + place).into();
            let counters: CounterValues = serde_json::from_value(json).expect("the same shape");
            let text = render(&of_store(&counters, 7), Format::Prometheus);
            assert!(
                text.contains(&format!(" {}\n", 1_000 + place)),
                "{field} is missing"
            );
        }
    }

    #[test]
    fn who_asks_for_open_metrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, expected) in [
            (None, Format::Prometheus),
            (Some(prometheus), Format::OpenMetrics),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (
                Some("Application/OpenMetrics-Text; q=1, text/plain"),
                Format::OpenMetrics,
            ),
            (
                Some("application/openmetrics-text;q=0.1, text/plain;q=0.9"),
                Format::Prometheus,
            ),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
            (Some("application/openmetrics-text;q=x"), Format::Prometheus),
            (Some("text/plain"), Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some(",;q=;,"), Format::Prometheus),
        ] {
            assert_eq!(format(accept), expected, "{accept:?}");
        }
    }
}
