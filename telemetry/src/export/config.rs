//! Where an exporter sends, how, and how much may wait.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};

/// How a collector is reached.
#[derive(Clone)]
pub struct ExporterConfig {
    /// Transport and encoding.
    pub protocol: Protocol,
    /// `http://` or `https://` with host and, where it is not the scheme's own, port. For [`Protocol::HttpProtobuf`] with
    /// the whole path; gRPC has a path of its own and ignores this one.
    pub endpoint: Uri,
    /// Sent with every request, for keys and tenants. Never logged.
    pub headers: HeaderMap,
    /// Longest time that one attempt may take, connecting included.
    pub timeout: Duration,
    /// What is done to the body.
    pub compression: Compression,
    /// Certificates for `https://`.
    pub tls: TlsFiles,
    /// How many requests may be under way at once.
    pub in_flight: usize,
    /// Bytes of requests that may wait for the collector, those under way included. What comes beyond them is dropped.
    pub backlog_bytes: usize,
    /// How long spans wait for a collector that is away, from the moment at which they were handed over.
    pub backlog_age: Duration,
    /// The pause after the first failure; it doubles with each further one.
    pub backoff_initial: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

/// OTLP's transports, as far as they are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    HttpProtobuf,
}

/// Compression of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// `none`: right for a collector on the same machine.
    #[default]
    None,
    /// `gzip`
    Gzip,
}

/// PEM files for `https://`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that the collector's is verified with, in place of those of the operating system.
    pub certificate: Option<PathBuf>,
    /// Key of the client's own certificate.
    pub client_key: Option<PathBuf>,
    /// The client's own certificate, for collectors that ask for one.
    pub client_certificate: Option<PathBuf>,
}

/// The exporter's settings are not usable. Telemetry must not stop a program: warn once and go on without the export.
#[derive(Debug, thiserror::Error)]
pub enum ExporterConfigError {
    /// A variable holds none of the values that it may hold.
    #[error("{variable}={value} is not known here: use {expected}")]
    Value {
        /// Name of the variable.
        variable: String,
        /// What it held.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// The endpoint is no usable URL; it may hold a secret and is not shown.
    #[error("{variable} is not usable: {reason}; write it as http://host:port")]
    Endpoint {
        /// Name of the variable.
        variable: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Headers are secrets and not shown.
    #[error("{variable} is not usable: {reason}")]
    Headers {
        /// Name of the variable.
        variable: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A PEM file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificates cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Port of OTLP/gRPC.
pub(super) const GRPC_ENDPOINT: &str = "http://localhost:4317";
/// Port of OTLP/HTTP, without the path of a signal.
pub(super) const HTTP_ENDPOINT: &str = "http://localhost:4318";
/// Path of the traces below a general HTTP endpoint.
pub(super) const HTTP_PATH: &str = "v1/traces";

impl ExporterConfig {
    /// The defaults for this endpoint.
    pub fn new(protocol: Protocol, endpoint: Uri) -> Self {
        Self {
            protocol,
            endpoint,
            headers: HeaderMap::new(),
            timeout: Duration::from_secs(10),
            compression: Compression::None,
            tls: TlsFiles::default(),
            in_flight: 2,
            backlog_bytes: 64 << 20,
            backlog_age: Duration::from_secs(60),
            backoff_initial: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }

    /// The endpoint for people: where, and nothing that might be a secret.
    pub fn address(&self) -> String {
        let scheme = self.endpoint.scheme_str().unwrap_or("http");
        let host = self.endpoint.host().unwrap_or_default();
        match self.endpoint.port() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

impl Default for ExporterConfig {
    fn default() -> Self {
        Self::new(Protocol::Grpc, Uri::from_static(GRPC_ENDPOINT))
    }
}

/// Without the headers' values.
impl fmt::Debug for ExporterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.keys().map(http::HeaderName::as_str).collect();
        f.debug_struct("ExporterConfig")
            .field("protocol", &self.protocol)
            .field("endpoint", &self.address())
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("tls", &self.tls)
            .field("in_flight", &self.in_flight)
            .field("backlog_bytes", &self.backlog_bytes)
            .field("backlog_age", &self.backlog_age)
            .finish_non_exhaustive()
    }
}
