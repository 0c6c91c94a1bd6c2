//! Mends the traces of agents that were lost: where a span is missing because its process was killed before it told of
//! it, the runtime writes one in its place.
//!
//! Every agent that the bridge knows and that is not connected any more, or connected anew, was lost or has left; what it
//! had begun before is looked through once, when its last spans have had time to come. Nothing is missing of an agent that
//! has left in peace. After a start this looks back, so that what was lost with the server is mended too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use loom_core::stand_in::Lost;
use loom_core::{Directory, EventBus, Tracer};
use loom_proto::EventId;
use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};
use loom_telemetry::SpanRecord;
use loom_telemetry::ids::{self, now_unix_nano};
use loom_trace::TraceStore;
use loom_trace::query::{self, End, Gap, Gaps, Shown};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::deliveries::LostDeliveries;

/// After a start, spans so old are looked at.
const LOOK_BACK: Duration = Duration::from_secs(600);
/// Spans that are looked at by one query, the youngest first.
const PAGE: usize = 10_000;
/// Queries for one agent: what lies still further back was told long ago.
const PAGES: usize = 100;
/// Looks at an agent after the first one.
const LATE_LOOKS: u32 = 4;
/// How long the store may take to index what it has accepted.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Mending {
    bus: EventBus,
    directory: Directory,
    store: TraceStore,
    tracer: Tracer,
    /// How long the spans of a lost process may still come.
    grace: Duration,
    /// Up to which start of their spans agents are mended, in ns since the Unix epoch.
    mended: BTreeMap<String, u64>,
    /// Since when agents are not connected, as far as this has seen.
    gone: BTreeMap<String, u64>,
    /// Up to which start agents are being mended, and how often they were looked at.
    looks: BTreeMap<String, (u64, u32)>,
    /// Agents that have told of no handler so far, and since when: they may only listen, or were killed too early.
    silent: BTreeMap<String, u64>,
    /// Before it nothing is looked at.
    horizon: u64,
    /// What the last server's groups had settled, to be told when what agents have told of it is mended.
    deliveries: LostDeliveries,
    has_looked: bool,
}

impl Mending {
    pub(super) fn new(parts: &Parts, deliveries: LostDeliveries, grace: Duration) -> Self {
        Self {
            bus: parts.bus.clone(),
            directory: parts.directory.clone(),
            store: parts.store.clone(),
            tracer: parts.tracer.clone(),
            grace,
            mended: BTreeMap::new(),
            gone: BTreeMap::new(),
            looks: BTreeMap::new(),
            silent: BTreeMap::new(),
            horizon: now_unix_nano().saturating_sub(nanos(LOOK_BACK)),
            deliveries,
            has_looked: false,
        }
    }

    /// Looks again and again, until `end`.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let mut due = interval(self.grace.max(Duration::from_millis(100)));
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when nobody has come back yet.
        due.reset();
        while end.run_until_cancelled(due.tick()).await.is_some() {
            if end.run_until_cancelled(self.look()).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self) {
        if std::mem::replace(&mut self.has_looked, true)
            && self.store.flush(FLUSH_PATIENCE).await.is_ok()
        {
            let Self {
                bus, store, tracer, ..
            } = self;
            self.deliveries.tell(bus, store, tracer).await;
        }
        let now = now_unix_nano();
        let connected: HashMap<String, u64> = self
            .directory
            .list()
            .iter()
            .map(|entry| (entry.agent_id.clone(), entry.connected_unix_nano))
            .collect();
        let known = self.store.query().agents(self.horizon..now).await;
        let Ok(known) =
            known.inspect_err(|error| tracing::warn!(%error, "lost agents cannot be looked for"))
        else {
            return;
        };
        for agent in known {
            let from = self.mended.get(&agent).copied().unwrap_or(self.horizon);
            // What it has begun since it connected is its own to tell.
            let until = match connected.get(&agent) {
                Some(since) => {
                    self.gone.remove(&agent);
                    *since
                }
                None => *self.gone.entry(agent.clone()).or_insert(now),
            };
            let looks = match self.looks.get(&agent) {
                Some((of, looks)) if *of == until => *looks,
                _ => 0,
            };
            // Spans that waited for a server to come back may come late: each look is twice as late as the one before.
            let is_due = now.saturating_sub(until) >= nanos(self.grace) << looks;
            if until <= from || !is_due || !self.mend(&agent, from..until).await {
                continue;
            }
            if looks < LATE_LOOKS {
                self.looks.insert(agent, (until, looks + 1));
            } else {
                self.looks.remove(&agent);
                self.mended.insert(agent, until);
            }
        }
    }

    /// False when it has to be done again.
    async fn mend(&mut self, agent: &str, during_ns: Range<u64>) -> bool {
        let gaps = match self.gaps(agent, during_ns.clone()).await {
            Ok(gaps) => gaps,
            Err(error) => {
                tracing::warn!(error, agent, "the traces of a lost agent cannot be mended");
                return false;
            }
        };
        let is_settled = |gap: &Gap| {
            let topic_and_id = gap.topic.as_deref().zip(event_id(gap));
            let (Some((topic, id)), Some(group)) = (topic_and_id, &gap.group) else {
                return false;
            };
            // What is too old to be asked for was settled long ago.
            self.bus.has_settled(topic, id, group).unwrap_or(true)
        };
        let spans = stand_ins(&agent.into(), &gaps, during_ns.end, is_settled);
        if !spans.is_empty() {
            tracing::info!(
                agent,
                spans = spans.len(),
                "told what a lost process could not tell any more"
            );
        }
        for span in spans {
            self.tracer.room().await;
            self.tracer.record(span);
        }
        true
    }

    async fn gaps(&mut self, agent: &str, during_ns: Range<u64>) -> Result<Vec<Gap>, String> {
        let flushed = self.store.flush(FLUSH_PATIENCE).await;
        flushed.map_err(|error| error.to_string())?;
        let query = self.store.query();
        let find = async |during_ns: Range<u64>| {
            let mut gaps = Gaps {
                next_end_ns: Some(during_ns.end),
                ..Gaps::default()
            };
            let mut pages = 0;
            while let Some(end) = gaps.next_end_ns.filter(|_| pages < PAGES) {
                pages += 1;
                let lost = query::Lost {
                    agent: agent.to_owned(),
                    during_ns: during_ns.start..end,
                    limit: PAGE,
                };
                let page = query.gaps(lost).await;
                gaps.extend(page.map_err(|error| error.to_string())?);
            }
            Ok::<_, String>(gaps.credible())
        };
        let gaps = find(during_ns.clone()).await?;
        if !gaps.is_telling {
            let since = self.silent.entry(agent.to_owned());
            since.or_insert(during_ns.start);
            return Ok(gaps.found);
        }
        match self.silent.remove(agent) {
            Some(since) => Ok(find(since..during_ns.end).await?.found),
            None => Ok(gaps.found),
        }
    }
}

/// The spans that fill the gaps, each once. `until`: when the process was there no more. `is_settled`: whether the group of
/// a delivery has settled its event.
fn stand_ins(
    agent: &Arc<str>,
    gaps: &[Gap],
    until: u64,
    is_settled: impl Fn(&Gap) -> bool,
) -> Vec<SpanRecord> {
    let mut spans = Vec::new();
    let mut filled = HashSet::new();
    // A handler is known best by its delivery, so these come first; what it led to has it as its parent.
    for gap in gaps {
        if let Shown::Handler { delivery, end } = gap.shown_by {
            let delivery = SpanId(*delivery.as_bytes());
            filled.insert((gap.trace_id, ids::handler_span_id(delivery)));
            let is_answered = end == End::LastTried && is_settled(gap);
            let end = if is_answered { gap.start_ns } else { until };
            spans.push(lost(agent, gap, delivery, None, end).handler(is_answered));
        }
    }
    // The oldest child says most of when its parent began; the youngest come first.
    for gap in gaps.iter().rev() {
        let (missing, above) = match gap.shown_by {
            // Below nothing that is known, a delivery would be an orphan itself.
            Shown::Handler { .. } | Shown::Delivery { publish: None, .. } => continue,
            Shown::Delivery { span_id, publish } => (span_id, publish),
            Shown::Handling {
                span_id, publish, ..
            } => (span_id, Some(publish)),
            Shown::Parent { span_id, above } => (span_id, above),
        };
        let missing = SpanId(*missing.as_bytes());
        if !filled.insert((gap.trace_id, missing)) {
            continue;
        }
        let above = above.map(|id| SpanId(*id.as_bytes()));
        let lost = lost(agent, gap, missing, above, gap.start_ns);
        match gap.shown_by {
            Shown::Delivery { .. } => spans.push(lost.delivery()),
            Shown::Handling { published_ns, .. } => {
                let mut delivery = lost;
                delivery.context.span_id = ids::delivery_span_id(missing);
                // How it ended nobody knows, so it is not blamed. It began before what it led to, and no earlier than its
                // delivery, which may be there.
                spans.push(delivery.clone().handler(true));
                delivery.start_unix_nano = published_ns;
                delivery.end_unix_nano = published_ns;
                spans.push(delivery.delivery());
            }
            _ => spans.push(lost.anything()),
        }
    }
    spans
}

fn lost(agent: &Arc<str>, gap: &Gap, id: SpanId, parent: Option<SpanId>, end: u64) -> Lost {
    let topic = gap.topic.as_deref().map(Arc::from);
    Lost {
        agent: Arc::clone(agent),
        context: TraceContext {
            trace_id: TraceId(*gap.trace_id.as_bytes()),
            span_id: id,
            // OTLP's flags have more bits than W3C's.
            flags: TraceFlags(gap.flags as u8),
        },
        parent: parent.unwrap_or_default(),
        start_unix_nano: gap.start_ns,
        end_unix_nano: end,
        event: topic.zip(event_id(gap)),
        attempt: gap.attempt.unwrap_or(1),
    }
}

fn event_id(gap: &Gap) -> Option<EventId> {
    gap.event_id.as_deref()?.parse().ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
