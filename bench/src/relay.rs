//! Agent → bridge → bus → bridge → agent over loopback, with clients that cost as little as can be: what the server can do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use loom_bridge::{Bridge, BridgeConfig};
use loom_core::{ActionBroker, BrokerConfig, BusConfig, Directory, EventBus};
use loom_proto::frame::BATCH_BYTES;
use loom_proto::v1::bridge_client::BridgeClient;
use loom_proto::wire::{
    EnvelopeHead, EventParts, Field, Fields, Value, number, put_event, put_message_field,
    put_varint_field,
};
use loom_proto::{EventId, Frame, v1};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::Streaming;
use tonic::transport::Server;

use crate::bus::{Recording, unrecorded};
use crate::figure::Finding;

const PAYLOAD: [u8; 256] = [b'x'; 256];
/// Deliveries that a subscriber grants at once.
const CREDIT: u32 = 8192;

/// One run.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) events: u64,
    pub(crate) recording: Recording,
}

impl Relay {
    /// Events per second, from the first publish to the last receipt.
    ///
    /// # Errors
    /// The connection broke, or an event was lost.
    pub(crate) async fn run(self) -> anyhow::Result<Finding> {
        let (tracer, pipeline) = self.recording.begin()?;
        let bus = EventBus::new(BusConfig::default(), tracer.clone());
        let broker = ActionBroker::new(BrokerConfig::default(), tracer.clone());
        let stats = Arc::new(v1::SpanStats::default);
        let bridge = Bridge::new(
            BridgeConfig::default(),
            bus.clone(),
            broker,
            Directory::default(),
            tracer.clone(),
            stats,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = bridge.service();
        let server = tokio::spawn(
            Server::builder()
                .tcp_nodelay(true)
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );

        let subscription = v1::Subscription {
            id: 1,
            pattern: "bench.>".into(),
            ..Default::default()
        };
        let mut subscriber = Client::connect(address, "sub", vec![subscription]).await?;
        let publisher = Client::connect(address, "pub", Vec::new()).await?;
        let events = self.events;
        let begin = Instant::now();
        let publishing = tokio::spawn(publisher.publish(events));
        let mut received = 0;
        let mut owed = 0;
        while received < events {
            let frame = subscriber.next().await?;
            let deliveries = Fields::of(&frame.0)
                .map_while(Result::ok)
                .filter(|field| field.number == number::DELIVERY)
                .count();
            received += deliveries as u64;
            owed += deliveries as u32;
            if owed > CREDIT / 2 {
                let mut credit = Vec::new();
                put_varint_field(&mut credit, number::CREDIT, owed.into());
                subscriber.to.send(Frame(credit.into())).await?;
                owed = 0;
            }
        }
        let elapsed = begin.elapsed();
        publishing.await??;
        ensure!(bus.stats().is_balanced(), "{:?}", bus.stats());
        server.abort();
        Ok(Finding {
            value: events as f64 / elapsed.as_secs_f64(),
            note: unrecorded(pipeline, 3 * events).await?,
        })
    }
}

struct Client {
    to: mpsc::Sender<Frame>,
    from: Streaming<Frame>,
}

impl Client {
    async fn connect(
        address: SocketAddr,
        agent_id: &str,
        subscriptions: Vec<v1::Subscription>,
    ) -> anyhow::Result<Self> {
        let (to, frames) = mpsc::channel(4);
        let hello = v1::Hello {
            agent_id: agent_id.into(),
            credit: CREDIT,
            subscriptions,
            ..Default::default()
        };
        let mut first = Vec::new();
        put_message_field(&mut first, number::HELLO, &hello);
        to.send(Frame(first.into())).await?;
        let mut client = BridgeClient::connect(format!("http://{address}"))
            .await?
            .max_decoding_message_size(usize::MAX);
        let from = client
            .event_stream(ReceiverStream::new(frames))
            .await?
            .into_inner();
        let mut client = Self { to, from };
        let welcome = v1::ServerEvent::decode(client.next().await?.0)?.welcome;
        ensure!(welcome.is_some(), "no welcome");
        Ok(client)
    }

    async fn next(&mut self) -> anyhow::Result<Frame> {
        let frame = tokio::time::timeout(Duration::from_secs(30), self.from.message()).await??;
        frame.context("the stream ended")
    }

    /// Publishes as fast as the window allows.
    async fn publish(self, events: u64) -> anyhow::Result<()> {
        let Self { to, mut from } = self;
        let window = Arc::new(Semaphore::new(8192));
        let acknowledged = tokio::spawn({
            let window = Arc::clone(&window);
            async move {
                let mut settled = 0;
                while settled < events {
                    let frame = from.message().await?.context("the stream ended")?;
                    for field in Fields::of(&frame.0).map_while(Result::ok) {
                        if let Field {
                            number: number::ACK,
                            value: Value::Bytes(ack),
                        } = field
                        {
                            let ack = v1::PublishAck::decode(ack)?;
                            ensure!(ack.rejected.is_empty(), "{:?}", ack.rejected);
                            window.add_permits((ack.through - settled) as usize);
                            settled = ack.through;
                        }
                    }
                }
                Ok(())
            }
        });
        let mut frame = Vec::with_capacity(2 * BATCH_BYTES);
        for _ in 0..events {
            if window.available_permits() == 0 && !frame.is_empty() {
                to.send(Frame(std::mem::take(&mut frame).into())).await?;
            }
            window.acquire().await?.forget();
            let trace = loom_telemetry::ids::new_root(true).to_traceparent();
            put_event(
                &mut frame,
                &EventParts {
                    id: &EventId::now().0,
                    topic: "bench.sensor.data",
                    r#type: "reading",
                    time_unix_nano: 1,
                    envelope: EnvelopeHead {
                        traceparent: std::str::from_utf8(&trace)?,
                        sender: "pub",
                        ..EnvelopeHead::default()
                    },
                    payload: &PAYLOAD,
                    ..EventParts::default()
                },
            );
            if frame.len() >= BATCH_BYTES {
                to.send(Frame(std::mem::take(&mut frame).into())).await?;
                frame.reserve(2 * BATCH_BYTES);
            }
        }
        put_varint_field(&mut frame, number::ACK_NOW, 1);
        to.send(Frame(frame.into())).await?;
        acknowledged.await?
    }
}
