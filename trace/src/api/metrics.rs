//! `/metrics`: the counters in Prometheus' text format.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use loom_proto::semconv::metric as names;

use super::Api;
use crate::counters::CounterValues;

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let mut text = render(&api.store.counters(), api.store.disk_bytes());
    if let Some(further) = &api.extension.metrics {
        text.push_str(&further());
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// One family: name, type, meaning, and its samples with their labels.
type Family<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, u64)]);

fn render(c: &CounterValues, store_bytes: u64) -> String {
    let families: [Family<'_>; 13] = [
        (
            names::STORE_REQUESTS,
            "counter",
            "OTLP requests taken.",
            &[("", c.requests)],
        ),
        (
            names::STORE_MALFORMED,
            "counter",
            "Requests that were no OTLP.",
            &[("", c.malformed_requests)],
        ),
        (
            names::STORE_ACCEPTED,
            "counter",
            "Spans acknowledged.",
            &[("", c.accepted)],
        ),
        (
            names::STORE_REJECTED,
            "counter",
            "Spans refused for what they are, by reason.",
            &[
                ("{reason=\"trace_id\"}", c.rejected_trace_id),
                ("{reason=\"span_id\"}", c.rejected_span_id),
                ("{reason=\"parent_span_id\"}", c.rejected_parent_span_id),
            ],
        ),
        (
            names::STORE_REFUSED,
            "counter",
            "Spans refused for want of room, by reason; their senders were told.",
            &[
                ("{reason=\"spool_full\"}", c.refused_spool_full),
                ("{reason=\"spool_error\"}", c.refused_spool_error),
                ("{reason=\"closed\"}", c.refused_closed),
            ],
        ),
        (
            names::STORE_STORED,
            "counter",
            "Spans stored.",
            &[("", c.stored)],
        ),
        (
            names::STORE_DROPPED,
            "counter",
            "Acknowledged spans that are not stored a second time or at all, by reason.",
            &[
                ("{reason=\"duplicate\"}", c.duplicates),
                ("{reason=\"spool_damaged\"}", c.lost_spans),
            ],
        ),
        (
            names::STORE_CONFLICTS,
            "counter",
            "Spans that had the id of another one.",
            &[("", c.conflicts)],
        ),
        (
            names::STORE_EXPIRED,
            "counter",
            "Spans deleted by retention.",
            &[("", c.expired)],
        ),
        (
            names::STORE_UNPRICED,
            "counter",
            "Model calls whose tokens are known and whose price is not.",
            &[("", c.unpriced)],
        ),
        (
            names::STORE_ERRORS,
            "counter",
            "Failed writes to the database; each is tried again.",
            &[("", c.store_errors)],
        ),
        (
            names::STORE_LAG,
            "gauge",
            "Spans acknowledged and not yet stored.",
            &[("", c.lag)],
        ),
        (
            names::STORE_BYTES,
            "gauge",
            "Bytes on disk.",
            &[("", store_bytes)],
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, samples) in families {
        // Writing to a String does not fail.
        _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
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
            let text = render(&counters, 7);
            assert!(
                text.contains(&format!(" {}\n", 1_000 + place)),
                "{field} is missing"
            );
        }
    }
}
