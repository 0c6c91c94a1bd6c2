//! The part of a span that is recorded.

use std::sync::Arc;

use loom_proto::trace_context::{SpanId, TraceContext};
use loom_telemetry::record::FreeDetail;
use loom_telemetry::{SpanDetail, SpanKind, SpanRecord, SpanStatus, Value, ids};
use parking_lot::Mutex;
use pyo3::prelude::*;

use super::Preset;
use crate::error::warn;
use crate::otel::Parent;
use crate::source::SpanSource;
use crate::stamp::Stamp;

/// See the module.
pub(super) struct Recording {
    pub(super) source: SpanSource,
    pub(super) parent: Option<Parent>,
    pub(super) kind: SpanKind,
    pub(super) start_unix_nano: u64,
    pub(super) on_exception: OnException,
    preset: Option<Preset>,
    pub(super) stamp: Option<Stamp>,
    body: Mutex<Body>,
}

/// What leaving the span by an exception does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnException {
    pub(crate) record: bool,
    pub(crate) set_status: bool,
}

/// What changes while the span lives.
pub(super) struct Body {
    /// Shared with the record of the span that has ended: nobody copies what it says.
    pub(super) detail: Arc<FreeDetail>,
    pub(super) status: SpanStatus,
    /// 0 while the span lives.
    pub(super) end_unix_nano: u64,
}

/// What a new span is made of.
pub(crate) struct SpanStart {
    pub(crate) kind: SpanKind,
    pub(crate) parent: Option<Parent>,
    pub(crate) start_unix_nano: u64,
    pub(crate) on_exception: OnException,
    pub(crate) preset: Option<Preset>,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) detail: FreeDetail,
}

impl Default for OnException {
    fn default() -> Self {
        Self {
            record: true,
            set_status: true,
        }
    }
}

impl Body {
    /// To be called while the span lives: then nobody else holds it, and nothing is copied.
    pub(super) fn detail_mut(&mut self) -> &mut FreeDetail {
        Arc::make_mut(&mut self.detail)
    }

    /// OTel: a status of Ok is final.
    pub(super) fn succeed(&mut self) {
        self.status = SpanStatus::Ok;
        self.detail_mut().status_message.clear();
    }

    pub(super) fn fail(&mut self, message: String) {
        if self.status != SpanStatus::Ok {
            self.status = SpanStatus::Error;
            self.detail_mut().status_message = message;
        }
    }
}

impl Recording {
    pub(super) fn new(source: SpanSource, start: SpanStart) -> Self {
        Self {
            source,
            parent: start.parent,
            kind: start.kind,
            start_unix_nano: start.start_unix_nano,
            on_exception: start.on_exception,
            preset: start.preset,
            stamp: start.stamp,
            body: Mutex::new(Body {
                detail: Arc::new(start.detail),
                status: SpanStatus::Unset,
                end_unix_nano: 0,
            }),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.body.lock().end_unix_nano == 0
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Body) -> T) -> T {
        read(&self.body.lock())
    }

    /// Changes a span that has not ended; warns with `what` when it has. The change must run no Python code: that might use
    /// this very span.
    pub(super) fn change(&self, py: Python<'_>, what: &str, change: impl FnOnce(&mut Body)) {
        if !self.change_if_live(change) {
            warn(py, what);
        }
    }

    /// The same without a warning; false when the span has ended.
    pub(super) fn change_if_live(&self, change: impl FnOnce(&mut Body)) -> bool {
        let mut body = self.body.lock();
        let is_live = body.end_unix_nano == 0;
        if is_live {
            change(&mut body);
        }
        is_live
    }

    /// Ends the span and records it; false when it had ended before.
    pub(super) fn finish(&self, context: TraceContext, end_unix_nano: Option<u64>) -> bool {
        let mut body = self.body.lock();
        if body.end_unix_nano != 0 {
            return false;
        }
        body.end_unix_nano = end_unix_nano
            .unwrap_or_else(ids::now_unix_nano)
            .max(self.start_unix_nano);
        self.complete(&mut body.detail_mut().attributes);
        let record = SpanRecord {
            context,
            parent_span_id: self
                .parent
                .as_ref()
                .map_or_else(SpanId::default, |parent| parent.context.span_id),
            parent_is_remote: self.parent.as_ref().is_some_and(|p| p.is_remote),
            kind: self.kind,
            status: body.status,
            start_unix_nano: self.start_unix_nano,
            end_unix_nano: body.end_unix_nano,
            detail: SpanDetail::Free(Arc::clone(&body.detail)),
        };
        drop(body);
        self.source.record(record);
        true
    }

    /// All of the attributes, for whoever reads them before or after the end.
    pub(super) fn attributes(&self, body: &Body) -> Vec<(Value, Value)> {
        let mut attributes = body.detail.attributes.clone();
        if body.end_unix_nano == 0 {
            self.complete(&mut attributes);
        }
        attributes
    }

    /// Adds to what was set on the span itself what it was begun with, and then the identity of its context. A key is there
    /// once, with the first of its values.
    fn complete(&self, attributes: &mut Vec<(Value, Value)>) {
        if let Some(preset) = &self.preset {
            let set = std::mem::replace(attributes, preset.attributes());
            attributes.retain(|(key, _)| !has(&set, key));
            attributes.extend(set);
        }
        let stamp = self.stamp.as_ref().map_or(&[][..], Stamp::attributes);
        let agent = self.source.agent().map_or(&[][..], std::slice::from_ref);
        attributes.reserve(stamp.len() + agent.len());
        add_missing(attributes, stamp);
        add_missing(attributes, agent);
    }
}

fn add_missing(all: &mut Vec<(Value, Value)>, others: &[(Value, Value)]) {
    let first = all.len();
    for (key, value) in others {
        if !has(&all[..first], key) {
            all.push((key.clone(), value.clone()));
        }
    }
}

/// Compares keys as texts: a constant and a `String` may spell the same one.
fn has(attributes: &[(Value, Value)], key: &Value) -> bool {
    attributes
        .iter()
        .any(|(other, _)| other.as_str() == key.as_str())
}
