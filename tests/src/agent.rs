//! An agent made of raw protocol messages: it can say what no SDK would.

use std::collections::VecDeque;
use std::net::SocketAddr;

use loom_proto::v1::bridge_client::BridgeClient;
use loom_proto::{EventId, Frame, v1};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::eventually::PATIENCE;

/// A stream to the bridge.
#[derive(Debug)]
pub struct RawAgent {
    outgoing: mpsc::Sender<Frame>,
    incoming: Streaming<Frame>,
    deliveries: VecDeque<v1::Delivery>,
    acks: VecDeque<v1::PublishAck>,
    calls: VecDeque<v1::ActionCall>,
    replies: VecDeque<v1::ActionReply>,
    cancels: VecDeque<v1::ActionCancel>,
}

/// A Hello of an agent that listens to these patterns.
pub fn hello(agent_id: &str, patterns: &[&str]) -> v1::Hello {
    v1::Hello {
        agent_id: agent_id.to_owned(),
        instance_id: EventId::now().to_string(),
        subscriptions: patterns
            .iter()
            .zip(1..)
            .map(|(pattern, id)| v1::Subscription {
                id,
                pattern: (*pattern).to_owned(),
                ..Default::default()
            })
            .collect(),
        credit: 10_000,
        client: "raw".to_owned(),
        ..Default::default()
    }
}

/// An event on a topic with this traceparent, which may be nonsense.
pub fn event(topic: &str, traceparent: &str) -> v1::Event {
    v1::Event {
        id: EventId::now().0.to_vec().into(),
        topic: topic.to_owned(),
        r#type: "test".to_owned(),
        time_unix_nano: 1,
        envelope: Some(v1::Envelope {
            traceparent: traceparent.to_owned(),
            ..Default::default()
        }),
        payload: b"payload".to_vec().into(),
        ..Default::default()
    }
}

impl RawAgent {
    /// Connects, says Hello and is welcome.
    ///
    /// # Panics
    /// When it is not.
    pub async fn connect(address: SocketAddr, hello: v1::Hello) -> Self {
        Self::try_connect(address, hello).await.expect("welcome")
    }

    /// Connects and says Hello.
    ///
    /// # Errors
    /// The bridge's refusal.
    pub async fn try_connect(address: SocketAddr, hello: v1::Hello) -> Result<Self, Status> {
        let first = v1::ClientEvent {
            hello: Some(hello),
            ..Default::default()
        };
        Self::try_open(address, Frame(first.encode_to_vec().into())).await
    }

    /// Connects and says anything.
    ///
    /// # Errors
    /// The bridge's refusal.
    ///
    /// # Panics
    /// When there is no bridge, or it says nothing.
    pub async fn try_open(address: SocketAddr, first: Frame) -> Result<Self, Status> {
        let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
        let mut client = BridgeClient::new(channel.connect().await.expect("the bridge is there"));
        let (outgoing, frames) = mpsc::channel(1024);
        outgoing.send(first).await.expect("there is room");
        let opened = client.event_stream(Request::new(ReceiverStream::new(frames)));
        let incoming = timeout(PATIENCE, opened)
            .await
            .expect("the bridge answers")?
            .into_inner();
        let mut agent = Self {
            outgoing,
            incoming,
            deliveries: VecDeque::new(),
            acks: VecDeque::new(),
            calls: VecDeque::new(),
            replies: VecDeque::new(),
            cancels: VecDeque::new(),
        };
        let first = agent.read().await?;
        assert!(
            first.is_some_and(|first| first.welcome.is_some()),
            "the first message is Welcome"
        );
        Ok(agent)
    }

    /// Says something.
    ///
    /// # Panics
    /// When the stream is gone.
    pub async fn send(&self, message: v1::ClientEvent) {
        self.send_bytes(message.encode_to_vec()).await;
    }

    /// Says anything.
    ///
    /// # Panics
    /// When the stream is gone.
    pub async fn send_bytes(&self, bytes: Vec<u8>) {
        self.outgoing
            .send(Frame(bytes.into()))
            .await
            .expect("the stream is there");
    }

    /// Publishes events in one batch.
    pub async fn publish(&self, events: Vec<v1::Event>) {
        self.send(v1::ClientEvent {
            publish: events,
            ..Default::default()
        })
        .await;
    }

    /// The next delivery.
    pub async fn delivery(&mut self) -> v1::Delivery {
        self.until(|agent| agent.deliveries.pop_front()).await
    }

    /// Asks for an acknowledgement and waits for the next one.
    pub async fn ack(&mut self) -> v1::PublishAck {
        if self.acks.is_empty() {
            self.send(v1::ClientEvent {
                ack_now: true,
                ..Default::default()
            })
            .await;
        }
        self.until(|agent| agent.acks.pop_front()).await
    }

    /// The next call that this agent is to serve.
    pub async fn call(&mut self) -> v1::ActionCall {
        self.until(|agent| agent.calls.pop_front()).await
    }

    /// The next answer to a call of this agent.
    pub async fn reply(&mut self) -> v1::ActionReply {
        self.until(|agent| agent.replies.pop_front()).await
    }

    /// The next call that its caller has lost interest in.
    pub async fn cancelled(&mut self) -> u64 {
        self.until(|agent| agent.cancels.pop_front()).await.call_id
    }

    /// Reads on until the bridge ends the stream; `Ok` when it did so without a complaint.
    ///
    /// # Errors
    /// The status with which the bridge ended it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> Result<(), Status> {
        loop {
            let next = timeout(PATIENCE, self.read())
                .await
                .expect("the stream ends");
            if next?.is_none() {
                return Ok(());
            }
        }
    }

    async fn until<T>(&mut self, mut take: impl FnMut(&mut Self) -> Option<T>) -> T {
        loop {
            if let Some(found) = take(self) {
                return found;
            }
            let next = timeout(PATIENCE, self.read())
                .await
                .expect("the bridge says something");
            let next = next
                .expect("the stream goes on")
                .expect("the stream does not end");
            self.deliveries.extend(next.delivery);
            self.acks.extend(next.ack);
            self.calls.extend(next.call);
            self.replies.extend(next.reply);
            self.cancels.extend(next.cancel);
        }
    }

    async fn read(&mut self) -> Result<Option<v1::ServerEvent>, Status> {
        let frame = self.incoming.message().await?;
        Ok(
            frame
                .map(|frame| v1::ServerEvent::decode(frame.0).expect("the bridge speaks protobuf")),
        )
    }
}
