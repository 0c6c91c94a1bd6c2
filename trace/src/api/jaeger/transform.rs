//! `POST /api/transform`: a file of OTLP/JSON in Jaeger's JSON, with which its UI shows files. Nothing is stored.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;

use super::super::error::{JaegerProblem, Problem};
use super::super::{Api, json_text, off_thread};
use super::envelope::{Envelope, ErrorItem};
use super::trace::JaegerTrace;
use crate::model::value::to_json;
use crate::model::{Trace, TraceId};
use crate::otlp::{decode, json};

/// Largest file, as of an OTLP request.
pub(super) const MAX_BODY: usize = 16 << 20;

pub(super) async fn transform(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, JaegerProblem> {
    let body = body?;
    let max_spans = api.config.max_spans;
    let answer = off_thread(move || transformed(&body, max_spans)).await?;
    Ok(json_text(answer?))
}

fn transformed(body: &[u8], max_spans: usize) -> Result<String, Problem> {
    let unreadable = |error| Problem::bad_request(format!("the body is no OTLP/JSON: {error}"));
    let protobuf = json::to_protobuf(body).map_err(|error| unreadable(error.to_string()))?;
    let decoded = decode(&protobuf).map_err(|error| unreadable(error.to_string()))?;
    if decoded.spans.len() > max_spans {
        let why = format!("more than {max_spans} spans, split the file");
        return Err(Problem::bad_request(why));
    }
    // In the order of the file.
    let mut traces: Vec<Trace> = Vec::new();
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    for span in decoded.spans {
        match places.entry(span.trace_id) {
            Entry::Occupied(place) => traces[*place.get()].spans.push(span),
            Entry::Vacant(place) => {
                place.insert(traces.len());
                traces.push(Trace {
                    id: span.trace_id,
                    spans: vec![span],
                    truncated: false,
                });
            }
        }
    }
    let rejected = Some(decoded.rejected.message()).filter(|message| !message.is_empty());
    let errors = rejected.map(ErrorItem::said).into_iter().collect();
    let traces: Vec<_> = traces.iter().map(JaegerTrace::from).collect();
    Ok(to_json(&Envelope::new(traces, 0).with_errors(errors)))
}
