//! One span with its events and links.

use std::sync::Arc;

use loom_proto::wire::Value::{Bytes, Fixed32, Fixed64, Varint};

use super::message::{Message, int32, uint32};
use super::spare::Spare;
use super::value::attribute;
use crate::model::{
    Attributes, Event, Identity, Link, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode,
    TraceId,
};
use crate::otlp::number::{event, link, span, status};
use crate::otlp::wire::WireError;

/// A span as it comes, before it is known whether its ids are good.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    pub(super) parent_span_id: &'a [u8],
    trace_state: &'a str,
    flags: u32,
    name: &'a str,
    kind: SpanKind,
    start_ns: u64,
    end_ns: u64,
    status_code: StatusCode,
    status_message: &'a str,
    pub(super) attributes: Attributes,
    dropped_attributes: u32,
    events: Vec<Event>,
    dropped_events: u32,
    links: Vec<Link>,
    dropped_links: u32,
    /// Links that name no span.
    bad_links: u32,
}

impl<'a> Draft<'a> {
    pub(super) fn read(mut message: Message<'a>, spare: &mut Spare) -> Result<Self, WireError> {
        let mut draft = Self {
            attributes: spare.list(),
            ..Self::default()
        };
        while let Some(field) = message.next()? {
            match field {
                (span::TRACE_ID, Bytes(id)) => draft.trace_id = id,
                (span::SPAN_ID, Bytes(id)) => draft.span_id = id,
                (span::TRACE_STATE, Bytes(text)) => draft.trace_state = message.text(text)?,
                (span::PARENT_SPAN_ID, Bytes(id)) => draft.parent_span_id = id,
                (span::NAME, Bytes(text)) => draft.name = message.text(text)?,
                (span::KIND, Varint(kind)) => draft.kind = SpanKind::from_number(int32(kind)),
                (span::START_TIME_UNIX_NANO, Fixed64(time)) => draft.start_ns = time,
                (span::END_TIME_UNIX_NANO, Fixed64(time)) => draft.end_ns = time,
                (span::ATTRIBUTES, Bytes(pair)) => {
                    attribute(
                        &message,
                        span::ATTRIBUTES,
                        pair,
                        &mut draft.attributes,
                        spare,
                    )?;
                }
                (span::DROPPED_ATTRIBUTES_COUNT, Varint(count)) => {
                    draft.dropped_attributes = uint32(count);
                }
                (span::EVENTS, Bytes(inner)) => {
                    message.reserve(&mut draft.events, span::EVENTS);
                    draft.events.push(event(message.inner(inner)?, spare)?);
                }
                (span::DROPPED_EVENTS_COUNT, Varint(count)) => draft.dropped_events = uint32(count),
                (span::LINKS, Bytes(inner)) => match link(message.inner(inner)?, spare)? {
                    Some(link) => {
                        message.reserve(&mut draft.links, span::LINKS);
                        draft.links.push(link);
                    }
                    None => draft.bad_links += 1,
                },
                (span::DROPPED_LINKS_COUNT, Varint(count)) => draft.dropped_links = uint32(count),
                (span::STATUS, Bytes(inner)) => draft.status(message.inner(inner)?)?,
                (span::FLAGS, Fixed32(flags)) => draft.flags = flags,
                (number, _) => message.skip(number, span::KNOWN)?,
            }
        }
        Ok(draft)
    }

    fn status(&mut self, mut message: Message<'a>) -> Result<(), WireError> {
        while let Some(field) = message.next()? {
            match field {
                (status::MESSAGE, Bytes(text)) => self.status_message = message.text(text)?,
                (status::CODE, Varint(code)) => {
                    self.status_code = StatusCode::from_number(int32(code));
                }
                (number, _) => message.skip(number, status::KNOWN)?,
            }
        }
        Ok(())
    }

    /// `None` for a span with bad ids, which the caller has judged before.
    pub(super) fn finish(
        self,
        identity: Identity,
        resource: &Arc<Resource>,
        scope: &Arc<Scope>,
        spare: &mut Spare,
    ) -> Option<Span> {
        Some(Span {
            trace_id: TraceId::from_bytes(self.trace_id)?,
            span_id: SpanId::from_bytes(self.span_id)?,
            // Eight zero bytes mean "no parent" to every SDK that sends them.
            parent_span_id: SpanId::from_bytes(self.parent_span_id),
            trace_state: spare.own(self.trace_state),
            flags: self.flags,
            name: spare.own(self.name),
            kind: self.kind,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            status: Status {
                code: self.status_code,
                message: spare.own(self.status_message),
            },
            attributes: self.attributes,
            dropped_attributes: self.dropped_attributes,
            events: self.events,
            dropped_events: self.dropped_events,
            links: self.links,
            dropped_links: self.dropped_links.saturating_add(self.bad_links),
            identity,
            resource: Arc::clone(resource),
            scope: Arc::clone(scope),
        })
    }
}

fn event(mut message: Message<'_>, spare: &mut Spare) -> Result<Event, WireError> {
    let mut time_ns = 0;
    let mut name = "";
    let mut attributes = Attributes::default();
    let mut dropped_attributes = 0;
    while let Some(field) = message.next()? {
        match field {
            (event::TIME_UNIX_NANO, Fixed64(time)) => time_ns = time,
            (event::NAME, Bytes(text)) => name = message.text(text)?,
            (event::ATTRIBUTES, Bytes(pair)) => {
                attribute(&message, event::ATTRIBUTES, pair, &mut attributes, spare)?;
            }
            (event::DROPPED_ATTRIBUTES_COUNT, Varint(count)) => dropped_attributes = uint32(count),
            (number, _) => message.skip(number, event::KNOWN)?,
        }
    }
    Ok(Event {
        time_ns,
        name: name.to_owned(),
        attributes,
        dropped_attributes,
    })
}

/// `None` for a link that names no span.
fn link(mut message: Message<'_>, spare: &mut Spare) -> Result<Option<Link>, WireError> {
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
    let mut trace_state = "";
    let mut flags = 0;
    let mut attributes = Attributes::default();
    let mut dropped_attributes = 0;
    while let Some(field) = message.next()? {
        match field {
            (link::TRACE_ID, Bytes(id)) => trace_id = id,
            (link::SPAN_ID, Bytes(id)) => span_id = id,
            (link::TRACE_STATE, Bytes(text)) => trace_state = message.text(text)?,
            (link::ATTRIBUTES, Bytes(pair)) => {
                attribute(&message, link::ATTRIBUTES, pair, &mut attributes, spare)?;
            }
            (link::DROPPED_ATTRIBUTES_COUNT, Varint(count)) => dropped_attributes = uint32(count),
            (link::FLAGS, Fixed32(number)) => flags = number,
            (number, _) => message.skip(number, link::KNOWN)?,
        }
    }
    let ids = TraceId::from_bytes(trace_id).zip(SpanId::from_bytes(span_id));
    Ok(ids.map(|(trace_id, span_id)| Link {
        trace_id,
        span_id,
        trace_state: trace_state.to_owned(),
        flags,
        attributes,
        dropped_attributes,
    }))
}
