//! The RPCs of `loom.v1.Bridge`, and the handle on all of it.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use loom_core::{
    ActionBroker, AgentEntry, Directory, DropReason, EventBus, OpenExecution, Provider, Published,
    Stored, Subscription, Tracer,
};
use loom_proto::v1::bridge_server::{Bridge as BridgeRpc, BridgeServer};
use loom_proto::{Code, EventId, Frame, topic, v1};
use loom_telemetry::SubscriptionName;
use prost::Message;
use rustc_hash::FxHashMap;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::actions::{OwnCalls, ServedCalls, SessionProvider, core_call, reply};
use crate::config::BridgeConfig;
use crate::counters::{Counters, counted};
use crate::forward::Forward;
use crate::hello::{self, Hello};
use crate::inbound::{Inbound, State};
use crate::lane::{Attempts, Lane, Mailboxes};
use crate::link::Link;
use crate::listing::agent_info;
use crate::outbound::Outbound;
use crate::publish::{Outcome, Publish};
use crate::shares::Shares;
use crate::status::{agent_id_in_use, status, subscribe_error};
use crate::streams::Streams;

/// Gives the counters of the span recorder, which the bridge reports and does not own.
pub type SpanStatsSource = Arc<dyn Fn() -> v1::SpanStats + Send + Sync>;

/// The bridge; clones are the same bridge.
#[derive(Clone)]
pub struct Bridge {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<BridgeConfig>,
    bus: EventBus,
    broker: ActionBroker,
    directory: Directory,
    tracer: Tracer,
    counters: Arc<Counters>,
    span_stats: SpanStatsSource,
    sessions: TaskTracker,
    links: parking_lot::Mutex<Vec<std::sync::Weak<Link>>>,
    /// What each agent has in hand. Those of agents that have left are forgotten when another comes.
    shares: parking_lot::Mutex<Vec<(Arc<str>, std::sync::Weak<Shares>)>>,
    /// No new agents.
    draining: CancellationToken,
    /// No agents at all.
    closing: CancellationToken,
}

// ---- Bridge ----

impl Bridge {
    /// A bridge between agents and this bus.
    pub fn new(
        config: BridgeConfig,
        bus: EventBus,
        broker: ActionBroker,
        directory: Directory,
        tracer: Tracer,
        span_stats: SpanStatsSource,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                config: Arc::new(config),
                bus,
                broker,
                directory,
                tracer,
                counters: Arc::default(),
                span_stats,
                sessions: TaskTracker::new(),
                links: parking_lot::Mutex::default(),
                shares: parking_lot::Mutex::default(),
                draining: CancellationToken::new(),
                closing: CancellationToken::new(),
            }),
        }
    }

    /// The service to put on a listener.
    pub fn service(&self) -> BridgeServer<Self> {
        BridgeServer::new(self.clone())
            .max_decoding_message_size(self.shared.config.max_frame_bytes())
    }

    /// What operators ask of the streams. To be made once: two that redrive at once would publish an event twice.
    pub fn streams(&self) -> Streams {
        Streams::new(self.clone())
    }

    pub(crate) fn bus(&self) -> &EventBus {
        &self.shared.bus
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        &self.shared.tracer
    }

    /// Tells every agent that the server goes, takes no new ones, and waits until all have left or the grace is over;
    /// who is still there then is cut off. Returns how many those were.
    pub async fn drain(&self, grace: std::time::Duration) -> usize {
        let shared = &self.shared;
        shared.draining.cancel();
        for link in shared
            .links
            .lock()
            .drain(..)
            .filter_map(|link| link.upgrade())
        {
            link.control(|control| control.goodbye = true);
        }
        shared.sessions.close();
        let in_time = timeout_at(Instant::now() + grace, shared.sessions.wait())
            .await
            .is_ok();
        let cut_off = if in_time { 0 } else { shared.sessions.len() };
        shared.closing.cancel();
        shared.sessions.wait().await;
        cut_off
    }

    /// The attempts that agents have in hand, in no order. One that is not recorded has no id, and is not among them.
    pub fn open_executions(&self) -> Vec<OpenExecution> {
        let shares = self.shared.shares.lock().clone();
        let present = shares
            .iter()
            .filter_map(|(agent, shares)| Some((agent, shares.upgrade()?)));
        present
            .flat_map(|(agent, shares)| shares.open_executions(agent))
            .collect()
    }

    /// The counters of the bus and of what was refused before it.
    pub fn bus_stats(&self) -> v1::BusStats {
        let shared = &self.shared;
        let books = shared.bus.stats();
        v1::BusStats {
            published: books.events,
            routed: books.routed(),
            unrouted: books.filtered,
            offered: books.offered(),
            delivered: books.delivered,
            dead_lettered: books.dead_lettered,
            expired: books.expired,
            dropped: counted(
                DropReason::ALL
                    .iter()
                    .map(|reason| (reason.as_str(), books.dropped[*reason as usize])),
            ),
            queued: books.in_flight,
            rejected: counted(shared.counters.read_rejected()),
            invalid_context: counted(shared.counters.read_invalid_context()),
        }
    }

    /// How many events were refused before the bus took them, by each code, those that have not occurred among them.
    pub fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.shared.counters.read_rejected()
    }

    /// What was dropped of trace contexts, by each reason, those that have not occurred among them.
    pub fn invalid_context(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.shared.counters.read_invalid_context()
    }

    /// A new agent: all that it wants comes into being in one step, before Welcome is sent.
    fn welcome(&self, hello: Hello, frames: Streaming<Frame>) -> Result<Outbound, v1::Error> {
        let shared = &self.shared;
        let config = &shared.config;
        if shared.directory.len() >= config.max_agents {
            let message = format!(
                "{} agents are connected already; raise bridge.max_agents",
                config.max_agents
            );
            return Err(v1::Error::new(Code::RateLimited, message));
        }
        let agent: Arc<str> = hello.agent_id.as_str().into();
        let names: Vec<_> = hello
            .capabilities
            .iter()
            .map(|capability| capability.name.clone())
            .collect();
        let entry = AgentEntry::new(
            hello.agent_id,
            hello.instance_id,
            hello.client,
            hello.subscriptions.clone(),
            hello.capabilities,
        );
        let presence = shared
            .directory
            .enter(entry)
            .map_err(|error| agent_id_in_use(&error))?;
        let with_mailbox = hello
            .subscriptions
            .iter()
            .filter(|s| s.acknowledged.is_none());
        let (replies, work): (Vec<_>, Vec<_>) = with_mailbox
            .cloned()
            .partition(|subscription| topic::is_inbox(&subscription.pattern));
        let mailboxes = |subscriptions: &[Subscription]| {
            let subscriber = shared.bus.subscribe(subscriptions);
            subscriber
                .map(|subscriber| Lane::new(Mailboxes::new(subscriber)))
                .map_err(|error| subscribe_error(&error))
        };
        let (replies, work) = (mailboxes(&replies)?, mailboxes(&work)?);
        let shares = Shares::join(&shared.bus, &hello.subscriptions);
        let shares = Arc::new(shares.map_err(|error| subscribe_error(&error))?);
        {
            let mut known = shared.shares.lock();
            known.retain(|(_, shares)| shares.strong_count() > 0);
            known.push((Arc::clone(&agent), Arc::downgrade(&shares)));
        }

        let link = Arc::new(Link::new(hello.credit));
        self.remember(&link);
        let served_calls = ServedCalls::new(Arc::clone(&agent), Arc::clone(&link));
        let provider: Arc<dyn Provider> = Arc::new(SessionProvider(Arc::clone(&served_calls)));
        let inbound = Inbound {
            frames,
            link: Arc::clone(&link),
            publish: self.publish_for(Some(Arc::clone(&agent))),
            own_calls: OwnCalls::new(
                shared.broker.clone(),
                Arc::clone(&link),
                Arc::clone(&agent),
                config.max_open_calls,
            ),
            served_calls,
            shares: Arc::clone(&shares),
            presence,
            registration: shared.broker.register(names, &provider),
            config: Arc::clone(config),
            silence: hello.liveness.timeout,
            closing: shared.closing.clone(),
            state: State::new(config),
        };
        shared.sessions.spawn(inbound.run());

        let names: FxHashMap<_, _> = hello.subscriptions.iter().map(name).collect();
        tracing::info!(
            agent = &*agent,
            subscriptions = names.len(),
            "agent connected"
        );
        Ok(Outbound {
            link,
            bus: shared.bus.clone(),
            forward: Forward::new(shared.tracer.clone(), agent, names),
            replies,
            work,
            attempts: Lane::new(Attempts::new(shares)),
            turn: 0,
        })
    }

    fn publish_for(&self, agent: Option<Arc<str>>) -> Publish {
        let shared = &self.shared;
        Publish::new(
            &shared.bus,
            shared.tracer.clone(),
            Arc::clone(&shared.counters),
            agent,
            &shared.config,
        )
    }

    /// For the goodbye of [`drain`](Self::drain). Links of agents that have left are forgotten on the way.
    fn remember(&self, link: &Arc<Link>) {
        let mut links = self.shared.links.lock();
        if links.len() == links.capacity() {
            links.retain(|link| link.strong_count() > 0);
        }
        links.push(Arc::downgrade(link));
    }

    /// Unary calls carry the token as `authorization: Bearer …`.
    pub(crate) fn authorize<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(token) = &self.shared.config.token else {
            return Ok(());
        };
        let given = request
            .metadata()
            .get("authorization")
            .map_or(&[][..], |value| value.as_bytes());
        let given = given.strip_prefix(b"Bearer ").unwrap_or(given);
        if hello::same_secret(token.as_bytes(), given) {
            return Ok(());
        }
        let message =
            "the token is missing or wrong: send the server's token as `authorization: Bearer`";
        Err(status(&v1::Error::new(Code::Unauthenticated, message)))
    }

    pub(crate) fn refuse_when_draining(&self) -> Result<(), Status> {
        if self.shared.draining.is_cancelled() {
            return Err(status(&v1::Error::new(
                Code::Unavailable,
                "the server is shutting down: reconnect later",
            )));
        }
        Ok(())
    }
}

type Frames = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

#[tonic::async_trait]
impl BridgeRpc for Bridge {
    type EventStreamStream = Frames;

    async fn event_stream(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Frames>, Status> {
        self.refuse_when_draining()?;
        let config = &self.shared.config;
        let mut frames = request.into_inner();
        let first = timeout(config.hello_timeout(), frames.message())
            .await
            .map_err(|_| {
                let message = format!("no Hello within {} ms", config.hello_timeout_ms);
                status(&v1::Error::new(Code::HelloExpected, message))
            })??;
        let first = first.ok_or_else(|| {
            status(&v1::Error::new(
                Code::HelloExpected,
                "the stream ended before Hello",
            ))
        })?;
        let (outbound, liveness) = hello::read(&first.0, config)
            .and_then(|hello| {
                let liveness = hello.liveness;
                Ok((self.welcome(hello, frames)?, liveness))
            })
            .inspect_err(|error| {
                tracing::warn!(
                    code = error.code().name(),
                    field = error.field,
                    "agent refused: {}",
                    error.message
                );
            })
            .map_err(|error| status(&error))?;
        let welcome = v1::Welcome {
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            publish_window: config.publish_window,
            max_event_bytes: u32::try_from(config.max_event_bytes).unwrap_or(u32::MAX),
            heartbeat_interval_ms: liveness.interval_ms(),
        };
        Ok(Response::new(Box::pin(outbound.into_stream(&welcome))))
    }

    async fn publish(
        &self,
        request: Request<v1::PublishRequest>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        self.authorize(&request)?;
        self.refuse_when_draining()?;
        let header = request
            .metadata()
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut event = request.into_inner().event.unwrap_or_default();
        if event.time_unix_nano == 0 {
            event.time_unix_nano = loom_telemetry::ids::now_unix_nano();
        }
        let envelope = event.envelope.get_or_insert_default();
        if envelope.traceparent.is_empty()
            && let Some(traceparent) = header
        {
            envelope.traceparent = traceparent;
        }
        let mut publish = self.publish_for(None);
        self.shared.tracer.room().await;
        let mut outcome = publish.event(&event.encode_to_vec());
        loop {
            outcome = match outcome {
                Outcome::Waiting(hop, waiting) => publish.waited(hop, waiting.finish().await),
                Outcome::Storing(hop, published) => {
                    let kept = published.committed().await;
                    publish.kept(hop, published, kept)
                }
                Outcome::Published(published, event_id) => {
                    return Ok(Response::new(publish_response(&published, event_id)));
                }
                Outcome::Rejected(error) => return Err(status(&error)),
            };
        }
    }

    async fn invoke(
        &self,
        request: Request<v1::InvokeRequest>,
    ) -> Result<Response<v1::InvokeResponse>, Status> {
        self.authorize(&request)?;
        self.refuse_when_draining()?;
        let call = request.into_inner().call.unwrap_or_default();
        let call_id = call.call_id;
        let outcome = self.shared.broker.invoke(core_call(call)).await;
        Ok(Response::new(v1::InvokeResponse {
            reply: Some(reply(call_id, outcome)),
        }))
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        self.authorize(&request)?;
        let agents = self
            .shared
            .directory
            .list()
            .iter()
            .map(|entry| agent_info(entry))
            .collect();
        Ok(Response::new(v1::ListAgentsResponse { agents }))
    }

    async fn get_stats(
        &self,
        request: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        self.authorize(&request)?;
        let (bus, spans) = (self.bus_stats(), (self.shared.span_stats)());
        Ok(Response::new(v1::GetStatsResponse {
            bus: Some(bus),
            spans: Some(spans),
        }))
    }
}

fn publish_response(published: &Published, event_id: EventId) -> v1::PublishResponse {
    let trace = published.trace.map(|trace| trace.to_string());
    let stored = published.stored.as_ref();
    v1::PublishResponse {
        event_id: event_id.0.to_vec().into(),
        traceparent: trace.unwrap_or_default(),
        matched: published.matched,
        stream: stored.map_or_else(String::new, |stored| stored.stream().name().to_owned()),
        offset: stored.map_or(0, Stored::offset),
        duplicate: stored.is_some_and(|stored| stored.is_duplicate),
    }
}

/// What the spans of its deliveries call a subscription.
fn name(subscription: &Subscription) -> (u32, Arc<SubscriptionName>) {
    let acknowledged = subscription.acknowledged.as_ref();
    let name = SubscriptionName {
        pattern: subscription.pattern.clone(),
        group: acknowledged.map(|share| share.group.clone()),
    };
    (subscription.id, Arc::new(name))
}
