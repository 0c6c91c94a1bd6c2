//! The attributes of `agent.on_event`, made of the event when they are needed: once, at the end, for most spans.

use std::sync::Arc;

use loom_proto::EventId;
use loom_proto::semconv::attribute as key;
use loom_telemetry::Value;
use pyo3::Py;

use crate::event::Event;
use crate::value;

/// What the attributes are made of.
pub(crate) struct Preset {
    pub(crate) agent: Arc<str>,
    pub(crate) pattern: Option<Arc<str>>,
    pub(crate) event: Py<Event>,
}

impl Preset {
    /// The attributes, with room for some more.
    pub(super) fn attributes(&self) -> Vec<(Value, Value)> {
        let event = self.event.get();
        let layout = &event.delivery.layout;
        let agent = Value::Shared(Arc::clone(&self.agent));
        let topic = Value::Shared(Arc::clone(&event.topic_text));
        let id = EventId(layout.id).to_text();
        let id = Value::Shared(std::str::from_utf8(&id).unwrap_or_default().into());
        let mut attributes = Vec::with_capacity(20);
        attributes.extend([
            (key::AGENT.into(), agent.clone()),
            (key::EVENT.into(), id.clone()),
            (key::TOPIC.into(), topic.clone()),
            (key::MESSAGING_SYSTEM.into(), "loom".into()),
            (key::MESSAGING_DESTINATION.into(), topic),
            (key::MESSAGING_MESSAGE_ID.into(), id),
            (key::MESSAGING_OPERATION_NAME.into(), "on_event".into()),
            (key::MESSAGING_OPERATION_TYPE.into(), "process".into()),
            (key::MESSAGING_CLIENT_ID.into(), agent.clone()),
            (
                key::MESSAGING_BODY_SIZE.into(),
                value::size(event.payload().len()),
            ),
            (key::GEN_AI_OPERATION_NAME.into(), "invoke_agent".into()),
            (key::GEN_AI_AGENT_ID.into(), agent.clone()),
            (key::GEN_AI_AGENT_NAME.into(), agent),
        ]);
        if let Some(pattern) = &self.pattern {
            let pattern = Value::Shared(Arc::clone(pattern));
            attributes.push((key::MESSAGING_SUBSCRIPTION.into(), pattern));
        }
        let mut text = |key: &'static str, text: &str| {
            if !text.is_empty() {
                attributes.push((key.into(), text.to_owned().into()));
            }
        };
        text(key::EVENT_TYPE, event.r#type());
        text(key::THREAD_ID, event.thread_id());
        text(key::MESSAGING_CONVERSATION_ID, event.thread_id());
        text(key::CORRELATION_ID, event.correlation_id());
        if event.delivery.attempt > 1 {
            attributes.push((
                key::MESSAGING_DELIVERY_ATTEMPT.into(),
                Value::Int(i64::from(event.delivery.attempt)),
            ));
        }
        attributes
    }
}
