//! Span recording for the hot path, and what happens to spans until they have left the process.
//!
//! A span of the bus is one [`SpanRecord`] of fixed size, pushed into a sharded, bounded buffer ([`Recorder`]). A
//! background thread drains the buffers, writes OTLP directly ([`otlp`]) and hands the finished requests to
//! [`sink`]s: the store in process, or a collector. What cannot be kept is counted with a reason, never lost in
//! silence.
//!
//! | file | room |
//! | --- | --- |
//! | [`record`] | what a span is |
//! | [`recorder`] | where it waits |
//! | [`sampler`] | whether it is recorded at all |
//! | [`ids`] | trace and span ids, the clock |
//! | [`resource`] | whose spans they are |
//! | [`otlp`] | how it is written |
//! | [`pipeline`] | the thread between recorder and sinks |
//! | [`sink`] | where they go, and the books about it |
//! | `export` | OTLP to a collector, with feature `export` |

mod drainer;
mod env;
#[cfg(feature = "export")]
pub mod export;
pub mod ids;
pub mod otlp;
pub mod pipeline;
mod pressure;
pub mod record;
pub mod recorder;
pub mod resource;
pub mod sampler;
pub mod sink;

pub use drainer::Drainer;
#[cfg(feature = "export")]
pub use export::{Exporter, ExporterConfig};
pub use pipeline::{FlushReport, Pipeline, PipelineConfig, PipelineStats};
pub use record::{
    FreeDetail, MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanRecord, SpanStatus,
    SubscriptionName, Value,
};
pub use recorder::{Recorder, RecorderConfig, RecorderStats};
pub use sampler::Sampler;
pub use sink::{DropReason, SpanBatch, SpanSink};
