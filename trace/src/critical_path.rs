//! The critical path of a trace: what its duration was spent on, moment by moment. Pure functions over an outline.
//!
//! A walk goes backwards from the last end to the first start. At each moment it stands in one span and asks what that span
//! had waited for: the input that arrived last, a child that had ended or a linked span. Where a span begins, it goes on
//! in the cause of the span. The idea is the happens-before relation of Yang and Miller (1988) along last-finishing
//! children as in Uber's CRISP (2022); both know calls only. Here the walk also goes through what nobody waits for:
//!
//! - A publish and a delivery end long before what they cause begins. The time between is [`Part::BusWait`] as far as
//!   the event lay in a mailbox, else [`Part::Delivery`].
//! - Where several events are joined, the delivery that came last decides, as the links say.
//! - An attempt waits for the end of the attempt before it.
//!
//! Who publishes does not wait for those who handle: below a publish or a delivery nothing is an input of what stands
//! above it. A child that outlives its parent was not waited for; it is on the path only where the path begins in it or in
//! what it has caused.
//!
//! Clocks of processes differ. The walk never goes forward in time, whatever the spans say, and a call's server counts as
//! far as it lies within its client; so the segments are without gaps and make up the duration exactly.

mod graph;
mod running;

use serde::Serialize;

use crate::model::SpanKind;
use crate::outline::{Outline, Step};

use graph::Graph;
use running::Running;
use utoipa::ToSchema;

/// Steps of the walk for each span at most. Spans with sane clocks need three; made-up ones could need their square.
const STEPS_PER_SPAN: usize = 8;

/// What a time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A handler or anything else of the user's ran.
    Work,
    /// An event lay in a mailbox, or rested between two attempts.
    BusWait,
    /// An event or a call was between two processes, or in the hands of the bus.
    Delivery,
    /// A call of a model was open.
    Llm,
    /// A tool was in use.
    Tool,
    /// Nobody knows: nothing that is recorded has led from one span to the next.
    Other,
}

/// A time of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Place of the span in the outline: the one that ran, or that was waited for until it began.
    pub span: usize,
    /// Begin, ns after the trace's.
    pub from: u64,
    /// End, ns after the trace's begin; always after `from`.
    pub to: u64,
    /// What it was spent on.
    pub part: Part,
}

/// How long the path was in each part, in ns. The sum is the trace's duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Summary {
    /// [`Part::Work`]
    pub work_ns: u64,
    /// [`Part::BusWait`]
    pub bus_wait_ns: u64,
    /// [`Part::Delivery`]
    pub delivery_ns: u64,
    /// [`Part::Llm`]
    pub llm_ns: u64,
    /// [`Part::Tool`]
    pub tool_ns: u64,
    /// [`Part::Other`]
    pub other_ns: u64,
}

impl Summary {
    /// Of these segments.
    pub fn of(segments: &[Segment]) -> Self {
        let mut summary = Self::default();
        for segment in segments {
            let sum = match segment.part {
                Part::Work => &mut summary.work_ns,
                Part::BusWait => &mut summary.bus_wait_ns,
                Part::Delivery => &mut summary.delivery_ns,
                Part::Llm => &mut summary.llm_ns,
                Part::Tool => &mut summary.tool_ns,
                Part::Other => &mut summary.other_ns,
            };
            *sum += segment.to - segment.from;
        }
        summary
    }
}

/// The critical path of these spans: segments in order, each beginning where the one before ends, the first at 0 and the
/// last to the trace's duration. Empty where the trace takes no time.
pub fn critical_path(outline: &Outline) -> Vec<Segment> {
    let (start, end) = (outline.start_ns(), outline.end_ns());
    // Of those that end last, the one that began last: what was open longer around it only waited for it.
    let last = (0..outline.spans.len()).max_by_key(|&place| {
        let span = &outline.spans[place];
        (span.end_ns, span.start_ns)
    });
    let Some(last) = last else {
        return Vec::new();
    };
    let mut walk = Walk {
        outline,
        graph: Graph::of(outline),
        running: None,
        segments: Vec::new(),
        start,
        now: end,
    };
    walk.back_from(last);
    walk.segments.reverse();
    walk.segments
}

struct Walk<'a> {
    outline: &'a Outline,
    graph: Graph,
    /// Made when it is needed, which is where a cause is missing.
    running: Option<Running>,
    /// The last one first.
    segments: Vec<Segment>,
    start: u64,
    /// How far back the walk has come, ns since the Unix epoch. It never rises.
    now: u64,
}

impl Walk<'_> {
    fn back_from(&mut self, last: usize) {
        let mut at = last;
        let mut steps = STEPS_PER_SPAN * (self.outline.spans.len() + 1);
        while self.now > self.start && steps > 0 {
            steps -= 1;
            let part = self.graph.own[at];
            if let Some((input, arrival)) = self.graph.next_input(at, self.now) {
                self.spend(at, arrival, part);
                at = input;
                continue;
            }
            self.spend(at, self.graph.begin[at], part);
            if self.now == self.start {
                break;
            }
            at = match self.graph.cause(self.outline, at, self.now) {
                Some((cause, arrival)) => {
                    self.wait(at, cause, arrival);
                    cause
                }
                None => match self.ran_before() {
                    Some((before, end)) => {
                        self.spend(at, end, Part::Other);
                        before
                    }
                    None => break,
                },
            };
        }
        self.spend(at, self.start, Part::Other);
    }

    /// What ran at this moment, or else ended last before it, and until when of that time.
    fn ran_before(&mut self) -> Option<(usize, u64)> {
        let graph = &self.graph;
        let running = self
            .running
            .get_or_insert_with(|| Running::new(&graph.begin, &graph.end));
        let (span, end) = running.before(self.now)?;
        Some((span, end.min(self.now)))
    }

    /// The time between the end of a cause and the begin of what it caused.
    fn wait(&mut self, at: usize, cause: usize, arrival: u64) {
        let (span, above) = (&self.outline.spans[at], &self.outline.spans[cause]);
        if span.step == Step::Forward {
            let waited = self.now.saturating_sub(span.wait_ns.unwrap_or(0));
            self.spend(at, waited.max(arrival), Part::BusWait);
        }
        let is_carried = span.step != Step::Other
            || above.step != Step::Other
            || span.service != above.service
            || (above.kind, span.kind) == (SpanKind::Producer, SpanKind::Consumer);
        let part = if is_carried {
            Part::Delivery
        } else {
            Part::Other
        };
        self.spend(at, arrival, part);
    }

    /// Goes back to a moment, which may be now.
    fn spend(&mut self, span: usize, back_to: u64, part: Part) {
        let from = back_to.clamp(self.start, self.now);
        if from == self.now {
            return;
        }
        let segment = Segment {
            span,
            from: from - self.start,
            to: self.now - self.start,
            part,
        };
        self.now = from;
        match self.segments.last_mut() {
            Some(after) if (after.span, after.part) == (span, part) => after.from = segment.from,
            _ => self.segments.push(segment),
        }
    }
}

#[cfg(test)]
#[path = "critical_path/critical_path_tests.rs"]
mod tests;
