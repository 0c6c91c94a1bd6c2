//! The way of an event from `ctx.emit` into the outbox. Hot path.

use std::collections::HashMap;
use std::sync::Arc;

use loom_proto::semconv::{attribute as key, header, span};
use loom_proto::topic::{is_inbox, validate_topic};
use loom_proto::trace_context::SpanId;
use loom_proto::wire::{EnvelopeHead, EventParts};
use loom_proto::{EventId, TraceContext};
use loom_telemetry::record::FreeDetail;
use loom_telemetry::{SpanDetail, SpanKind, SpanRecord, SpanStatus, Value, ids};

use super::{Client, Code, Event, PyResult, PyString, Python, Span, Stamp, raise};
use crate::outbox::Publish;
use crate::value;
use pyo3::prelude::*;

/// What few events have: thread id, correlation id, reply topic, ttl, user's headers, and the trace context of a span
/// that is not native (traceparent, tracestate).
pub(super) type Extra = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<u32>,
    Option<HashMap<String, String>>,
    Option<String>,
    Option<String>,
);

/// Keys of a trace context: the envelope has it, and it is never stored twice.
const RESERVED: [&str; 6] = [
    header::TRACEPARENT,
    header::TRACESTATE,
    header::BAGGAGE,
    header::TRACE_ID,
    header::SPAN_ID,
    header::TRACE_FLAGS,
];

/// The arguments of one emit.
pub(super) struct Emit<'a> {
    pub(super) topic: &'a str,
    pub(super) r#type: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) content_type: &'a str,
    pub(super) span: Option<&'a Span>,
    pub(super) cause: Option<&'a Event>,
    pub(super) stamp: Option<&'a Stamp>,
    pub(super) extra: Option<Extra>,
    pub(super) confirm: bool,
}

impl Client {
    /// The hot path, step by step. `None`: there is no room.
    pub(super) fn emit(&self, py: Python<'_>, emit: &Emit<'_>) -> PyResult<Option<(EventId, u64)>> {
        self.check(py)?;
        if !self.has_room_for_spans()? {
            return Ok(None);
        }
        validate_topic(emit.topic).map_err(|error| {
            let message = format!("topic {:?} is not valid: {error}", emit.topic);
            raise(py, Code::InvalidTopic, &message, "event.topic")
        })?;

        let now = ids::now_unix_nano();
        let id = EventId::from_parts(now, u64::from_be_bytes(ids::new_span_id().0));

        // The current span is the event's parent. Where there is none, the emit itself is the root of a trace.
        let (own, context) = match emit.span {
            Some(span) => (None, *span.trace_context()),
            None if emit.extra.as_ref().is_some_and(|extra| extra.5.is_some()) => {
                (None, TraceContext::default())
            }
            None => match self.source.as_ref().filter(|s| s.is_of_this_process()) {
                Some(source) => {
                    let context = source.decide(None);
                    (context.is_sampled().then_some(source), context)
                }
                None => (None, TraceContext::default()),
            },
        };

        let traceparent = context.to_traceparent();
        let mut envelope = EnvelopeHead {
            sender: &self.agent_id,
            tracestate: emit.span.and_then(Span::tracestate).unwrap_or_default(),
            ..EnvelopeHead::default()
        };
        if context.is_valid() {
            envelope.traceparent = std::str::from_utf8(&traceparent).unwrap_or_default();
        }
        // The conversation goes on, one hop further. A reply goes no further: it ends with whoever asked, and answers a
        // request that has made its last hop as well.
        if let Some(cause) = emit.cause {
            let further = u32::from(!is_inbox(emit.topic));
            envelope.thread_id = cause.thread_id();
            envelope.ttl = cause.delivery.layout.ttl;
            envelope.hop = cause.delivery.layout.hop.saturating_add(further);
        }
        if let Some(stamp) = emit.stamp {
            envelope.baggage = stamp.baggage();
            envelope.thread_id = stamp.thread_id().unwrap_or(envelope.thread_id);
            envelope.correlation_id = stamp.correlation_id().unwrap_or_default();
        }
        let mut metadata = Vec::new();
        if let Some(extra) = &emit.extra {
            put_extra(extra, &mut envelope, &mut metadata);
        }
        let event = EventParts {
            id: &id.0,
            topic: emit.topic,
            r#type: emit.r#type,
            time_unix_nano: now,
            envelope,
            content_type: emit.content_type,
            metadata: &metadata,
            payload: emit.payload,
        };
        self.check_size(py, &event)?;

        let number = match self.link.outbox.publish(&event, emit.confirm) {
            Publish::Taken(number) => number,
            Publish::Full => return Ok(None),
            Publish::Closed => {
                let message = format!("agent {} has been stopped", self.agent_id);
                return Err(raise(py, Code::Unavailable, &message, ""));
            }
        };
        if let Some(source) = own {
            source.record(self.emit_span(emit, id, context, now, envelope.thread_id));
        }
        Ok(Some((id, number)))
    }

    fn check_size(&self, py: Python<'_>, event: &EventParts<'_>) -> PyResult<()> {
        let limit = self.link.max_event_bytes() as usize;
        // Nearly all events are far below the limit, and adding up all parts is for the others.
        if event.payload.len() < limit / 2 && event.metadata.is_empty() {
            return Ok(());
        }
        let size = event.encoded_len();
        if size <= limit {
            return Ok(());
        }
        let message = format!(
            "the event has {size} bytes and the server takes {limit}: keep large data elsewhere and send a reference, or \
             raise bridge.max_event_bytes"
        );
        Err(raise(py, Code::EventTooLarge, &message, "event.payload"))
    }

    /// The span `agent.emit`: what is emitted outside of any span starts a trace here.
    fn emit_span(
        &self,
        emit: &Emit<'_>,
        id: EventId,
        context: TraceContext,
        start_unix_nano: u64,
        thread_id: &str,
    ) -> SpanRecord {
        let agent = Value::Shared(std::sync::Arc::clone(&self.agent_id));
        let topic = Value::Shared(emit.topic.into());
        let event = Value::Shared(id.to_string().into());
        let mut attributes = Vec::with_capacity(12);
        attributes.extend([
            (key::AGENT.into(), agent.clone()),
            (key::EVENT.into(), event.clone()),
            (key::TOPIC.into(), topic.clone()),
            (key::MESSAGING_SYSTEM.into(), "loom".into()),
            (key::MESSAGING_DESTINATION.into(), topic),
            (key::MESSAGING_MESSAGE_ID.into(), event),
            (key::MESSAGING_OPERATION_NAME.into(), "publish".into()),
            (key::MESSAGING_OPERATION_TYPE.into(), "send".into()),
            (key::MESSAGING_CLIENT_ID.into(), agent),
            (
                key::MESSAGING_BODY_SIZE.into(),
                value::size(emit.payload.len()),
            ),
        ]);
        if !emit.r#type.is_empty() {
            attributes.push((key::EVENT_TYPE.into(), emit.r#type.to_owned().into()));
        }
        if !thread_id.is_empty() {
            attributes.push((key::THREAD_ID.into(), thread_id.to_owned().into()));
        }
        for (name, value) in emit.stamp.map(Stamp::attributes).unwrap_or_default() {
            if ![key::AGENT, key::THREAD_ID].contains(&name.as_str().unwrap_or_default()) {
                attributes.push((name.clone(), value.clone()));
            }
        }
        SpanRecord {
            context,
            parent_span_id: SpanId::default(),
            parent_is_remote: false,
            kind: SpanKind::Producer,
            status: SpanStatus::Unset,
            start_unix_nano,
            end_unix_nano: ids::now_unix_nano().max(start_unix_nano),
            detail: SpanDetail::Free(Arc::new(FreeDetail {
                name: span::EMIT.into(),
                attributes,
                ..FreeDetail::default()
            })),
        }
    }
}

fn put_extra<'a>(
    extra: &'a Extra,
    envelope: &mut EnvelopeHead<'a>,
    metadata: &mut Vec<(&'a str, &'a str)>,
) {
    let (thread_id, correlation_id, reply_to, ttl, headers, traceparent, tracestate) = extra;
    for (field, value) in [
        (&mut envelope.thread_id, thread_id),
        (&mut envelope.correlation_id, correlation_id),
        (&mut envelope.reply_to, reply_to),
        (&mut envelope.traceparent, traceparent),
        (&mut envelope.tracestate, tracestate),
    ] {
        if let Some(value) = value {
            *field = value;
        }
    }
    if let Some(ttl) = ttl {
        envelope.ttl = *ttl;
    }
    for (name, value) in headers.iter().flatten() {
        if !RESERVED.contains(&name.as_str()) {
            metadata.push((name, value));
        }
    }
}

/// An id as Python's text.
pub(super) fn text(py: Python<'_>, id: EventId) -> Bound<'_, PyString> {
    PyString::new(py, std::str::from_utf8(&id.to_text()).unwrap_or_default())
}
