//! From `tracing` spans of the control plane to span records.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};
use loom_telemetry::record::{SpanEvent, SpanLink};
use loom_telemetry::sampler::RootSampler;
use loom_telemetry::{
    FreeDetail, Recorder, Sampler, SpanDetail, SpanKind, SpanRecord, SpanStatus, Value,
};
use opentelemetry::trace::{SpanContext, Status, TracerProvider};
use opentelemetry::{Array, Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler as SdkSampler, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// The bits of the flags that W3C defines: `sampled` and `random`.
const W3C_FLAGS: u8 = 0x03;

/// Records control-plane spans as soon as there is a recorder. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ControlPlane {
    recorder: Arc<OnceLock<Recorder>>,
    sampler: Sampler,
}

impl ControlPlane {
    /// Spans are sampled as `sampler` says.
    pub fn new(sampler: Sampler) -> Self {
        Self {
            recorder: Arc::default(),
            sampler,
        }
    }

    /// From now on spans that end are recorded; those that ended before are gone. Only the first recorder counts.
    pub fn attach(&self, recorder: Recorder) {
        if self.recorder.set(recorder).is_err() {
            tracing::debug!("control-plane spans have a recorder already");
        }
    }

    /// The layer that makes OTel spans of `tracing` spans.
    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::Tracer>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let root = match self.sampler.root {
            RootSampler::AlwaysOn => SdkSampler::AlwaysOn,
            RootSampler::AlwaysOff => SdkSampler::AlwaysOff,
            RootSampler::Ratio(ratio) => SdkSampler::TraceIdRatioBased(ratio),
        };
        let builder = SdkTracerProvider::builder().with_span_processor(self.clone());
        let provider = if self.sampler.parent_based {
            builder.with_sampler(SdkSampler::parent_based(root)).build()
        } else {
            builder.with_sampler(root).build()
        };
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_tracer(provider.tracer(loom_proto::semconv::SCOPE))
    }
}

impl SpanProcessor for ControlPlane {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Some(recorder) = self.recorder.get()
            && span.span_context.is_sampled()
        {
            recorder.record(record(span));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Nothing of a span is lost on the way; its resource is the recorder's.
fn record(span: SpanData) -> SpanRecord {
    let start_unix_nano = nanos(span.start_time);
    let (status, status_message) = match span.status {
        Status::Unset => (SpanStatus::Unset, String::new()),
        Status::Ok => (SpanStatus::Ok, String::new()),
        Status::Error { description } => (SpanStatus::Error, description.into_owned()),
    };
    SpanRecord {
        context: context(&span.span_context),
        parent_span_id: SpanId(span.parent_span_id.to_bytes()),
        parent_is_remote: span.parent_span_is_remote,
        kind: kind(&span.span_kind),
        status,
        start_unix_nano,
        end_unix_nano: nanos(span.end_time).max(start_unix_nano),
        detail: SpanDetail::Free(Arc::new(FreeDetail {
            name: span.name.into_owned().into(),
            attributes: attributes(span.attributes),
            dropped_events: span.events.dropped_count,
            events: span
                .events
                .events
                .into_iter()
                .map(|event| SpanEvent {
                    name: event.name.into_owned().into(),
                    time_unix_nano: nanos(event.timestamp),
                    attributes: attributes(event.attributes),
                })
                .collect(),
            dropped_links: span.links.dropped_count,
            links: span
                .links
                .links
                .into_iter()
                .map(|link| SpanLink {
                    context: context(&link.span_context),
                    tracestate: link.span_context.trace_state().header(),
                    attributes: attributes(link.attributes),
                })
                .collect(),
            status_message,
            tracestate: span.span_context.trace_state().header(),
            dropped_attributes: span.dropped_attributes_count,
            ..FreeDetail::default()
        })),
    }
}

fn context(span: &SpanContext) -> TraceContext {
    TraceContext {
        trace_id: TraceId(span.trace_id().to_bytes()),
        span_id: SpanId(span.span_id().to_bytes()),
        flags: TraceFlags(span.trace_flags().to_u8() & W3C_FLAGS),
    }
}

fn kind(kind: &opentelemetry::trace::SpanKind) -> SpanKind {
    use opentelemetry::trace::SpanKind as Kind;
    match kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Vec<(Value, Value)> {
    pairs
        .into_iter()
        .map(|pair| (pair.key.as_str().to_owned().into(), value(pair.value)))
        .collect()
}

fn value(value: opentelemetry::Value) -> Value {
    use opentelemetry::Value as Foreign;
    match value {
        Foreign::Bool(truth) => truth.into(),
        Foreign::I64(number) => number.into(),
        Foreign::F64(number) => number.into(),
        Foreign::String(text) => text.as_str().to_owned().into(),
        Foreign::Array(Array::Bool(list)) => {
            Value::Array(list.into_iter().map(Value::from).collect())
        }
        Foreign::Array(Array::I64(list)) => {
            Value::Array(list.into_iter().map(Value::from).collect())
        }
        Foreign::Array(Array::F64(list)) => {
            Value::Array(list.into_iter().map(Value::from).collect())
        }
        Foreign::Array(Array::String(list)) => Value::Array(
            list.into_iter()
                .map(|text| text.as_str().to_owned().into())
                .collect(),
        ),
        // The API may grow kinds of values; their text is better than nothing.
        other => other.as_str().into_owned().into(),
    }
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use loom_telemetry::RecorderConfig;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn recorded(sampler: Sampler, run: impl FnOnce()) -> Vec<SpanRecord> {
        let control_plane = ControlPlane::new(sampler);
        let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
        control_plane.attach(recorder.clone());
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(control_plane.layer()),
            run,
        );
        let mut spans = Vec::new();
        recorder.drain(&mut spans);
        spans
    }

    #[test]
    fn a_tracing_span_becomes_a_record_under_its_parent() {
        let spans = recorded(Sampler::default(), || {
            tracing::info_span!("outer", count = 3, good = true).in_scope(|| {
                tracing::info_span!("inner").in_scope(|| tracing::error!(code = 7, "went wrong"));
            });
        });
        let [inner, outer] = &*spans else {
            panic!("{} spans", spans.len())
        };
        assert_eq!(inner.parent_span_id, outer.context.span_id);
        assert_eq!(inner.context.trace_id, outer.context.trace_id);
        assert!(outer.is_root() && outer.end_unix_nano >= inner.end_unix_nano);
        let SpanDetail::Free(detail) = &outer.detail else {
            panic!("no free detail")
        };
        assert_eq!(detail.name.as_str(), Some("outer"));
        assert!(
            detail
                .attributes
                .contains(&("count".to_owned().into(), 3_i64.into()))
        );
        assert!(
            detail
                .attributes
                .contains(&("good".to_owned().into(), true.into()))
        );
        let SpanDetail::Free(detail) = &inner.detail else {
            panic!("no free detail")
        };
        assert_eq!(detail.events[0].name.as_str(), Some("went wrong"));
        assert_eq!(inner.status, SpanStatus::Error);
    }

    #[test]
    fn what_is_not_sampled_is_not_recorded() {
        let off = Sampler {
            parent_based: true,
            root: RootSampler::AlwaysOff,
        };
        assert!(recorded(off, || tracing::info_span!("work").in_scope(|| {})).is_empty());
    }
}
