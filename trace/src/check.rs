//! What is wrong with a trace: a pure function over its spans.
//!
//! A child that outlives its parent is no fault here: who publishes an event does not wait for those who handle it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Span, SpanId, TraceId};
use crate::time_text::duration;

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// By how much a child may start before its parent, in ns. 0 is right for processes of one machine.
    pub clock_tolerance_ns: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// The span at which it shows.
    pub span_id: SpanId,
    /// Its parent, if it has one.
    pub parent_span_id: Option<SpanId>,
    /// The facts, in one sentence.
    pub detail: String,
    /// Where to look for the cause.
    pub hint: String,
}

/// Kinds of faults.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The parent is named and not there.
    Orphan,
    /// More than one span has no parent; this is one after the first.
    ExtraRoot,
    /// The span starts before its parent, so that cannot have caused it.
    StartsBeforeParent,
    /// The span ends before it starts.
    EndsBeforeStart,
    /// Two spans have this id.
    DuplicateSpan,
    /// The span is its own ancestor.
    Cycle,
    /// The span belongs to another trace than the first one.
    OtherTrace,
    /// The bridge took an event, and the bus did not.
    NoPublish,
    /// An event was handed to an agent, and no handler of it ran.
    NoHandler,
    /// The parent is a hop of another event, or no hop that can come before.
    OtherDelivery,
    /// The bus has accepted an event, and its span is not there.
    NotStored,
    /// A group has settled an event, and no delivery of it is there.
    NotDelivered,
    /// The store has refused spans whose ids are zero or malformed.
    BadId,
    /// The store has lost spans that it had accepted.
    Lost,
}

impl Finding {
    pub(crate) fn new(
        kind: FindingKind,
        span_id: SpanId,
        parent_span_id: Option<SpanId>,
        detail: String,
    ) -> Self {
        Self {
            kind,
            span_id,
            parent_span_id,
            detail,
            hint: kind.hint().to_owned(),
        }
    }
}

impl FindingKind {
    /// Where to look for the cause.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Orphan => {
                "the parent's process has not exported it (yet): was it killed before its flush, were spans dropped \
                 (see its counters), or is it sampled differently?"
            }
            Self::ExtraRoot => {
                "the context was lost and the trace id kept: look for work that was handed to a thread, a pool or a \
                 callback without its context"
            }
            Self::StartsBeforeParent => {
                "a context of later work was current: look for a span kept current across an await or a yield, or for \
                 clocks that differ"
            }
            Self::EndsBeforeStart => {
                "the clock was set back while the span ran, or its times were given by hand"
            }
            Self::DuplicateSpan => {
                "two processes have the same random seed, or a span was forked with its process"
            }
            Self::Cycle => "parents were set by hand; no SDK makes this",
            Self::OtherTrace => "spans of several traces were given to one check",
            Self::NoPublish | Self::NotStored => {
                "the server's own span was lost: was a buffer of spans full, or the store (see loom_spans_dropped_total \
                 and loom_store_spans_refused_total)?"
            }
            Self::NoHandler => {
                "the agent has not exported its handler's span: does it still run, were its spans dropped (see its \
                 counters), or was it killed and its end not yet told by the runtime?"
            }
            Self::OtherDelivery => {
                "the handler ran under a context that is not its delivery's: look for a context that was kept from an \
                 earlier event"
            }
            Self::BadId => {
                "an exporter makes ids that W3C forbids: look at loom_store_spans_rejected_total for the kind, and at the \
                 SDKs that are not OpenTelemetry's"
            }
            Self::Lost => "the disk has damaged the spool: the server's log names the place",
            Self::NotDelivered => {
                "the group's book says that an agent had it: were spans of that agent or of the server dropped?"
            }
        }
    }
}

/// What a check reads of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'s> {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) name: &'s str,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

impl<'s> From<&'s Span> for Facts<'s> {
    fn from(span: &'s Span) -> Self {
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: &span.name,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
        }
    }
}

/// Everything that is wrong with these spans of one trace, in the order of the spans. Ids of zeros cannot occur here:
/// the door has refused them.
pub fn check(spans: &[Span], options: &Options) -> Vec<Finding> {
    let facts: Vec<_> = spans.iter().map(Facts::from).collect();
    check_facts(&facts, *options)
}

/// The same, of spans that are not read as a whole.
pub(crate) fn check_facts(spans: &[Facts<'_>], options: Options) -> Vec<Finding> {
    let mut by_id: HashMap<SpanId, &Facts<'_>> = HashMap::with_capacity(spans.len());
    let mut findings = Vec::new();
    let mut found = |kind: FindingKind, span: &Facts<'_>, detail: String| {
        let (id, parent) = (span.span_id, span.parent_span_id);
        findings.push(Finding::new(kind, id, parent, detail));
    };
    for span in spans {
        match by_id.entry(span.span_id) {
            Entry::Vacant(entry) => {
                entry.insert(span);
            }
            Entry::Occupied(_) => found(
                FindingKind::DuplicateSpan,
                span,
                format!("{} has the id of another span", span.name),
            ),
        }
    }
    let in_cycle = cycles(spans, &by_id);
    let mut root: Option<&Facts<'_>> = None;
    for span in spans {
        if span.trace_id != spans[0].trace_id {
            let detail = format!("{} belongs to trace {}", span.name, span.trace_id);
            found(FindingKind::OtherTrace, span, detail);
        }
        if span.end_ns < span.start_ns {
            let by = duration(span.start_ns - span.end_ns);
            let detail = format!("{} ends {by} before it starts", span.name);
            found(FindingKind::EndsBeforeStart, span, detail);
        }
        if in_cycle.contains(&span.span_id) {
            let detail = format!("{} is its own ancestor", span.name);
            found(FindingKind::Cycle, span, detail);
            continue;
        }
        match (span.parent_span_id, root) {
            (None, None) => root = Some(span),
            (None, Some(first)) => {
                let detail = format!(
                    "{} has no parent, and neither has {}",
                    span.name, first.name
                );
                found(FindingKind::ExtraRoot, span, detail);
            }
            (Some(id), _) => match by_id.get(&id) {
                None => {
                    let detail = format!(
                        "{} has the parent {id}, which is not in the trace",
                        span.name
                    );
                    found(FindingKind::Orphan, span, detail);
                }
                Some(parent) => {
                    let early = parent.start_ns.saturating_sub(span.start_ns);
                    if early > options.clock_tolerance_ns {
                        let by = duration(early);
                        let detail = format!(
                            "{} starts {by} before its parent {}",
                            span.name, parent.name
                        );
                        found(FindingKind::StartsBeforeParent, span, detail);
                    }
                }
            },
        }
    }
    findings
}

/// Spans that are their own ancestors. Each span is walked over twice at most.
fn cycles(spans: &[Facts<'_>], by_id: &HashMap<SpanId, &Facts<'_>>) -> HashSet<SpanId> {
    // Number of the walk that has met a span first.
    let mut met: HashMap<SpanId, usize> = HashMap::with_capacity(by_id.len());
    let mut in_cycle = HashSet::new();
    for (walk, start) in spans.iter().enumerate() {
        let mut at = start.span_id;
        while let Some(span) = by_id.get(&at) {
            match met.entry(at) {
                Entry::Vacant(entry) => {
                    entry.insert(walk);
                }
                // This very walk was here before: go round once more and note everybody.
                Entry::Occupied(entry) if *entry.get() == walk => {
                    if !in_cycle.insert(at) {
                        break;
                    }
                }
                Entry::Occupied(_) => break,
            }
            match span.parent_span_id {
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
    in_cycle
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
