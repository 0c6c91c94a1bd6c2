//! What an agent sends: control messages are obeyed at once, events are published in their order.
//!
//! While an event waits for room in a mailbox, frames are still read: answers and credit behind it may be just what makes
//! the room. The events among them wait here, and the publish window bounds how many.
//!
//! Nobody waits for the disk but the acknowledgement: events behind one that a stream keeps go on, and are acknowledged
//! after it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use loom_core::directory::Presence;
use loom_core::{PublishError, Published, Registration};
use loom_proto::wire::{Field, Fields, Value, number};
use loom_proto::{Code, Frame, v1};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::actions::{OwnCalls, ServedCalls};
use crate::config::BridgeConfig;
use crate::link::{End, Link};
use crate::publish::{Hop, Outcome, Publish};
use crate::shares::Shares;
use crate::status::status;

/// The task of one agent. Dropping it ends the agent's presence, its capabilities and its calls.
pub(crate) struct Inbound {
    pub(crate) frames: Streaming<Frame>,
    pub(crate) link: Arc<Link>,
    pub(crate) publish: Publish,
    pub(crate) own_calls: OwnCalls,
    pub(crate) served_calls: Arc<ServedCalls>,
    pub(crate) shares: Arc<Shares>,
    pub(crate) presence: Presence,
    pub(crate) registration: Registration,
    pub(crate) config: Arc<BridgeConfig>,
    /// After how much of it the agent has left.
    pub(crate) silence: Duration,
    pub(crate) closing: CancellationToken,
    pub(crate) state: State,
}

/// What has been read and not published yet.
pub(crate) struct State {
    events: VecDeque<Bytes>,
    /// Number of the last event that was published or rejected.
    taken: u64,
    /// Published events that the disk does not have yet, in their order.
    storing: VecDeque<Storing>,
    /// Number of the last event whose settlement outbound was woken for.
    said: u64,
    ack_now: bool,
    rejected: Vec<v1::Rejection>,
    goodbye: bool,
    rate: Rate,
}

/// An event that a stream has taken and the disk has not.
struct Storing {
    number: u64,
    event_id: Bytes,
    hop: Hop,
    published: Published,
}

/// Why reading has ended.
enum Ended {
    /// The agent said goodbye, or the server closes.
    Clean,
    /// The agent is gone without a word.
    Lost(String),
    /// The agent broke a rule.
    Fault(v1::Error),
}

impl State {
    pub(crate) fn new(config: &BridgeConfig) -> Self {
        Self {
            events: VecDeque::new(),
            taken: 0,
            storing: VecDeque::new(),
            said: 0,
            ack_now: false,
            rejected: Vec::new(),
            goodbye: false,
            rate: Rate::new(config.max_events_per_second),
        }
    }
}

impl State {
    /// Number of the last event before which all are settled.
    fn settled(&self) -> u64 {
        self.storing
            .front()
            .map_or(self.taken, |storing| storing.number - 1)
    }

    fn reject(&mut self, number: u64, event_id: Bytes, error: v1::Error) {
        self.rejected.push(v1::Rejection {
            number,
            event_id,
            error: Some(error),
        });
    }
}

impl Inbound {
    /// Reads until the agent leaves.
    pub(crate) async fn run(mut self) {
        let agent = self.presence.entry().agent_id.clone();
        let ended = loop {
            match self
                .next_frame()
                .await
                .and_then(|frame| self.accept(&frame))
            {
                Ok(()) => {}
                Err(ended) => break ended,
            }
            if let Err(ended) = self.publish_events().await {
                break ended;
            }
            if self.state.goodbye {
                break Ended::Clean;
            }
        };
        match ended {
            Ended::Clean => {
                tracing::info!(agent, "agent left");
                self.link.end(End::Clean);
            }
            Ended::Lost(reason) => {
                tracing::warn!(agent, reason, "agent lost");
                self.link.end(End::Clean);
            }
            Ended::Fault(error) => {
                tracing::warn!(
                    agent,
                    code = error.code().name(),
                    field = error.field,
                    "{}",
                    error.message
                );
                self.link.end(End::Status(status(&error)));
            }
        }
        // Callers of this agent learn at once that nobody will answer.
        drop(self.registration);
        self.served_calls.close();
        // Nobody is there to be told, but the spans of what is being kept must come to their end.
        while let Some(storing) = self.state.storing.pop_front() {
            let Storing { hop, published, .. } = storing;
            let kept = published.committed().await;
            self.publish.kept(hop, published, kept);
        }
    }

    async fn next_frame(&mut self) -> Result<Frame, Ended> {
        let silence = self.silence;
        let deadline = tokio::time::Instant::now() + silence;
        loop {
            let storing = self.state.storing.front();
            let stored = storing.and_then(|storing| storing.published.stored.clone());
            let answered = async { Some(stored?.committed().await) };
            tokio::select! {
                frame = tokio::time::timeout_at(deadline, self.frames.message()) => return match frame {
                    Ok(Ok(Some(frame))) => Ok(frame),
                    Ok(Ok(None)) => Err(Ended::Lost("the stream ended without goodbye".to_owned())),
                    Ok(Err(status)) => Err(lost(&status)),
                    Err(_) => Err(Ended::Lost(format!("silent for {} ms", silence.as_millis()))),
                },
                () = self.presence.replaced() => return Err(Ended::Fault(v1::Error::new(
                    Code::AgentIdInUse,
                    "a newer connection of the same instance has taken over",
                ))),
                () = self.link.ended() => return Err(Ended::Lost("the connection broke".to_owned())),
                () = self.closing.cancelled() => return Err(Ended::Clean),
                // Which answer it is, is asked for when it is settled.
                Some(_) = answered => self.settle_stored(),
            }
        }
    }

    /// Obeys the control messages of a frame and queues its events.
    fn accept(&mut self, frame: &Frame) -> Result<(), Ended> {
        self.presence.seen();
        for field in Fields::of(&frame.0) {
            let Field { number, value } = field.map_err(|error| malformed("frame", &error))?;
            match (number, value) {
                (number::PUBLISH, Value::Bytes(event)) => {
                    self.state.events.push_back(frame.0.slice_ref(event));
                }
                (number::CREDIT, Value::Varint(credit)) => {
                    self.link
                        .add_credit(u32::try_from(credit).unwrap_or(u32::MAX));
                }
                (number::CALL, Value::Bytes(call)) => self.own_calls.begin(decode(call, "call")?),
                (number::REPLY, Value::Bytes(reply)) => {
                    self.served_calls.answer(decode(reply, "reply")?);
                }
                (number::CANCEL, Value::Bytes(cancel)) => {
                    self.own_calls
                        .cancel(decode::<v1::ActionCancel>(cancel, "cancel")?.call_id);
                }
                (number::CLIENT_GOODBYE, Value::Varint(goodbye)) => {
                    self.state.goodbye |= goodbye != 0;
                }
                (number::HELLO, _) => {
                    return Err(Ended::Fault(v1::Error::new(
                        Code::DuplicateHello,
                        "this stream has said Hello already: open another stream for another agent",
                    )));
                }
                (number::OUTCOME, Value::Bytes(outcome)) => {
                    let outcome = decode(outcome, "outcome")?;
                    self.shares.settle(&outcome).map_err(Ended::Fault)?;
                }
                (number::ACK_NOW | number::HEARTBEAT, _) => self.state.ack_now = true,
                // What is newer than this server is passed over.
                _ => {}
            }
        }
        let window = self.config.publish_window as usize;
        if self.state.events.len() > window {
            let message =
                format!("more than {window} events without acknowledgement: wait for PublishAck");
            return Err(Ended::Fault(v1::Error::new(Code::WindowExceeded, message)));
        }
        Ok(())
    }

    /// Publishes what is queued; acknowledges once for all of it, and before each wait.
    async fn publish_events(&mut self) -> Result<(), Ended> {
        while let Some(event) = self.state.events.pop_front() {
            if !self.publish.tracer().has_room() {
                self.acknowledge(true);
                self.wait_for_spans().await?;
            }
            let outcome = if self.state.rate.allows() {
                self.publish.event(&event)
            } else {
                self.rate_limited()
            };
            let outcome = match outcome {
                Outcome::Waiting(hop, waiting) => {
                    self.acknowledge(true);
                    let published = self.wait_for_room(waiting).await?;
                    self.publish.waited(hop, published)
                }
                done => done,
            };
            self.settle(&event, outcome);
        }
        let wanted = std::mem::take(&mut self.state.ack_now);
        self.acknowledge(wanted);
        Ok(())
    }

    /// The spans of the next event would be lost: it waits, as it would for a full mailbox.
    async fn wait_for_spans(&mut self) -> Result<(), Ended> {
        let tracer = self.publish.tracer().clone();
        let room = tracer.room();
        tokio::pin!(room);
        loop {
            tokio::select! {
                () = &mut room => return Ok(()),
                frame = self.next_frame() => self.accept(&frame?)?,
            }
        }
    }

    async fn wait_for_room(
        &mut self,
        waiting: loom_core::bus::Waiting,
    ) -> Result<Result<Published, PublishError>, Ended> {
        let finish = waiting.finish();
        tokio::pin!(finish);
        loop {
            tokio::select! {
                published = &mut finish => return Ok(published),
                frame = self.next_frame() => self.accept(&frame?)?,
            }
        }
    }

    fn settle(&mut self, event: &Bytes, outcome: Outcome) {
        self.state.taken += 1;
        let number = self.state.taken;
        match outcome {
            Outcome::Rejected(error) => self.state.reject(number, event_id(event), error),
            Outcome::Storing(hop, published) => self.state.storing.push_back(Storing {
                number,
                event_id: event_id(event),
                hop,
                published,
            }),
            Outcome::Published(..) | Outcome::Waiting(..) => {}
        }
    }

    /// Settles what the disk has answered for, and says so at once: the producer waits for just this.
    fn settle_stored(&mut self) {
        while let Some(storing) = self.state.storing.pop_front() {
            let Some(kept) = storing.published.outcome() else {
                self.state.storing.push_front(storing);
                break;
            };
            let Storing {
                number,
                event_id,
                hop,
                published,
            } = storing;
            if let Outcome::Rejected(error) = self.publish.kept(hop, published, kept) {
                self.state.reject(number, event_id, error);
            }
        }
        self.acknowledge(true);
    }

    /// An acknowledgement is a frame of its own on a stream that has nothing else to carry, so outbound is woken for it
    /// only when somebody waits for it or a quarter of the window is used up.
    fn acknowledge(&mut self, wanted: bool) {
        let settled = self.state.settled();
        let State { said, rejected, .. } = &mut self.state;
        let urgent = wanted || settled - *said >= u64::from(self.config.publish_window / 4);
        if urgent {
            *said = settled;
        }
        self.link.acknowledge(settled, rejected, urgent);
    }

    fn rate_limited(&self) -> Outcome {
        Outcome::Rejected(v1::Error::new(
            Code::RateLimited,
            format!(
                "more than {} events in a second: publish slower",
                self.config.max_events_per_second
            ),
        ))
    }
}

fn lost(status: &Status) -> Ended {
    match status.code() {
        // Beyond BridgeConfig::max_frame_bytes; everything else is the connection's end.
        tonic::Code::OutOfRange => {
            Ended::Fault(v1::Error::new(Code::EventTooLarge, status.message()).at("frame"))
        }
        _ => Ended::Lost(status.message().to_owned()),
    }
}

fn decode<M: Message + Default>(bytes: &[u8], field: &str) -> Result<M, Ended> {
    M::decode(bytes).map_err(|error| malformed(field, &error))
}

fn malformed(field: &str, error: &dyn std::fmt::Display) -> Ended {
    Ended::Fault(
        v1::Error::new(
            Code::MalformedFrame,
            format!("{field} cannot be read: {error}"),
        )
        .at(field),
    )
}

/// The id of an event that was rejected, as far as it can be read.
fn event_id(event: &[u8]) -> Bytes {
    let id = Fields::of(event)
        .map_while(Result::ok)
        .find(|field| field.number == 1);
    match id {
        Some(Field {
            value: Value::Bytes(id),
            ..
        }) if id.len() <= 16 => Bytes::copy_from_slice(id),
        _ => Bytes::new(),
    }
}

/// A token bucket of one second's size.
struct Rate {
    per_second: u32,
    left: u32,
    refilled: Instant,
}

impl Rate {
    fn new(per_second: u32) -> Self {
        Self {
            per_second,
            left: per_second,
            refilled: Instant::now(),
        }
    }

    fn allows(&mut self) -> bool {
        if self.per_second == 0 {
            return true;
        }
        if self.left == 0 {
            let earned = self
                .refilled
                .elapsed()
                .min(Duration::from_secs(1))
                .as_secs_f64()
                * f64::from(self.per_second);
            if earned < 1.0 {
                return false;
            }
            self.left = earned as u32;
            self.refilled = Instant::now();
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_one_second_s_worth_at_once_and_no_more() {
        let mut rate = Rate::new(100);
        assert_eq!((0..500).filter(|_| rate.allows()).count() / 100, 1);
        assert!(Rate::new(0).allows());
    }
}
