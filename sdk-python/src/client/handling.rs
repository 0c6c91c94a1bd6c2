//! The span around a handler: `agent.on_event` and `agent.on_action`. Hot path for events.

use std::collections::HashMap;
use std::sync::Arc;

use loom_proto::TraceContext;
use loom_proto::semconv::{attribute as key, header, span};
use loom_proto::trace_context::tracestate_is_valid;
use loom_telemetry::record::FreeDetail;
use loom_telemetry::{SpanKind, Value, ids};

use pyo3::prelude::*;

use super::{Client, Event, Span};
use crate::otel::Parent;
use crate::span::{OnException, Preset, SpanStart};
use crate::stamp::Stamp;

impl Client {
    /// The span under which a handler runs: child of the delivery's context. Not recorded, but still the current context,
    /// where the trace is not sampled or nobody records.
    pub(super) fn event_span(&self, handled: &Bound<'_, Event>, stamp: Option<&Stamp>) -> Span {
        let event = handled.get();
        let layout = &event.delivery.layout;
        let tracestate = || {
            let text = event.tracestate();
            (!text.is_empty()).then(|| text.into())
        };
        let parent = layout.context.is_valid().then(|| Parent {
            context: layout.context,
            is_remote: true,
            tracestate: tracestate(),
        });
        let source = self.source.as_ref().filter(|s| s.is_of_this_process());
        let Some(source) = source else {
            return Span::passing(layout.context, true, tracestate());
        };
        // An unsampled parent is passed on as it is: no new id, no record.
        if parent.is_some() && !layout.context.is_sampled() {
            return Span::passing(layout.context, true, tracestate());
        }
        let context = source.decide_handler(parent.as_ref());
        if !context.is_sampled() {
            return Span::passing(context, false, tracestate());
        }
        let detail = FreeDetail {
            name: span::ON_EVENT.into(),
            tracestate: event.tracestate().to_owned(),
            ..FreeDetail::default()
        };
        let preset = Preset {
            agent: Arc::clone(&self.agent_id),
            pattern: self.patterns.get(&event.delivery.subscription).cloned(),
            event: handled.clone().unbind(),
        };
        let start = SpanStart {
            kind: SpanKind::Consumer,
            parent,
            start_unix_nano: ids::now_unix_nano(),
            on_exception: OnException::default(),
            preset: Some(preset),
            stamp: stamp.cloned(),
            detail,
        };
        Span::started(source.clone(), context, start)
    }

    /// The span under which a call is served: child of `broker.invoke`, whose context stands in the headers.
    pub(super) fn call_span(
        &self,
        capability: &str,
        caller: &str,
        headers: &HashMap<String, String>,
        stamp: Option<&Stamp>,
    ) -> Span {
        let header = |name| headers.get(name).map(String::as_str).unwrap_or_default();
        let context = TraceContext::parse(header(header::TRACEPARENT).as_bytes());
        let tracestate = header(header::TRACESTATE);
        let has_state =
            context.is_ok() && !tracestate.is_empty() && tracestate_is_valid(tracestate.as_bytes());
        let parent = context.ok().map(|context| Parent {
            context,
            is_remote: true,
            tracestate: has_state.then(|| tracestate.into()),
        });
        let pass = |parent: Option<Parent>| match parent {
            Some(parent) => Span::passing(parent.context, true, parent.tracestate),
            None => Span::passing(TraceContext::default(), false, None),
        };
        let source = self.source.as_ref().filter(|s| s.is_of_this_process());
        let Some(source) = source else {
            return pass(parent);
        };
        let context = source.decide_handler(parent.as_ref());
        if !context.is_sampled() {
            return pass(parent);
        }
        let agent = || Value::Shared(Arc::clone(&self.agent_id));
        let attributes = vec![
            (key::AGENT.into(), agent()),
            (key::CAPABILITY.into(), capability.to_owned().into()),
            (key::GEN_AI_OPERATION_NAME.into(), "execute_tool".into()),
            (key::GEN_AI_TOOL_NAME.into(), capability.to_owned().into()),
            (key::GEN_AI_AGENT_ID.into(), agent()),
            (key::GEN_AI_AGENT_NAME.into(), agent()),
            (key::CALLER.into(), caller.to_owned().into()),
        ];
        let start = SpanStart {
            kind: SpanKind::Server,
            parent,
            start_unix_nano: ids::now_unix_nano(),
            on_exception: OnException::default(),
            preset: None,
            stamp: stamp.cloned(),
            detail: FreeDetail {
                name: span::ON_ACTION.into(),
                attributes,
                tracestate: if has_state {
                    tracestate.to_owned()
                } else {
                    String::new()
                },
                ..FreeDetail::default()
            },
        };
        Span::started(source.clone(), context, start)
    }
}
