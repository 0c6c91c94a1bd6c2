//! A server on a free port, and an agent made of raw messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use loom_bridge::{Bridge, BridgeConfig};
use loom_core::{ActionBroker, BrokerConfig, BusConfig, Directory, EventBus, Tracer};
use loom_proto::v1::bridge_client::BridgeClient;
use loom_proto::{Frame, v1};
use loom_telemetry::{Recorder, RecorderConfig, Sampler, SpanRecord};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Server};
use tonic::{Status, Streaming};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Relay {
    pub(crate) bus: EventBus,
    pub(crate) bridge: Bridge,
    pub(crate) directory: Directory,
    pub(crate) recorder: Recorder,
    pub(crate) channel: Channel,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        Self::with(BridgeConfig::default(), BusConfig::default()).await
    }

    pub(crate) async fn with(config: BridgeConfig, bus: BusConfig) -> Self {
        let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
        Self::recording(recorder, config, bus).await
    }

    pub(crate) async fn recording(
        recorder: Recorder,
        config: BridgeConfig,
        bus: BusConfig,
    ) -> Self {
        let tracer = Tracer::new(recorder.clone(), Sampler::default());
        let bus = EventBus::new(bus, tracer.clone());
        let broker = ActionBroker::new(BrokerConfig::default(), tracer.clone());
        let directory = Directory::default();
        let stats = Arc::new(v1::SpanStats::default);
        let bridge = Bridge::new(
            config,
            bus.clone(),
            broker,
            directory.clone(),
            tracer,
            stats,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let service = bridge.service();
        tokio::spawn(async move {
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
        });
        let channel = Channel::from_shared(format!("http://{address}"))
            .expect("an address")
            .connect_lazy();
        Self {
            bus,
            bridge,
            directory,
            recorder,
            channel,
        }
    }

    pub(crate) fn client(&self) -> BridgeClient<Channel> {
        BridgeClient::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    pub(crate) async fn agent(&self, hello: v1::Hello) -> Agent {
        self.try_agent(hello).await.expect("welcome")
    }

    /// An agent that listens to `patterns`, with ids from 0.
    pub(crate) async fn listener(&self, agent_id: &str, patterns: &[&str]) -> Agent {
        self.agent(hello(agent_id, patterns)).await
    }

    pub(crate) async fn try_agent(&self, hello: v1::Hello) -> Result<Agent, Status> {
        self.open(v1::ClientEvent {
            hello: Some(hello),
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn open(&self, first: v1::ClientEvent) -> Result<Agent, Status> {
        let (to, frames) = mpsc::channel(16);
        to.send(Frame(first.encode_to_vec().into()))
            .await
            .expect("room");
        let from = self
            .client()
            .event_stream(ReceiverStream::new(frames))
            .await?
            .into_inner();
        let mut agent = Agent {
            to,
            from,
            published: 0,
        };
        let welcome = agent.receive().await?.expect("a first frame").welcome;
        assert!(welcome.is_some(), "the first frame is Welcome");
        Ok(agent)
    }

    pub(crate) fn spans(&self) -> Vec<SpanRecord> {
        let mut spans = Vec::new();
        self.recorder.drain(&mut spans);
        spans
    }
}

pub(crate) fn hello(agent_id: &str, patterns: &[&str]) -> v1::Hello {
    v1::Hello {
        agent_id: agent_id.into(),
        instance_id: format!("{agent_id}-1"),
        credit: 1_000_000,
        subscriptions: patterns
            .iter()
            .zip(0..)
            .map(|(pattern, id)| v1::Subscription {
                id,
                pattern: (*pattern).into(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

pub(crate) fn event(topic: &str, payload: impl Into<Bytes>) -> v1::Event {
    v1::Event {
        topic: topic.into(),
        payload: payload.into(),
        ..Default::default()
    }
}

pub(crate) struct Agent {
    to: mpsc::Sender<Frame>,
    from: Streaming<Frame>,
    published: u64,
}

impl Agent {
    pub(crate) async fn send(&mut self, message: v1::ClientEvent) {
        self.published += message.publish.len() as u64;
        self.send_raw(message.encode_to_vec()).await;
    }

    pub(crate) async fn send_raw(&mut self, bytes: Vec<u8>) {
        timeout(PATIENCE, self.to.send(Frame(bytes.into())))
            .await
            .expect("in time")
            .expect("a connection");
    }

    pub(crate) async fn publish(&mut self, events: Vec<v1::Event>) {
        self.send(v1::ClientEvent {
            publish: events,
            ..Default::default()
        })
        .await;
    }

    /// The next frame; `None` when the stream has ended.
    pub(crate) async fn receive(&mut self) -> Result<Option<v1::ServerEvent>, Status> {
        let frame = timeout(PATIENCE, self.from.message())
            .await
            .expect("a frame in time")?;
        Ok(frame.map(|frame| v1::ServerEvent::decode(frame.0).expect("a valid frame")))
    }

    /// Reads until `done` has seen enough; returns all frames read.
    pub(crate) async fn receive_until(
        &mut self,
        mut done: impl FnMut(&[v1::ServerEvent]) -> bool,
    ) -> Vec<v1::ServerEvent> {
        let mut frames = Vec::new();
        while !done(&frames) {
            frames.push(
                self.receive()
                    .await
                    .expect("no status")
                    .expect("the stream goes on"),
            );
        }
        frames
    }

    /// Waits until everything published so far is settled; returns the rejections.
    pub(crate) async fn settled(&mut self) -> Vec<v1::Rejection> {
        let published = self.published;
        self.send(v1::ClientEvent {
            ack_now: true,
            ..Default::default()
        })
        .await;
        let through = |frames: &[v1::ServerEvent]| {
            frames
                .iter()
                .filter_map(|f| f.ack.as_ref())
                .any(|a| a.through >= published)
        };
        let frames = self.receive_until(through).await;
        frames
            .into_iter()
            .filter_map(|frame| frame.ack)
            .flat_map(|ack| ack.rejected)
            .collect()
    }

    /// Waits for so many deliveries.
    pub(crate) async fn deliveries(&mut self, count: usize) -> Vec<v1::Delivery> {
        let enough = |frames: &[v1::ServerEvent]| {
            frames.iter().map(|f| f.delivery.len()).sum::<usize>() >= count
        };
        self.receive_until(enough)
            .await
            .into_iter()
            .flat_map(|frame| frame.delivery)
            .collect()
    }

    /// Reads until the stream ends with a status.
    pub(crate) async fn status(&mut self) -> Status {
        loop {
            match self.receive().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a status"),
                Err(status) => return status,
            }
        }
    }
}

pub(crate) fn loom_code(status: &Status) -> &str {
    status
        .metadata()
        .get("loom-code")
        .map_or("", |code| code.to_str().expect("ASCII"))
}

/// Waits until `holds`, which is looked at again after each yield to the other tasks.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let check = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        timeout(PATIENCE, check).await.is_ok(),
        "never came true: {what}"
    );
}
