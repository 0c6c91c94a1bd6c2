//! Calls of one agent: those that it makes, and those that it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loom_core::broker::Answer;
use loom_core::{ActionBroker, ActionCall, ActionOutput, InvokeError, Provider};
use loom_proto::{Code, v1};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::link::Link;
use crate::status::invoke_error;

type Outcome = Result<ActionOutput, InvokeError>;

/// The calls that an agent makes. Dropping it cancels those that are open.
pub(crate) struct OwnCalls {
    broker: ActionBroker,
    link: Arc<Link>,
    agent_id: Arc<str>,
    limit: usize,
    open: Arc<Mutex<FxHashMap<u64, AbortHandle>>>,
}

/// The calls that an agent serves: the bridge's side of its capabilities.
pub(crate) struct ServedCalls {
    agent_id: Arc<str>,
    link: Arc<Link>,
    next: AtomicU64,
    /// `None` when the agent has left.
    open: Mutex<Option<FxHashMap<u64, OpenCall>>>,
}

struct OpenCall {
    capability: String,
    answer: oneshot::Sender<Outcome>,
}

// ---- OwnCalls ----

impl OwnCalls {
    pub(crate) fn new(
        broker: ActionBroker,
        link: Arc<Link>,
        agent_id: Arc<str>,
        limit: usize,
    ) -> Self {
        Self {
            broker,
            link,
            agent_id,
            limit,
            open: Arc::default(),
        }
    }

    /// Begins a call; its answer goes out when it comes.
    pub(crate) fn begin(&self, call: v1::ActionCall) {
        let call_id = call.call_id;
        let mut open = self.open.lock();
        let refusal = if open.contains_key(&call_id) {
            Some(
                v1::Error::new(
                    Code::MalformedFrame,
                    format!("call id {call_id} is open already"),
                )
                .at("call.call_id"),
            )
        } else if open.len() >= self.limit {
            let message = format!(
                "{} calls are open already; wait for answers, or raise bridge.max_open_calls",
                self.limit
            );
            Some(v1::Error::new(Code::RateLimited, message))
        } else {
            None
        };
        if let Some(error) = refusal {
            drop(open);
            self.link
                .control(|control| control.replies.push(failure(call_id, error)));
            return;
        }
        let (broker, link, calls) = (
            self.broker.clone(),
            Arc::clone(&self.link),
            Arc::clone(&self.open),
        );
        let call = ActionCall {
            caller: self.agent_id.to_string(),
            ..core_call(call)
        };
        // The lock is held until the call stands in the map, so that its end cannot come before its beginning.
        let task = tokio::spawn(async move {
            let outcome = broker.invoke(call).await;
            calls.lock().remove(&call_id);
            link.control(|control| control.replies.push(reply(call_id, outcome)));
        });
        open.insert(call_id, task.abort_handle());
    }

    /// The agent lost its interest.
    pub(crate) fn cancel(&self, call_id: u64) {
        if let Some(call) = self.open.lock().remove(&call_id) {
            call.abort();
        }
    }
}

impl Drop for OwnCalls {
    fn drop(&mut self) {
        for call in self.open.lock().drain() {
            call.1.abort();
        }
    }
}

// ---- ServedCalls ----

impl ServedCalls {
    pub(crate) fn new(agent_id: Arc<str>, link: Arc<Link>) -> Arc<Self> {
        Arc::new(Self {
            agent_id,
            link,
            next: AtomicU64::new(1),
            open: Mutex::new(Some(FxHashMap::default())),
        })
    }

    /// The agent has answered. An answer to a call that is not open any more is late, and no fault.
    pub(crate) fn answer(&self, reply: v1::ActionReply) {
        let open = self
            .open
            .lock()
            .as_mut()
            .and_then(|open| open.remove(&reply.call_id));
        if let Some(call) = open {
            // The caller may have gone this very moment.
            drop(call.answer.send(outcome(reply)));
        }
    }

    /// The agent has left: its open calls fail now, and no new one begins.
    pub(crate) fn close(&self) {
        for (_, call) in self.open.lock().take().into_iter().flatten() {
            let gone = InvokeError::ProviderGone {
                capability: call.capability,
                provider: self.agent_id.to_string(),
            };
            drop(call.answer.send(Err(gone)));
        }
    }
}

/// The provider as the broker holds it.
pub(crate) struct SessionProvider(pub(crate) Arc<ServedCalls>);

impl Provider for SessionProvider {
    fn agent_id(&self) -> &str {
        &self.0.agent_id
    }

    fn call(&self, call: ActionCall) -> Answer {
        let served = Arc::clone(&self.0);
        let call_id = served.next.fetch_add(1, Ordering::Relaxed);
        // Not after the broker looks at its own clock: a call whose future is dropped later than this has timed out.
        let deadline = Instant::now() + call.timeout;
        let (answer, answered) = oneshot::channel();
        let gone = InvokeError::ProviderGone {
            capability: call.capability.clone(),
            provider: served.agent_id.to_string(),
        };
        {
            let mut open = served.open.lock();
            let Some(open) = open.as_mut() else {
                return Box::pin(std::future::ready(Err(gone)));
            };
            open.insert(
                call_id,
                OpenCall {
                    capability: call.capability.clone(),
                    answer,
                },
            );
        }
        served
            .link
            .control(|control| control.calls.push(wire_call(call_id, call)));
        Box::pin(async move {
            let _cancel = CancelOnDrop {
                served: &served,
                call_id,
                deadline,
            };
            answered.await.unwrap_or(Err(gone))
        })
    }
}

/// Tells the agent when the caller has gone before the answer.
struct CancelOnDrop<'a> {
    served: &'a ServedCalls,
    call_id: u64,
    deadline: Instant,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        let open = self
            .served
            .open
            .lock()
            .as_mut()
            .and_then(|open| open.remove(&self.call_id));
        if open.is_some() {
            self.served.link.control(|control| {
                control.cancels.push(v1::ActionCancel {
                    call_id: self.call_id,
                    timed_out: Instant::now() >= self.deadline,
                });
            });
        }
    }
}

// ---- between wire and core ----

pub(crate) fn core_call(call: v1::ActionCall) -> ActionCall {
    ActionCall {
        capability: call.capability,
        args: call.args,
        content_type: call.content_type,
        headers: call.headers,
        timeout: Duration::from_millis(call.timeout_ms.into()),
        caller: String::new(),
    }
}

fn wire_call(call_id: u64, call: ActionCall) -> v1::ActionCall {
    v1::ActionCall {
        call_id,
        capability: call.capability,
        args: call.args,
        content_type: call.content_type,
        headers: call.headers,
        timeout_ms: u32::try_from(call.timeout.as_millis()).unwrap_or(u32::MAX),
        caller: call.caller,
    }
}

pub(crate) fn reply(call_id: u64, outcome: Outcome) -> v1::ActionReply {
    match outcome {
        Ok(output) => v1::ActionReply {
            call_id,
            outcome: Some(v1::action_reply::Outcome::Result(output.result)),
            content_type: output.content_type,
        },
        Err(error) => failure(call_id, invoke_error(&error)),
    }
}

fn failure(call_id: u64, error: v1::Error) -> v1::ActionReply {
    let outcome = Some(v1::action_reply::Outcome::Error(error));
    v1::ActionReply {
        call_id,
        outcome,
        content_type: String::new(),
    }
}

/// A provider may say what it likes; what a caller relies on (unknown, gone, deadline) only the broker says.
fn outcome(reply: v1::ActionReply) -> Outcome {
    match reply.outcome {
        Some(v1::action_reply::Outcome::Result(result)) => Ok(ActionOutput {
            result,
            content_type: reply.content_type,
        }),
        Some(v1::action_reply::Outcome::Error(error)) => {
            let code = match error.code() {
                code @ (Code::Cancelled
                | Code::HandlerFailed
                | Code::PermissionDenied
                | Code::InvalidEvent) => code,
                _ => Code::HandlerFailed,
            };
            Err(InvokeError::Handler {
                code,
                message: error.message,
            })
        }
        None => Err(InvokeError::Handler {
            code: Code::HandlerFailed,
            message: "the provider answered with neither a result nor an error".to_owned(),
        }),
    }
}
