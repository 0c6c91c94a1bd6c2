//! The native half of an agent: publishes, hands out what came, and says how the connection fares.
//!
//! No logic of the agent is here. Everything is called by the thread that holds the GIL; nothing waits.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use loom_proto::wire::number;
use loom_proto::{Code, v1};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use rustc_hash::FxHashMap;

use crate::error::{forked, raise};
use crate::event::{Event, Topic};
use crate::inbox::Inbox;
use crate::link::{Link, LinkConfig};
use crate::outbox::Outbox;
use crate::source::SpanSource;
use crate::span::{Span, run_end_hook, run_start_hook};
use crate::stamp::Stamp;
use crate::wake::Wake;
use crate::{logs, runtime, session};

mod answering;
mod definition;
mod handling;
mod notice;
mod publishing;

use answering::Failure;
use definition::{Capability, Subscription};
use publishing::{Emit, Extra, text};

/// Topics whose Python strings are kept; an agent that hears more of them at a time makes each anew.
const TOPIC_CACHE: usize = 1024;

/// See the module.
#[pyclass(frozen, module = "loom._native")]
pub(crate) struct Client {
    link: Arc<Link>,
    agent_id: Arc<str>,
    /// Pattern by subscription id.
    patterns: FxHashMap<u32, Arc<str>>,
    source: Option<SpanSource>,
    topics: parking_lot::Mutex<FxHashMap<Box<str>, Topic>>,
    generation: u32,
}

impl Client {
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        if self.generation == runtime::generation() {
            Ok(())
        } else {
            Err(forked(py))
        }
    }

    /// False while the buffers of spans are nearly full: whatever would make spans waits for the notice `writable`, which
    /// also wakes the loop for the deliveries that stay behind.
    fn has_room_for_spans(&self) -> PyResult<bool> {
        let Some(recorder) = self.source.as_ref().and_then(SpanSource::recorder) else {
            return Ok(true);
        };
        if recorder.has_room() {
            return Ok(true);
        }
        if self.link.begin_wait_for_spans() {
            let (link, recorder) = (Arc::clone(&self.link), recorder.clone());
            // It ends by itself, within the recorder's patience.
            drop(runtime::handle()?.spawn(async move {
                recorder.room().await;
                link.end_wait_for_spans();
            }));
        }
        Ok(false)
    }

    fn topic(&self, py: Python<'_>, text: &str) -> Topic {
        let mut topics = self.topics.lock();
        if let Some(topic) = topics.get(text) {
            return topic.clone_ref(py);
        }
        if topics.len() >= TOPIC_CACHE {
            topics.clear();
        }
        let topic = Topic::new(py, text);
        topics.insert(text.into(), topic.clone_ref(py));
        topic
    }

    fn put(&self, py: Python<'_>, field: u32, message: &impl prost::Message) -> PyResult<()> {
        self.check(py)?;
        if self
            .link
            .outbox
            .control(|control| control.put(field, message))
        {
            return Ok(());
        }
        let text = "too many calls and replies wait for the connection; try again later";
        Err(raise(py, Code::Backpressure, text, ""))
    }
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (*, agent_id, instance_id, address, token, subscriptions, reply_subscription, capabilities, credit, byte_limit, source, client, heartbeat_ms))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named by the caller: what Hello says, and the bounds"
    )]
    fn new(
        agent_id: &str,
        instance_id: &str,
        address: &str,
        token: &str,
        subscriptions: Vec<Subscription>,
        reply_subscription: u32,
        capabilities: Vec<Capability>,
        credit: u32,
        byte_limit: usize,
        source: Option<&Bound<'_, SpanSource>>,
        client: &str,
        heartbeat_ms: (u32, u32),
    ) -> PyResult<Self> {
        let patterns = subscriptions
            .iter()
            .map(|(id, pattern, ..)| (*id, pattern.as_str().into()))
            .collect();
        let subscriptions = definition::subscriptions(subscriptions);
        let acknowledged: Vec<u32> = subscriptions
            .iter()
            .filter(|subscription| subscription.acknowledged.is_some())
            .map(|subscription| subscription.id)
            .collect();
        let config = LinkConfig {
            address: address.to_owned(),
            hello: v1::Hello {
                agent_id: agent_id.to_owned(),
                instance_id: instance_id.to_owned(),
                token: token.to_owned(),
                subscriptions,
                capabilities: definition::capabilities(capabilities),
                credit: 0,
                client: client.to_owned(),
                heartbeat_interval_ms: heartbeat_ms.0,
                heartbeat_timeout_ms: heartbeat_ms.1,
            },
            credit: credit.max(1),
        };
        // Credit is exact: the server has never sent more than fits.
        let capacity = config.credit as usize;
        let inbox =
            Inbox::new(Wake::new()?, capacity, reply_subscription).acknowledging(acknowledged);
        Ok(Self {
            link: Arc::new(Link::new(config, Outbox::new(byte_limit), inbox)),
            agent_id: agent_id.into(),
            patterns,
            source: source.map(|source| source.get().clone()),
            topics: parking_lot::Mutex::default(),
            generation: runtime::generation(),
        })
    }

    /// Starts to connect, and goes on doing so. Call it once.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.check(py)?;
        logs::listen(Arc::downgrade(&self.link));
        // The task ends with the client's close or with the runtime; nobody waits for its handle.
        drop(runtime::handle()?.spawn(session::run(Arc::clone(&self.link))));
        Ok(())
    }

    /// Descriptor that becomes readable when there is something to take.
    fn fileno(&self) -> i32 {
        self.link.inbox.wake.fd().as_raw_fd()
    }

    /// Makes the descriptor quiet; call it when it was readable, before `take`.
    fn clear_wake(&self) {
        self.link.inbox.wake.clear();
    }

    /// Takes up to `max` events and all notices. Each event counts against the credit until `finish` or
    /// `release`.
    fn take<'py>(
        &self,
        py: Python<'py>,
        max: usize,
    ) -> PyResult<(Bound<'py, PyList>, Option<Bound<'py, PyList>>)> {
        self.check(py)?;
        let max = if self.has_room_for_spans()? { max } else { 0 };
        let (mut deliveries, mut notices) = (Vec::new(), Vec::new());
        self.link.take(max, &mut deliveries, &mut notices);
        let events = PyList::empty(py);
        for delivery in deliveries {
            let topic = self.topic(py, delivery.layout.topic.text(&delivery.event));
            events.append(Bound::new(py, Event::new(delivery, topic))?)?;
        }
        if notices.is_empty() {
            return Ok((events, None));
        }
        let list = PyList::empty(py);
        for notice in notices {
            list.append(notice::tuple(py, self, notice)?)?;
        }
        Ok((events, Some(list)))
    }

    // ---- publishing ----

    /// Takes an event. `span` is the current native span, `cause` the event whose handler emits, `stamp` tells whom the
    /// event is about. Returns the event's id, or None when there is no room: wait for the notice `writable` and try again.
    ///
    /// With `confirm` it returns the id and the event's number, and the notice `confirmed` tells when that is settled.
    #[pyo3(signature = (topic, r#type, payload, content_type, span, cause, stamp, extra, confirm=false, /))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one crossing of the border per event"
    )]
    fn publish<'py>(
        &self,
        py: Python<'py>,
        topic: &str,
        r#type: &str,
        payload: &[u8],
        content_type: &str,
        span: Option<&Bound<'py, Span>>,
        cause: Option<&Bound<'py, Event>>,
        stamp: Option<&Bound<'py, Stamp>>,
        extra: Option<Extra>,
        confirm: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let emit = Emit {
            topic,
            r#type,
            payload,
            content_type,
            span: span.map(Bound::get),
            cause: cause.map(Bound::get),
            stamp: stamp.map(Bound::get),
            extra,
            confirm,
        };
        let Some((id, number)) = self.emit(py, &emit)? else {
            return Ok(None);
        };
        let id = text(py, id);
        Ok(Some(if confirm {
            (id, number).into_pyobject(py)?.into_any()
        } else {
            id.into_any()
        }))
    }

    // ---- handling ----

    /// The span under which a handler runs: child of the delivery's context. Not recorded, but still the current context,
    /// where the trace is not sampled or nobody records.
    #[pyo3(signature = (event, stamp=None, /))]
    fn begin<'py>(
        &self,
        event: &Bound<'py, Event>,
        stamp: Option<&Bound<'py, Stamp>>,
    ) -> PyResult<Bound<'py, Span>> {
        let span = self.event_span(event, stamp.map(Bound::get));
        let span = Bound::new(event.py(), span)?;
        run_start_hook(&span)?;
        Ok(span)
    }

    /// The handler of one delivery has ended: ends its native span, if it has one, gives its credit back, and answers the
    /// delivery where its subscription is acknowledged: handled, unless there is a failure. A failure whose verdict is 0
    /// answers nothing.
    #[pyo3(signature = (span, event, failure=None, /))]
    fn finish(
        &self,
        span: Option<&Bound<'_, Span>>,
        event: &Bound<'_, Event>,
        failure: Option<Failure>,
    ) -> PyResult<()> {
        self.answer_delivery(event.get(), failure);
        let Some(span) = span else {
            return Ok(());
        };
        let native = span.get();
        if native.source().is_some() && native.finish(None) {
            return run_end_hook(span);
        }
        Ok(())
    }

    /// Whether the connection that brought an acknowledged delivery is gone: the server delivers again.
    fn is_withdrawn(&self, event: &Bound<'_, Event>) -> bool {
        let due = event.get().delivery.due;
        self.generation == runtime::generation()
            && due.is_some_and(|due| !self.link.outbox.is_open(due.stream))
    }

    /// The span under which a call is served: child of `broker.invoke`, whose context stands in the headers.
    #[pyo3(signature = (capability, caller, headers, stamp=None, /))]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "made of a Python dictionary for this call"
    )]
    fn begin_call<'py>(
        &self,
        py: Python<'py>,
        capability: &str,
        caller: &str,
        headers: HashMap<String, String>,
        stamp: Option<&Bound<'py, Stamp>>,
    ) -> PyResult<Bound<'py, Span>> {
        let span = self.call_span(capability, caller, &headers, stamp.map(Bound::get));
        let span = Bound::new(py, span)?;
        run_start_hook(&span)?;
        Ok(span)
    }

    /// Deliveries will not be handled: gives their credit back.
    fn release(&self, deliveries: u32) {
        if self.generation == runtime::generation() {
            self.link.release(deliveries);
        }
    }

    /// Number whose confirmation covers everything published so far; None when all is settled.
    fn confirm_all(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.check(py)?;
        Ok(self.link.outbox.confirm_all())
    }

    // ---- capabilities ----

    /// Calls a capability. The reply is a notice with the same id.
    #[pyo3(signature = (call_id, capability, args, content_type, headers, timeout_ms, /))]
    #[expect(clippy::too_many_arguments, reason = "the fields of an ActionCall")]
    fn call(
        &self,
        py: Python<'_>,
        call_id: u64,
        capability: String,
        args: &[u8],
        content_type: String,
        headers: BTreeMap<String, String>,
        timeout_ms: u32,
    ) -> PyResult<()> {
        let call = v1::ActionCall {
            call_id,
            capability,
            args: args.to_vec().into(),
            content_type,
            headers,
            timeout_ms,
            caller: String::new(),
        };
        self.put(py, number::CALL, &call)
    }

    /// Loses interest in a call.
    fn cancel_call(&self, py: Python<'_>, call_id: u64) -> PyResult<()> {
        self.check(py)?;
        self.link.outbox.control(|control| control.cancel(call_id));
        Ok(())
    }

    /// Answers a call with a result.
    fn answer(
        &self,
        py: Python<'_>,
        call_id: u64,
        result: &[u8],
        content_type: String,
    ) -> PyResult<()> {
        let reply = v1::ActionReply {
            call_id,
            content_type,
            outcome: Some(v1::action_reply::Outcome::Result(result.to_vec().into())),
        };
        self.put(py, number::REPLY, &reply)
    }

    /// Answers a call with an error.
    fn answer_error(
        &self,
        py: Python<'_>,
        call_id: u64,
        code: &str,
        message: &str,
    ) -> PyResult<()> {
        let code = loom_proto::code::CODES
            .iter()
            .find(|faces| faces.name == code)
            .map_or(Code::HandlerFailed, |faces| faces.code);
        let reply = v1::ActionReply {
            call_id,
            content_type: String::new(),
            outcome: Some(v1::action_reply::Outcome::Error(v1::Error::new(
                code, message,
            ))),
        };
        self.put(py, number::REPLY, &reply)
    }

    // ---- the end ----

    /// Takes nothing new from now on: no credit is granted.
    fn freeze(&self) {
        if self.generation == runtime::generation() {
            self.link.freeze();
        }
    }

    /// Says goodbye when all has been sent. The notice `closed` follows.
    fn leave(&self) {
        if self.generation == runtime::generation() {
            self.link.leave();
        }
    }

    /// Ends at once. Returns how many published events were not confirmed, and how many deliveries were not handled.
    fn abandon(&self) -> (u64, usize) {
        if self.generation != runtime::generation() {
            return (0, 0);
        }
        let unconfirmed = self.link.outbox.abandon();
        // What is delivered again is not lost.
        self.link.inbox.withdraw();
        let lost = (unconfirmed, self.link.inbox.discard());
        self.link.abandon();
        lost
    }

    /// The counters, by name.
    fn stats(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, u64)>> {
        self.check(py)?;
        // First: whoever sees an outcome as sent sees the events before it as settled.
        let outcomes = self.link.outbox.outcome_stats();
        let outbox = self.link.outbox.stats();
        let inbox = self.link.inbox.stats();
        Ok(vec![
            ("published", outbox.published),
            ("settled", outbox.settled),
            ("unconfirmed", outbox.unconfirmed),
            ("resent", outbox.resent),
            ("received", inbox.received),
            ("waiting", inbox.waiting),
            ("malformed", inbox.malformed),
            ("overflowed", inbox.overflowed),
            ("acked", outcomes.acked),
            ("retried", outcomes.retried),
            ("rejected_deliveries", outcomes.rejected),
            ("outcomes_dropped", outcomes.dropped),
            ("connections", self.link.connections()),
        ])
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.generation == runtime::generation() {
            // An agent that was never stopped must not stay connected when nobody can reach it any more.
            self.link.abandon();
        }
    }
}
