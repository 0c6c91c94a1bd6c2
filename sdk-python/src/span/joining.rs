//! Fan-in: the span of a handler whose work joins several events is linked to the delivery of each.

use loom_proto::EventId;
use loom_proto::semconv::attribute as key;
use loom_telemetry::Value;
use loom_telemetry::record::SpanLink;
use pyo3::prelude::*;

use super::{Span, push_bounded};
use crate::event::Event;

/// Links a span to the delivery that brought an event. An event without a trace has nothing to link to, and a span that has
/// ended stays as it is: its handler left before what it waited for was over.
#[pyfunction]
#[pyo3(signature = (span, event, is_last, /))]
pub(crate) fn link_event(span: &Span, event: &Event, is_last: bool) {
    let layout = &event.delivery.layout;
    let Some(recording) = &span.recording else {
        return;
    };
    if !layout.context.is_valid() {
        return;
    }
    let id = EventId(layout.id).to_string();
    let mut attributes = vec![(key::EVENT.into(), id.into())];
    if is_last {
        attributes.push((key::JOIN_LAST.into(), Value::Bool(true)));
    }
    let link = SpanLink {
        context: layout.context,
        tracestate: event.tracestate().to_owned(),
        attributes,
    };
    let limit = recording.source.limits().links;
    recording.change_if_live(|body| {
        let detail = body.detail_mut();
        push_bounded(&mut detail.links, &mut detail.dropped_links, limit, link);
    });
}
