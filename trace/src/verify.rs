//! Proof that traces are whole: what the store has, beside what must be there by the bus's books.
//!
//! A pure [`check`](crate::check) looks at one trace. This looks at all of a time, trace by trace in steps of bounded
//! memory, and knows besides how the hops of an event follow on each other, and which events the bus has accepted
//! ([`Books`]). A trace that still grows is not judged; it is counted as unsettled.

pub mod enrichment;
mod hops;
mod scan;
pub mod self_test;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::check::{Finding, FindingKind};
use crate::counters::CounterValues;
use crate::error::QueryError;
use crate::model::{SpanId, TraceId};
use crate::query::Query;
use crate::trace_store::TraceStore;
use enrichment::{Counted, Enrichment};
use utoipa::ToSchema;

/// Traces that are read at once: each read has the time of a query.
const STEP: u32 = 500;
/// Steps that are under way at once: others have queries too.
const AT_ONCE: usize = 2;

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Only this trace.
    pub trace: Option<TraceId>,
    /// Traces that began at this time or later, in ns since the Unix epoch.
    pub since_ns: u64,
    /// Traces with a span that ends later than this, in ns since the Unix epoch, are not settled.
    pub until_ns: u64,
    /// By how much a child may start before its parent, in ns.
    pub clock_tolerance_ns: u64,
    /// How many findings to tell; all are counted.
    pub samples: usize,
}

/// What must be there, by independent books. Read step by step; blocks for as long as a disk takes.
pub trait Books: Send {
    /// The next accepted events whose spans must be in the store; none at the end.
    ///
    /// # Errors
    /// The books cannot be read; says why.
    fn next(&mut self) -> Result<Vec<Accepted>, String>;
}

/// An event that the bus has accepted under a trace that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its span `EventBus.publish`.
    pub span_id: SpanId,
    /// How many groups have settled it: each was given it at least once.
    pub settled: u32,
    /// Which event it is, for people.
    pub name: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Traces that were judged.
    pub traces: u64,
    /// Their spans.
    pub spans: u64,
    /// Spans among them that the runtime wrote in the place of lost ones.
    pub stand_ins: u64,
    /// Traces that still grow.
    pub unsettled: u64,
    /// Accepted events whose spans were looked for.
    pub accepted: u64,
    /// Whom the spans are about.
    pub enrichment: Enrichment,
    /// Agents that were handed events and tell no spans at all: their handlers cannot be looked for.
    pub silent_agents: Vec<String>,
    /// How often each kind of fault was found. Those of the store's counters were counted since the start of the server.
    pub faults: BTreeMap<FindingKind, u64>,
    /// The first of them.
    pub findings: Vec<InTrace>,
}

/// A fault, and the trace that has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InTrace {
    /// The trace.
    pub trace_id: TraceId,
    /// The fault.
    #[serde(flatten)]
    pub finding: Finding,
}

/// It could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The books.
    #[error("the books of the bus cannot be read: {0}")]
    Books(String),
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// What never came into the store, or was told apart by its counters alone. Since the start of the server.
    fn count(&mut self, counters: &CounterValues) {
        let CounterValues {
            rejected_trace_id,
            rejected_span_id,
            rejected_parent_span_id,
            conflicts,
            lost_spans,
            ..
        } = *counters;
        let counted = [
            (
                FindingKind::BadId,
                rejected_trace_id + rejected_span_id + rejected_parent_span_id,
            ),
            (FindingKind::DuplicateSpan, conflicts),
            (FindingKind::Lost, lost_spans),
        ];
        for (kind, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
            *self.faults.entry(kind).or_default() += count;
        }
    }

    fn add(&mut self, trace_id: TraceId, finding: Finding, samples: usize) {
        *self.faults.entry(finding.kind).or_default() += 1;
        if self.findings.len() < samples {
            self.findings.push(InTrace { trace_id, finding });
        }
    }
}

/// Verifies what the store has, and that what the books tell is there.
///
/// # Errors
/// The store or the books cannot be read.
pub async fn verify(
    store: &TraceStore,
    options: &Options,
    books: Option<Box<dyn Books>>,
) -> Result<Report, VerifyError> {
    let mut verdict = Verdict {
        options: Arc::new(options.clone()),
        report: Report::default(),
        enrichment: Counted::default(),
        deliveries: Deliveries::default(),
    };
    let query = store.query();
    verdict.stored(&query).await?;
    let counted = std::mem::take(&mut verdict.enrichment);
    verdict.report.enrichment = query.read(move |conn| counted.named(conn)).await?;
    if let Some(books) = books {
        verdict.accepted(&query, books).await?;
    }
    if options.trace.is_none() {
        verdict.report.count(&store.counters());
    }
    Ok(verdict.finish())
}

/// The report as it grows.
struct Verdict {
    options: Arc<Options>,
    report: Report,
    enrichment: Counted,
    deliveries: Deliveries,
}

/// Deliveries without a handler: a fault only where the agent is one that tells spans.
#[derive(Default)]
struct Deliveries {
    telling: BTreeSet<Arc<str>>,
    unhandled: BTreeMap<Arc<str>, (u64, Vec<InTrace>)>,
}

impl Verdict {
    async fn stored(&mut self, query: &Query) -> Result<(), VerifyError> {
        let options = Arc::clone(&self.options);
        let (begin, end) = query.read(move |conn| scan::range(conn, &options)).await?;
        let steps = (begin..end).step_by(STEP as usize).map(|first| {
            let step = first..end.min(first + i64::from(STEP));
            query.read(move |conn| scan::traces(conn, step))
        });
        let mut steps = stream::iter(steps).buffered(AT_ONCE);
        while let Some(traces) = steps.next().await {
            for (trace_id, spans) in traces? {
                self.judge(trace_id, &spans);
            }
        }
        Ok(())
    }

    fn judge(&mut self, trace_id: TraceId, spans: &[scan::Row]) {
        let Self {
            options,
            report,
            enrichment,
            deliveries,
        } = self;
        if spans.iter().any(|span| span.end_ns > options.until_ns) {
            report.unsettled += 1;
            return;
        }
        report.traces += 1;
        report.spans += spans.len() as u64;
        let facts: Vec<_> = spans.iter().map(|span| span.facts(trace_id)).collect();
        let how = crate::check::Options {
            clock_tolerance_ns: options.clock_tolerance_ns,
        };
        let structure = crate::check::check_facts(&facts, how);
        for finding in structure.into_iter().chain(hops::check(spans)) {
            report.add(trace_id, finding, options.samples);
        }
        for span in spans {
            report.stand_ins += u64::from(span.is_stand_in);
            enrichment.look_at(trace_id, span);
            if let Some(agent) = hops::told_by(span) {
                deliveries.told(agent);
            }
        }
        for (agent, finding) in hops::unhandled(spans) {
            deliveries.unhandled(agent, InTrace { trace_id, finding }, options.samples);
        }
    }

    async fn accepted(&mut self, query: &Query, books: Box<dyn Books>) -> Result<(), VerifyError> {
        let read =
            |mut books: Box<dyn Books>| tokio::task::spawn_blocking(move || (books.next(), books));
        let mut reading = read(books);
        loop {
            let (step, books) = reading
                .await
                .map_err(|error| VerifyError::Books(error.to_string()))?;
            let step = step.map_err(VerifyError::Books)?;
            if step.is_empty() {
                return Ok(());
            }
            // The next step is read while this one is looked for.
            reading = read(books);
            self.report.accepted += step.len() as u64;
            for (trace_id, finding) in query.read(move |conn| scan::missing(conn, &step)).await? {
                self.report.add(trace_id, finding, self.options.samples);
            }
        }
    }

    fn finish(self) -> Report {
        let Self {
            options,
            mut report,
            enrichment: _,
            deliveries: Deliveries { telling, unhandled },
        } = self;
        for (agent, (count, samples)) in unhandled {
            if !telling.contains(&agent) {
                report.silent_agents.push(agent.to_string());
                continue;
            }
            *report.faults.entry(FindingKind::NoHandler).or_default() += count;
            let room = options.samples.saturating_sub(report.findings.len());
            report.findings.extend(samples.into_iter().take(room));
        }
        report
    }
}

impl Deliveries {
    fn told(&mut self, agent: &Arc<str>) {
        if !self.telling.contains(agent) {
            self.telling.insert(Arc::clone(agent));
        }
    }

    fn unhandled(&mut self, agent: &Arc<str>, fault: InTrace, samples: usize) {
        let (count, kept) = self.unhandled.entry(Arc::clone(agent)).or_default();
        *count += 1;
        if kept.len() < samples {
            kept.push(fault);
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orphan => "parent missing",
            Self::ExtraRoot => "second root",
            Self::StartsBeforeParent => "starts before its parent",
            Self::EndsBeforeStart => "ends before it starts",
            Self::DuplicateSpan => "span id used twice",
            Self::Cycle => "its own ancestor",
            Self::OtherTrace => "of another trace",
            Self::NoPublish => "taken by the bridge, not by the bus",
            Self::NoHandler => "delivered, not handled",
            Self::OtherDelivery => "under another delivery",
            Self::NotStored => "accepted, not stored",
            Self::NotDelivered => "settled, not delivered",
            Self::BadId => "ids that are none",
            Self::Lost => "lost by the store",
        })
    }
}
