//! An agent that only listens, for `loom tail`.

use std::collections::VecDeque;
use std::time::Duration;

use loom_proto::event_id::EventId;
use loom_proto::{Frame, v1};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use super::{BridgeClient, ClientError};

/// Deliveries that the server may send before they were printed.
const CREDIT: u32 = 256;
const GOODBYE: Duration = Duration::from_secs(1);

/// The deliveries of one pattern.
#[derive(Debug)]
pub struct TailStream {
    client: BridgeClient,
    outgoing: mpsc::Sender<Frame>,
    incoming: Streaming<Frame>,
    waiting: VecDeque<v1::Delivery>,
    heartbeat: tokio::time::Interval,
    taken: u32,
}

/// One event as it passed.
#[derive(Clone, Debug)]
pub struct TailEvent {
    /// The event.
    pub event: v1::Event,
    /// Its id as text.
    pub id: String,
    /// Context of the span that delivered it.
    pub traceparent: String,
}

impl BridgeClient {
    /// Becomes the agent `agent_id`, which listens to `pattern` and loses the oldest events when it is slow.
    ///
    /// # Errors
    /// The bridge refused the pattern or the agent, or is gone.
    pub async fn tail(&self, agent_id: &str, pattern: &str) -> Result<TailStream, ClientError> {
        // Room for everything that is ever waiting here: the hello, one heartbeat, one credit, the goodbye.
        let (outgoing, frames) = mpsc::channel(8);
        let hello = v1::Hello {
            agent_id: agent_id.to_owned(),
            instance_id: EventId::now().to_string(),
            token: self
                .token
                .as_ref()
                .map(|token| token.expose().to_owned())
                .unwrap_or_default(),
            subscriptions: vec![v1::Subscription {
                id: 1,
                pattern: pattern.to_owned(),
                qos: v1::Qos::Realtime.into(),
                capacity: 0,
                ..v1::Subscription::default()
            }],
            capabilities: Vec::new(),
            credit: CREDIT,
            client: concat!("loom-cli/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..v1::Hello::default()
        };
        send(
            &outgoing,
            &v1::ClientEvent {
                hello: Some(hello),
                ..Default::default()
            },
        );
        let request = Request::new(ReceiverStream::new(frames));
        let answer = self
            .stub
            .clone()
            .event_stream(request)
            .await
            .map_err(|status| self.refused(&status))?;
        let mut stream = TailStream {
            client: self.clone(),
            outgoing,
            incoming: answer.into_inner(),
            waiting: VecDeque::new(),
            heartbeat: tokio::time::interval(Duration::from_secs(5)),
            taken: 0,
        };
        let first = stream
            .read()
            .await?
            .and_then(|first| first.welcome)
            .ok_or_else(|| ClientError::Protocol {
                address: self.address.clone(),
                detail: "the bridge did not say welcome".to_owned(),
            })?;
        let interval = u64::from(first.heartbeat_interval_ms).max(100);
        stream.heartbeat = tokio::time::interval(Duration::from_millis(interval));
        Ok(stream)
    }
}

impl TailStream {
    /// The next event; `None` when the server drains.
    ///
    /// # Errors
    /// The connection broke, or the server ended it.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<TailEvent>, ClientError> {
        loop {
            if let Some(delivery) = self.waiting.pop_front() {
                self.give_credit();
                let event = delivery.event.unwrap_or_default();
                let id = EventId::from_slice(&event.id)
                    .map_or_else(|_| String::new(), |id| id.to_string());
                return Ok(Some(TailEvent {
                    event,
                    id,
                    traceparent: delivery.traceparent,
                }));
            }
            tokio::select! {
                _ = self.heartbeat.tick() => {
                    send(&self.outgoing, &v1::ClientEvent { heartbeat: true, ..Default::default() });
                }
                frame = self.incoming.message() => {
                    let Some(batch) = self.decode(frame)? else { return Ok(None) };
                    if batch.goodbye {
                        return Ok(None);
                    }
                    self.waiting.extend(batch.delivery);
                }
            }
        }
    }

    /// Says that nothing follows, and waits a moment for the bridge to end the stream: it shall not take the tail for
    /// an agent that was lost.
    pub async fn leave(mut self) {
        send(
            &self.outgoing,
            &v1::ClientEvent {
                goodbye: true,
                ..Default::default()
            },
        );
        let ended = async { while let Ok(Some(_)) = self.incoming.message().await {} };
        if tokio::time::timeout(GOODBYE, ended).await.is_err() {
            tracing::debug!("the bridge did not end the stream");
        }
    }

    async fn read(&mut self) -> Result<Option<v1::ServerEvent>, ClientError> {
        let frame = self.incoming.message().await;
        self.decode(frame)
    }

    fn decode(
        &self,
        frame: Result<Option<Frame>, tonic::Status>,
    ) -> Result<Option<v1::ServerEvent>, ClientError> {
        let frame = frame.map_err(|status| self.client.refused(&status))?;
        let decode = |frame: Frame| v1::ServerEvent::decode(frame.0);
        frame
            .map(decode)
            .transpose()
            .map_err(|error| ClientError::Protocol {
                address: self.client.address.clone(),
                detail: error.to_string(),
            })
    }

    /// In portions, so that a flood of small events is not answered by a flood of credits.
    fn give_credit(&mut self) {
        self.taken += 1;
        if self.taken >= CREDIT / 2
            && send(
                &self.outgoing,
                &v1::ClientEvent {
                    credit: self.taken,
                    ..Default::default()
                },
            )
        {
            self.taken = 0;
        }
    }
}

/// Whether the message was taken. A full channel means that the connection does not move, and will be found broken.
fn send(to: &mpsc::Sender<Frame>, message: &v1::ClientEvent) -> bool {
    to.try_send(Frame(message.encode_to_vec().into())).is_ok()
}
