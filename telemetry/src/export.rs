//! Spans to a collector, by OTLP over gRPC or HTTP.
//!
//! The exporter is a [`SpanSink`]: a request that it is given waits in a backlog, bounded by bytes and by age, until
//! the collector has it. Failures that OTLP calls retryable are retried with exponential backoff and jitter, or when
//! the collector says; others are dropped. A collector that is away costs one warning in the log and counted drops,
//! nothing else: no caller ever waits for it.

mod backlog;
mod backoff;
mod config;
pub mod env;
mod grpc;
mod http;
mod outcome;
mod run;
mod tls;
mod voice;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::sink::{DropReason, SpanBatch, SpanSink};
use backlog::Backlog;
pub use config::{Compression, ExporterConfig, ExporterConfigError, Protocol, TlsFiles};
use grpc::GrpcTransport;
use http::HttpTransport;
use outcome::{Accepted, Refusal};

/// A sink that sends to a collector. Dropping it drops and counts what the collector does not have yet.
pub struct Exporter {
    backlog: Arc<Backlog>,
}

#[derive(Clone)]
enum Transport {
    Grpc(Box<GrpcTransport>),
    Http(Box<HttpTransport>),
}

const USER_AGENT: &str = concat!("loom/", env!("CARGO_PKG_VERSION"));
/// An answer says how many spans were rejected, and why, in a few words.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

impl Exporter {
    /// Starts exporting on `runtime`; connects with the first request. The caller may be outside of the runtime.
    ///
    /// # Errors
    /// Certificates that cannot be read or used.
    pub fn start(config: ExporterConfig, runtime: &Handle) -> Result<Self, ExporterConfigError> {
        let _context = runtime.enter();
        let transport = match config.protocol {
            Protocol::Grpc => Transport::Grpc(Box::new(GrpcTransport::new(&config)?)),
            Protocol::HttpProtobuf => Transport::Http(Box::new(HttpTransport::new(&config)?)),
        };
        let backlog = Arc::new(Backlog::new(config.backlog_bytes, config.backlog_age));
        runtime.spawn(run::run(Arc::clone(&backlog), transport, config));
        Ok(Self { backlog })
    }
}

impl SpanSink for Exporter {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn export(&mut self, batch: SpanBatch) {
        self.backlog.push(batch);
    }

    fn hurry(&mut self) {
        self.backlog.hurry();
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.backlog.close(DropReason::Shutdown);
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl Transport {
    async fn send(&self, request: Bytes, limit: Duration) -> Result<Accepted, Refusal> {
        let attempt = async {
            match self {
                Self::Grpc(grpc) => grpc.send(request).await,
                Self::Http(http) => http.send(request).await,
            }
        };
        tokio::time::timeout(limit, attempt)
            .await
            .unwrap_or_else(|_| Err(Refusal::timeout(limit)))
    }
}
