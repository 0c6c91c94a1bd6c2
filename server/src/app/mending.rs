//! Mends the traces of agents that were lost: where a span is missing because its process was killed before it told of
//! it, the runtime writes one in its place.
//!
//! Every agent that the bus knows and that is not connected any more, or connected anew, was lost or has left. What it had
//! begun before is looked through when its last spans have had time to come, and some times more, each later than the one
//! before, for spans that waited for a server to come back. Nothing is missing of an agent that has left in peace. After
//! a start this looks back, so that what was lost with the server is mended too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use loom_core::stand_in::Lost;
use loom_core::{Directory, EventBus, Fate, Tracer};
use loom_proto::EventId;
use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};
use loom_telemetry::SpanRecord;
use loom_telemetry::ids::{self, now_unix_nano};
use loom_trace::TraceStore;
use loom_trace::model;
use loom_trace::query::{self, End, Gap, Gaps, Shown};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::deliveries::LostDeliveries;
use progress::{Look, Progress};

mod progress;

/// Spans so old are looked at, where nothing younger is known to be mended.
const LOOK_BACK: Duration = Duration::from_secs(600);
/// Spans that are looked at by one query, the youngest first.
const PAGE: usize = 2_000;
/// Queries for one agent: what lies still further back was told long ago.
const PAGES: usize = 500;
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
    agents: BTreeMap<String, Progress>,
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
            agents: BTreeMap::new(),
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
            let look = end.run_until_cancelled(self.look()).await;
            match look {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::warn!(error, "lost agents cannot be mended"),
            }
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        let now = now_unix_nano();
        let due = self.due(now).await?;
        // Right after a start nobody has had the time to tell of a delivery.
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let has_deliveries = !is_first && !self.deliveries.is_told();
        if due.is_empty() && !has_deliveries {
            return Ok(());
        }
        let flushed = self.store.flush(FLUSH_PATIENCE).await;
        flushed.map_err(|error| error.to_string())?;
        if has_deliveries {
            let Self {
                bus, store, tracer, ..
            } = self;
            self.deliveries.tell(bus, store, tracer).await;
        }
        for agent in due {
            let Some(progress) = self.agents.get(&agent) else {
                continue;
            };
            let look = self.mend(&agent, progress, now).await;
            match (look, self.agents.get_mut(&agent)) {
                (Ok(look), Some(progress)) => progress.looked(look),
                (Ok(_), None) => {}
                (Err(error), _) => tracing::warn!(error, agent, "a lost agent cannot be mended"),
            }
        }
        Ok(())
    }

    /// The agents that are to be looked at now.
    async fn due(&mut self, now: u64) -> Result<Vec<String>, String> {
        let connected: HashMap<String, u64> = self
            .directory
            .list()
            .iter()
            .map(|entry| (entry.agent_id.clone(), entry.connected_unix_nano))
            .collect();
        let horizon = now.saturating_sub(nanos(LOOK_BACK));
        let recent = self.store.query().agents(horizon..now).await;
        let recent = recent.map_err(|error| error.to_string())?;
        for agent in &recent {
            let progress = self.agents.entry(agent.clone());
            progress.or_insert_with(|| Progress::since(horizon));
        }
        // Who has left long ago is forgotten.
        let recent: BTreeSet<String> = recent.into_iter().collect();
        self.agents.retain(|agent, progress| {
            progress.note(connected.get(agent).copied(), now);
            !progress.is_over() || recent.contains(agent)
        });
        let grace = nanos(self.grace);
        let due = self
            .agents
            .iter()
            .filter(|(_, progress)| progress.is_due(now, grace));
        Ok(due.map(|(agent, _)| agent.clone()).collect())
    }

    async fn mend(&self, agent: &str, progress: &Progress, now: u64) -> Result<Look, String> {
        let gaps = self.gaps(agent, progress, now).await?;
        let is_handled = |gap: &Gap| {
            let topic_and_id = gap.topic.as_deref().zip(event_id(gap));
            let (Some((topic, id)), Some(group)) = (topic_and_id, &gap.group) else {
                return false;
            };
            // What is too old to be asked for was handled long ago.
            let fate = self.bus.fate(topic, id, group);
            fate.is_none_or(|fate| fate == Fate::Handled)
        };
        let mut handled = BTreeSet::new();
        // The bus knows at once what another attempt has handled, the store when its spans have come: what the bus calls handled
        // was this attempt only if there is no other one at the next look either.
        let ending = |gap: &Gap, delivery| {
            if !is_handled(gap) {
                Ending::Lost
            } else if progress.handled.contains(&delivery) {
                Ending::Handled
            } else {
                handled.insert(delivery);
                Ending::Unknown
            }
        };
        let spans = stand_ins(&agent.into(), &gaps.found, progress.until, ending);
        let look = Look {
            stand_ins: spans.len(),
            handled,
            is_telling: gaps.is_telling,
        };
        let missing = gaps.found.len();
        tracing::debug!(
            agent,
            missing,
            until = progress.until,
            "looked at a lost agent"
        );
        if look.stand_ins > 0 {
            tracing::info!(
                agent,
                spans = look.stand_ins,
                "told what a lost process could not tell any more"
            );
        }
        for span in spans {
            self.tracer.record(span).await;
        }
        Ok(look)
    }

    async fn gaps(&self, agent: &str, progress: &Progress, now: u64) -> Result<Gaps, String> {
        let end = if progress.is_new_here {
            progress.until.max(now.saturating_sub(nanos(self.grace)))
        } else {
            progress.until
        };
        let mut gaps = Gaps {
            next_end_ns: Some(end),
            ..Gaps::default()
        };
        let mut pages = 0;
        while let Some(end) = gaps.next_end_ns.filter(|_| pages < PAGES) {
            pages += 1;
            let lost = query::Lost {
                agent: agent.to_owned(),
                during_ns: progress.from..end,
                own_from_ns: progress.until,
                limit: PAGE,
            };
            let page = self.store.query().gaps(lost).await;
            gaps.extend(page.map_err(|error| error.to_string())?);
        }
        Ok(gaps.credible())
    }
}

/// How the last attempt that is known has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// With its process.
    Lost,
    /// Its event is handled.
    Handled,
    /// The next look says.
    Unknown,
}

/// The spans that fill the gaps, each once. `until`: when the process was there no more. `ending`: how a delivery ended that
/// seems to be the last of its event.
fn stand_ins(
    agent: &Arc<str>,
    gaps: &[Gap],
    until: u64,
    mut ending: impl FnMut(&Gap, model::SpanId) -> Ending,
) -> Vec<SpanRecord> {
    let mut spans = Vec::new();
    let mut filled = HashSet::new();
    // A handler is known best by its delivery, so these come first; what it led to has it as its parent.
    for gap in gaps {
        if let Shown::Handler { delivery, end } = gap.shown_by {
            let ending = match end {
                End::LastTried => ending(gap, delivery),
                End::TriedAgain | End::Unknown => Ending::Lost,
            };
            let delivery = SpanId(*delivery.as_bytes());
            filled.insert((gap.trace_id, ids::handler_span_id(delivery)));
            if ending == Ending::Unknown {
                continue;
            }
            let is_answered = ending == Ending::Handled;
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
