//! `GET /api/v1/verify`: joins what the bus has accepted with what the store has.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use loom_core::{Cursor, EventBus, Group, Stream};
use loom_proto::topic;
use loom_telemetry::ids::now_unix_nano;
use loom_trace::api::{LoomProblem, Problem, Query};
use loom_trace::model::{SpanId, TraceId};
use loom_trace::verify::{self, Accepted, Books, Report};
use loom_trace::{FlushError, TraceStore};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Parts;

/// How long the spans that are on their way may take before the store is looked at.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);
/// Read from a journal at once.
const READ_BYTES: usize = 1024 * 1024;
/// Findings that are told unless more are asked for.
const SAMPLES: usize = 20;

/// What to verify.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// Only this trace.
    trace: Option<TraceId>,
    /// Only what began in this time until now, in ms; everything without it.
    since_ms: Option<u64>,
    /// A trace is judged this long after its last span, in ms.
    #[serde(default)]
    grace_ms: u64,
    /// By how much a child may start before its parent, in ms.
    #[serde(default)]
    clock_tolerance_ms: u64,
    /// Findings to tell.
    samples: Option<usize>,
}

/// Proves that traces are whole, or says what is missing
///
/// What the bus has accepted is compared with what the store has.
#[utoipa::path(
    get,
    path = "/api/v1/verify",
    operation_id = "verify",
    tag = "server",
    params(Parameters),
    responses((status = 200, description = "What was found.", body = Report), LoomProblem),
)]
pub(super) async fn route(
    State(parts): State<Parts>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Report>, LoomProblem> {
    Ok(Json(run(&parts, &parameters).await?))
}

async fn run(parts: &Parts, parameters: &Parameters) -> Result<Report, Problem> {
    let now = now_unix_nano();
    let before = |ms: u64| now.saturating_sub(ms.saturating_mul(1_000_000));
    let options = verify::Options {
        trace: parameters.trace,
        since_ns: parameters.since_ms.map_or(0, before),
        until_ns: before(parameters.grace_ms),
        clock_tolerance_ns: parameters.clock_tolerance_ms.saturating_mul(1_000_000),
        samples: parameters.samples.unwrap_or(SAMPLES),
    };

    // What was recorded before this moment is to be found in the store.
    let pipeline = parts.pipeline.clone();
    super::blocking(move || pipeline.drain(Instant::now() + FLUSH_PATIENCE)).await;
    flush(&parts.store).await?;

    let books = StreamBooks::new(&parts.bus, &options);
    let books = options
        .trace
        .is_none()
        .then(|| Box::new(books) as Box<dyn Books>);
    Ok(verify::verify(&parts.store, &options, books).await?)
}

/// After a flood there is much to index: it is waited for while it becomes less.
async fn flush(store: &TraceStore) -> Result<(), FlushError> {
    let mut lag = u64::MAX;
    loop {
        match store.flush(FLUSH_PATIENCE).await {
            Err(error) if error.lag < lag => lag = error.lag,
            done => return done,
        }
    }
}

/// The events that streams have kept, and the groups that have settled them.
struct StreamBooks {
    left: VecDeque<Arc<Stream>>,
    /// As far as they have come when the verification began.
    groups: Vec<(Arc<Group>, Cursor)>,
    /// Where the first of them goes on; `None` before it was read.
    next: Option<u64>,
    since_ns: u64,
    until_ns: u64,
}

impl StreamBooks {
    fn new(bus: &EventBus, options: &verify::Options) -> Self {
        Self {
            left: bus.streams().iter().cloned().collect(),
            groups: bus.groups().into_iter().map(progress).collect(),
            next: None,
            since_ns: options.since_ns,
            until_ns: options.until_ns,
        }
    }
}

fn progress(group: Arc<Group>) -> (Arc<Group>, Cursor) {
    let progress = group.progress();
    (group, progress)
}

impl StreamBooks {
    /// How many groups have settled an event.
    fn settled(&self, stream: &Arc<Stream>, offset: u64, topic: &str) -> u32 {
        let groups = self.groups.iter().filter(|(group, progress)| {
            Arc::ptr_eq(group.stream(), stream)
                && topic::matches(group.pattern(), topic)
                && progress.has_settled(offset)
        });
        groups.count() as u32
    }
}

impl Books for StreamBooks {
    fn next(&mut self) -> Result<Vec<Accepted>, String> {
        while let Some(stream) = self.left.front() {
            let journal = stream.journal();
            let next = match self.next {
                Some(next) => next,
                None => journal
                    .offset_at(self.since_ns)
                    .map_err(|error| error.to_string())?,
            };
            let read = journal.read(next, READ_BYTES);
            let read = read.map_err(|error| error.to_string())?;
            let events = read.events.iter();
            let accepted: Vec<_> = events
                .filter(|(_, event)| event.published_unix_nano() <= self.until_ns)
                .filter_map(|(offset, event)| {
                    let trace = event.sampled_trace()?;
                    Some(Accepted {
                        trace_id: TraceId::from_bytes(&trace.trace_id.0)?,
                        span_id: SpanId::from_bytes(&trace.span_id.0)?,
                        settled: self.settled(stream, *offset, event.topic()),
                        name: format!("{} at {offset} of stream {}", event.topic(), stream.name()),
                    })
                })
                .collect();
            if read.next > next {
                self.next = Some(read.next);
            } else {
                self.left.pop_front();
                self.next = None;
            }
            if !accepted.is_empty() {
                return Ok(accepted);
            }
        }
        Ok(Vec::new())
    }
}
