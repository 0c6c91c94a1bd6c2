//! Whom a span is about, from the attributes that say so under their many names.

use loom_proto::wire::Value::Bytes;

use super::message::Message;
use super::spare::Spare;
use super::value::{key, pair};
use crate::model::{Attributes, Identity, Value};
use crate::otlp::number::span;
use crate::otlp::wire::WireError;

/// What these attributes say. Of several for one thing the first counts that has a value.
pub(super) fn identity(attributes: &Attributes, spare: &mut Spare) -> Identity {
    let mut found = Identity::default();
    for (key, value) in attributes.iter() {
        if let Some(place @ None) = place(&mut found, key.as_bytes()) {
            *place = match value {
                Value::Empty => None,
                Value::String(text) => Some(spare.own(text)),
                value => Some(value.to_text()),
            };
        }
    }
    found
}

/// Of a span its ids, and what its attributes say.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    pub(super) parent_span_id: &'a [u8],
    pub(super) identity: Identity,
}

impl<'a> Said<'a> {
    /// Reads nothing else of the span.
    pub(super) fn read(mut message: Message<'a>, spare: &mut Spare) -> Result<Self, WireError> {
        let mut said = Self::default();
        while let Some(field) = message.next()? {
            match field {
                (span::TRACE_ID, Bytes(id)) => said.trace_id = id,
                (span::SPAN_ID, Bytes(id)) => said.span_id = id,
                (span::PARENT_SPAN_ID, Bytes(id)) => said.parent_span_id = id,
                (span::ATTRIBUTES, Bytes(pair)) => said.attribute(message.inner(pair)?, spare)?,
                _ => {}
            }
        }
        Ok(said)
    }

    fn attribute(&mut self, message: Message<'a>, spare: &mut Spare) -> Result<(), WireError> {
        if let Some(place @ None) = place(&mut self.identity, key(message.clone())?) {
            let (key, value) = pair(message, spare)?;
            spare.take(key);
            *place = match value {
                Value::Empty => None,
                Value::String(text) => Some(text),
                value => Some(value.to_text()),
            };
        }
        Ok(())
    }
}

/// What an attribute of this key says.
fn place<'i>(identity: &'i mut Identity, key: &[u8]) -> Option<&'i mut Option<String>> {
    // Most keys are none of them, and pay for a look at their end.
    if !key.ends_with(b"id") {
        return None;
    }
    Some(match key {
        b"agent.id" | b"agent_id" | b"gen_ai.agent.id" => &mut identity.agent,
        b"workflow.id" | b"workflow_id" | b"gen_ai.workflow.id" => &mut identity.workflow,
        b"session.id" | b"session_id" => &mut identity.session,
        b"user.id" | b"user_id" | b"enduser.id" => &mut identity.user,
        b"tenant.id" | b"tenant_id" => &mut identity.tenant,
        b"thread_id" | b"gen_ai.conversation.id" => &mut identity.thread,
        _ => return None,
    })
}

/// What the span does not say, its process says: it may name the agent once for all spans.
pub(super) fn or(span: Identity, process: &Identity, spare: &mut Spare) -> Identity {
    let mut or = |said: Option<String>, process: &Option<String>| {
        said.or_else(|| process.as_deref().map(|text| spare.own(text)))
    };
    Identity {
        agent: or(span.agent, &process.agent),
        workflow: or(span.workflow, &process.workflow),
        session: or(span.session, &process.session),
        user: or(span.user, &process.user),
        tenant: or(span.tenant, &process.tenant),
        thread: or(span.thread, &process.thread),
    }
}
