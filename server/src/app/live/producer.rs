//! Looks a few times a second at what is new, while anybody watches, and makes frames of it.
//!
//! It reads what the trace store has stored since the last look, so that the bus pays nothing for being watched.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use loom_core::execution::State;
use loom_proto::semconv::{attribute, span};
use loom_trace::model::{Span, SpanId, TraceId, Value};
use loom_trace::query::{ExecutionState, Tail, TailPlace};
use loom_trace::time_text::rfc3339;
use loom_trace::{PublishedEvent, QueryError};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::data::{AgentsFrame, Connected, Ended, EventsFrame, ExecutionsFrame, Grown, Open};
use super::frame::Channel;
use super::hub::Hub;
use crate::app::{Parts, books};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);
/// Between two frames of the books.
const STATS: Duration = Duration::from_secs(1);
/// A reader whose connection broke finds everything when it comes again within this time.
const GRACE: Duration = Duration::from_secs(60);
/// Spans of one look; of more than these only the newest are looked at.
const SPANS: usize = 2_000;
/// Items of one frame.
const ITEMS: usize = 200;

/// Makes frames until `end`.
pub(super) async fn run(parts: Parts, hub: Arc<Hub>, end: CancellationToken) {
    let mut readers = hub.readers();
    loop {
        let somebody = readers.wait_for(|readers| *readers > 0);
        if end.run_until_cancelled(somebody).await.is_none() {
            return;
        }
        let mut look = Look::new(&parts, &hub);
        if end.run_until_cancelled(look.on()).await.is_none() {
            return;
        }
    }
}

/// A time in which somebody watches.
struct Look<'a> {
    parts: &'a Parts,
    hub: &'a Hub,
    place: Option<TailPlace>,
    connected: Option<Vec<Connected>>,
    open: Option<Open>,
    /// Events of the last look, and the spans above them that were not there.
    without_sender: Vec<(PublishedEvent, (TraceId, SpanId))>,
    told_stats: Instant,
}

impl<'a> Look<'a> {
    fn new(parts: &'a Parts, hub: &'a Hub) -> Self {
        Self {
            parts,
            hub,
            place: None,
            connected: None,
            open: None,
            without_sender: Vec::new(),
            told_stats: Instant::now(),
        }
    }

    /// Until nobody has watched for a while.
    async fn on(&mut self) {
        let readers = self.hub.readers();
        let mut watched = Instant::now();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            match self.look().await {
                Ok(()) => self.hub.go_live(),
                Err(error) => tracing::debug!(%error, "the live stream cannot look"),
            }
            if *readers.borrow() > 0 {
                watched = Instant::now();
            } else if watched.elapsed() > GRACE && self.hub.pause() {
                return;
            }
        }
    }

    async fn look(&mut self) -> Result<(), QueryError> {
        let tail = self.parts.store.query().tail(self.place, SPANS).await?;
        self.place = Some(tail.place);
        self.events(&tail);
        self.traces(&tail.spans);
        self.executions(&tail.spans);
        self.agents();
        if self.told_stats.elapsed() >= STATS {
            self.told_stats = Instant::now();
            self.send(Channel::Stats, &books::books(self.parts));
        }
        Ok(())
    }

    /// Who sent an event says the span above, which ends later: it may be stored later by one look.
    fn events(&mut self, tail: &Tail) {
        let spans = tail.spans.iter();
        let bridges = spans.filter(|span| span.name == span::BRIDGE_PUBLISH);
        let bridges: HashMap<_, _> = bridges.map(|span| (place(span), span)).collect();
        let mut items = Vec::new();
        for (event, above) in self.without_sender.drain(..) {
            items.push(match bridges.get(&above) {
                Some(bridge) => event.below(bridge),
                None => event,
            });
        }
        for span in &tail.spans {
            let Some(event) = PublishedEvent::of(span) else {
                continue;
            };
            let above = span.parent_span_id.map(|parent| (span.trace_id, parent));
            match above.map(|above| (above, bridges.get(&above))) {
                Some((_, Some(bridge))) => items.push(event.below(bridge)),
                Some((above, None)) => self.without_sender.push((event, above)),
                None => items.push(event),
            }
        }
        // The newest first, as everywhere.
        items.reverse();
        let skipped = items.len().saturating_sub(ITEMS);
        items.truncate(ITEMS);
        if !items.is_empty() || tail.skipped > 0 {
            let data = EventsFrame {
                items,
                skipped_events: skipped,
                skipped_spans: tail.skipped,
            };
            self.send(Channel::Events, &data);
        }
    }

    fn traces(&self, spans: &[Span]) {
        let mut grown: BTreeMap<TraceId, Grown> = BTreeMap::new();
        for span in spans {
            let one = grown.entry(span.trace_id).or_default();
            one.spans += 1;
            one.has_root |= span.parent_span_id.is_none();
        }
        if !grown.is_empty() {
            self.send(Channel::Traces, &grown);
        }
    }

    fn executions(&mut self, spans: &[Span]) {
        let mut ended: Vec<_> = spans.iter().rev().filter_map(ended).collect();
        let skipped = ended.len().saturating_sub(ITEMS);
        ended.truncate(ITEMS);
        let mut open = Open::default();
        let executions = self.parts.broker.open_executions().into_iter();
        for execution in executions.chain(self.parts.bridge.open_executions()) {
            match execution.state {
                State::Pending => open.pending += 1,
                _ => open.running += 1,
            }
        }
        if !ended.is_empty() || self.open != Some(open) {
            self.open = Some(open);
            let data = ExecutionsFrame {
                open,
                ended,
                skipped,
            };
            self.send(Channel::Executions, &data);
        }
    }

    fn agents(&mut self) {
        let entries = self.parts.directory.list();
        let mut connected: Vec<_> = entries
            .iter()
            .map(|entry| Connected {
                agent_id: entry.agent_id.clone(),
                instance_id: entry.instance_id.clone(),
            })
            .collect();
        connected.sort_by(|one, other| one.agent_id.cmp(&other.agent_id));
        if self.connected.as_ref() != Some(&connected) {
            self.connected = Some(connected.clone());
            self.send(Channel::Agents, &AgentsFrame { connected });
        }
    }

    fn send(&self, channel: Channel, data: &impl Serialize) {
        match serde_json::to_string(data) {
            Ok(data) => self.hub.send(channel, data),
            Err(error) => tracing::error!(%error, "a live frame cannot be written"),
        }
    }
}

fn place(span: &Span) -> (TraceId, SpanId) {
    (span.trace_id, span.span_id)
}

/// The execution whose handler's span this is.
fn ended(span: &Span) -> Option<Ended<'_>> {
    if span.name != span::ON_EVENT && span.name != span::ON_ACTION {
        return None;
    }
    let text = |key| match span.attributes.get(key)? {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    };
    let error = span.status.message.as_str();
    Some(Ended {
        execution_id: span.parent_span_id.unwrap_or(span.span_id),
        trace_id: span.trace_id,
        span_id: span.span_id,
        agent_name: span.identity.agent.as_deref(),
        operation: text(attribute::TOPIC).or_else(|| text(attribute::CAPABILITY)),
        state: ExecutionState::of(span),
        start_time: rfc3339(span.start_ns),
        end_time: rfc3339(span.end_ns),
        duration_ms: span.duration_ns() as f64 / 1e6,
        error_message: (!error.is_empty()).then_some(error),
    })
}
