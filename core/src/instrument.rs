//! The only file of the core that opens spans.
//!
//! A hop is two calls: [`Tracer::start`] takes the parent's context *by value* and gives the context to hand on;
//! [`Tracer::end`] records. Nothing is entered, so nothing can stay entered over an await. Under an unsampled parent
//! the context is handed on as it came and nothing else happens.

use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};
use loom_telemetry::{Recorder, Sampler, SpanDetail, SpanKind, SpanRecord, SpanStatus, ids};
use opentelemetry::trace::TraceContextExt;

/// Makes the spans of the bus, the broker and the bridge.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    recorder: Option<Recorder>,
    sampler: Sampler,
}

/// A span that has begun, or the place where one would stand.
#[derive(Clone, Copy, Debug)]
#[must_use = "end it, or its children become orphans"]
pub struct HopSpan {
    context: TraceContext,
    begun: Option<Begun>,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    parent: SpanId,
    parent_is_remote: bool,
    start_unix_nano: u64,
}

impl Tracer {
    /// Records into `recorder`; `sampler` decides where a trace begins here.
    pub fn new(recorder: Recorder, sampler: Sampler) -> Self {
        Self {
            recorder: Some(recorder),
            sampler,
        }
    }

    /// Records nothing and passes every context on.
    pub fn off() -> Self {
        Self::default()
    }

    /// False while the buffers of spans are nearly full. Who can wait does so before the next event, by
    /// [`Tracer::room`], so that its trace has no holes.
    pub fn has_room(&self) -> bool {
        self.recorder.as_ref().is_none_or(Recorder::has_room)
    }

    /// Waits for room as [`Recorder::room`] does; ready at once where nothing is recorded.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn room(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.room().await;
        }
    }

    /// Records a span that was not begun here: one that stands in the place of a lost one. Waits for [room](Self::room).
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready drops the span.
    pub async fn record(&self, span: SpanRecord) {
        if let Some(recorder) = &self.recorder {
            recorder.room().await;
            recorder.record(span);
        }
    }

    /// Begins a hop under `parent`, or a new trace where there is none.
    pub fn start(&self, parent: Option<TraceContext>, parent_is_remote: bool) -> HopSpan {
        if self.recorder.is_none() {
            return HopSpan {
                context: parent.unwrap_or_default(),
                begun: None,
            };
        }
        match parent {
            Some(parent) if !self.sampler.samples_child(&parent) => {
                let flags = parent.flags.with_sampled(false);
                HopSpan {
                    context: TraceContext { flags, ..parent },
                    begun: None,
                }
            }
            Some(parent) => {
                let context = TraceContext {
                    flags: parent.flags.with_sampled(true),
                    ..parent.child(ids::new_span_id())
                };
                HopSpan::begin(context, parent.span_id, parent_is_remote)
            }
            None => {
                let root = ids::new_root(true);
                if self.sampler.samples_root(root.trace_id) {
                    HopSpan::begin(root, SpanId::default(), false)
                } else {
                    let context = TraceContext {
                        flags: root.flags.with_sampled(false),
                        ..root
                    };
                    HopSpan {
                        context,
                        begun: None,
                    }
                }
            }
        }
    }

    /// Records the hop; `detail` is made only where somebody will read it.
    pub fn end(
        &self,
        span: HopSpan,
        kind: SpanKind,
        status: SpanStatus,
        detail: impl FnOnce() -> SpanDetail,
    ) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let Some(begun) = span.begun else {
            recorder.sampled_out();
            return;
        };
        recorder.record(SpanRecord {
            context: span.context,
            parent_span_id: begun.parent,
            parent_is_remote: begun.parent_is_remote,
            kind,
            status,
            start_unix_nano: begun.start_unix_nano,
            // The wall clock may step back; a span may not.
            end_unix_nano: ids::now_unix_nano().max(begun.start_unix_nano),
            detail: detail(),
        });
    }
}

impl HopSpan {
    fn begin(context: TraceContext, parent: SpanId, parent_is_remote: bool) -> Self {
        let begun = Begun {
            parent,
            parent_is_remote,
            start_unix_nano: ids::now_unix_nano(),
        };
        Self {
            context,
            begun: Some(begun),
        }
    }

    /// What the next hop has as its parent. `None` where tracing is off and no context came in.
    pub fn context(&self) -> Option<TraceContext> {
        self.context.is_valid().then_some(self.context)
    }

    /// Its parent; all zero for a root, and where nothing is recorded.
    pub fn parent(&self) -> SpanId {
        self.begun
            .map_or_else(SpanId::default, |begun| begun.parent)
    }

    /// When it began, in nanoseconds since the Unix epoch; 0 when it is not recorded.
    pub fn start_unix_nano(&self) -> u64 {
        self.begun.map_or(0, |begun| begun.start_unix_nano)
    }

    /// Whether the span will be recorded.
    pub fn is_recording(&self) -> bool {
        self.begun.is_some()
    }
}

/// The context of the span that the calling Rust code runs in, as the OTel API and `tracing-opentelemetry` set it.
pub fn current_context() -> Option<TraceContext> {
    opentelemetry::Context::map_current(|current| {
        let span = current.span();
        let span = span.span_context();
        span.is_valid().then(|| TraceContext {
            trace_id: TraceId(span.trace_id().to_bytes()),
            span_id: SpanId(span.span_id().to_bytes()),
            flags: TraceFlags(span.trace_flags().to_u8() & 3),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom_telemetry::sampler::RootSampler;
    use loom_telemetry::{FreeDetail, RecorderConfig};

    use super::*;

    fn tracer(root: RootSampler) -> (Tracer, Recorder) {
        let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
        (
            Tracer::new(
                recorder.clone(),
                Sampler {
                    parent_based: true,
                    root,
                },
            ),
            recorder,
        )
    }

    fn end(tracer: &Tracer, span: HopSpan) {
        tracer.end(span, SpanKind::Internal, SpanStatus::Unset, || {
            SpanDetail::Free(Arc::new(FreeDetail {
                name: "hop".into(),
                ..FreeDetail::default()
            }))
        });
    }

    #[test]
    fn a_child_stays_in_its_trace_and_under_its_parent() {
        let (tracer, recorder) = tracer(RootSampler::AlwaysOn);
        let parent = ids::new_root(true);
        let span = tracer.start(Some(parent), true);
        end(&tracer, span);
        let mut spans = Vec::new();
        recorder.drain(&mut spans);
        assert_eq!(spans[0].context, span.context().expect("recording"));
        assert_eq!(spans[0].context.trace_id, parent.trace_id);
        assert_eq!(spans[0].context.flags, parent.flags);
        assert_ne!(spans[0].context.span_id, parent.span_id);
        assert_eq!(spans[0].parent_span_id, parent.span_id);
        assert!(spans[0].end_unix_nano >= spans[0].start_unix_nano);
    }

    #[test]
    fn an_unsampled_parent_is_handed_on_untouched() {
        let (tracer, recorder) = tracer(RootSampler::AlwaysOn);
        let parent = ids::new_root(false);
        let span = tracer.start(Some(parent), true);
        assert_eq!(span.context(), Some(parent));
        tracer.end(span, SpanKind::Internal, SpanStatus::Unset, || {
            unreachable!("no detail for an unsampled span")
        });
        let stats = recorder.stats();
        assert_eq!((stats.recorded, stats.sampled_out), (0, 1));
    }

    #[test]
    fn no_parent_begins_a_trace_as_the_sampler_says() {
        let (on, recorder) = tracer(RootSampler::AlwaysOn);
        let root = on.start(None, false);
        assert!(root.context().expect("a context").is_sampled());
        end(&on, root);
        assert_eq!(recorder.stats().recorded, 1);

        let (off, recorder) = tracer(RootSampler::AlwaysOff);
        let root = off.start(None, false);
        assert!(!root.context().expect("a context").is_sampled());
        end(&off, root);
        assert_eq!(recorder.stats().recorded, 0);
    }

    #[test]
    fn without_a_recorder_contexts_pass_through() {
        assert_eq!(Tracer::off().start(None, false).context(), None);
        let parent = ids::new_root(true);
        assert_eq!(
            Tracer::off().start(Some(parent), true).context(),
            Some(parent)
        );
    }
}
