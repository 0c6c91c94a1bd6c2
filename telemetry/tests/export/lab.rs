//! A pipeline with an exporter, and a runtime for it that is not the test's own thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom_telemetry::export::{Exporter, ExporterConfig, Protocol};
use loom_telemetry::record::{FreeDetail, SpanDetail};
use loom_telemetry::{
    FlushReport, Pipeline, PipelineConfig, Recorder, SpanKind, SpanRecord, SpanStatus, ids,
};
use tokio::runtime::{Builder, Runtime};

use crate::log;

/// Long enough for any machine; a test that needs it fails anyway.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Lab {
    pub(crate) runtime: Option<Runtime>,
    pub(crate) pipeline: Pipeline,
    recorder: Recorder,
}

pub(crate) fn runtime() -> Runtime {
    log::listen();
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Quick pauses, or tests would wait for them.
pub(crate) fn config(protocol: Protocol, authority: impl std::fmt::Display) -> ExporterConfig {
    let path = match protocol {
        Protocol::Grpc => "",
        Protocol::HttpProtobuf => "/v1/traces",
    };
    let endpoint = format!("http://{authority}{path}");
    ExporterConfig {
        backoff_initial: Duration::from_millis(1),
        backoff_max: Duration::from_millis(20),
        ..ExporterConfig::new(protocol, endpoint.parse().expect("a URL"))
    }
}

impl Lab {
    /// Ten spans make a request, and nothing is exported unless a test asks for it.
    pub(crate) fn new(runtime: Runtime, config: ExporterConfig) -> Self {
        let exporter = Exporter::start(config, runtime.handle()).expect("usable settings");
        let pipeline = PipelineConfig {
            interval: Duration::from_secs(3600),
            batch_spans: 10,
            ..PipelineConfig::default()
        };
        let pipeline = Pipeline::start(vec![Box::new(exporter)], pipeline).expect("a thread");
        let recorder = pipeline.recorder(vec![("service.name".into(), "lab".into())]);
        Self {
            runtime: Some(runtime),
            pipeline,
            recorder,
        }
    }

    /// Records spans that are named by their numbers.
    pub(crate) fn record(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.recorder.record(SpanRecord {
                context: ids::new_root(true),
                parent_span_id: loom_proto::SpanId::default(),
                parent_is_remote: false,
                kind: SpanKind::Internal,
                status: SpanStatus::Unset,
                start_unix_nano: 1,
                end_unix_nano: 2,
                detail: SpanDetail::Free(Arc::new(FreeDetail {
                    name: number.to_string().into(),
                    ..FreeDetail::default()
                })),
            });
        }
    }

    pub(crate) fn flush(&self) -> FlushReport {
        let report = self.pipeline.flush(Instant::now() + PATIENCE);
        assert!(report.is_complete, "{report}");
        assert!(report.stats.is_balanced(), "{report}");
        report
    }

    /// A flush that may well not succeed, but hands over all that is recorded.
    pub(crate) fn hand_over(&self) {
        let _report = self.pipeline.flush(Instant::now());
        while self.pipeline.stats().waiting > 0 {
            std::thread::yield_now();
        }
    }

    pub(crate) fn shutdown(&self, limit: Duration) -> FlushReport {
        let report = self.pipeline.shutdown(Instant::now() + limit);
        assert!(report.stats.is_balanced(), "{report}");
        report
    }
}

/// Waits until the predicate holds.
pub(crate) fn eventually(what: &str, mut predicate: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !predicate() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
