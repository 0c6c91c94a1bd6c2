//! Settings of the trace store and its doors, with their defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spool::SpoolConfig;
use crate::store::Retention;

/// Settings of a [`crate::TraceStore`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the database and the spool live. Used by one process at a time.
    pub data_dir: PathBuf,
    /// Use a temporary directory instead, and remove it at the end.
    pub ephemeral: bool,
    /// The log between the doors and the database.
    pub spool: SpoolConfig,
    /// How long spans are kept.
    pub retention: Retention,
    /// The indexer waits this long for more spans before it starts a transaction, in ms. A span can be queried after
    /// about this time.
    pub linger_ms: u64,
    /// Connections for queries.
    pub readers: usize,
    /// A query may take this long, in ms.
    pub query_timeout_ms: u64,
    /// A file with prices of models; `None`: those that Loom brings along.
    pub prices: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("loom-data"),
            ephemeral: false,
            spool: SpoolConfig::default(),
            retention: Retention::default(),
            linger_ms: 100,
            readers: 4,
            query_timeout_ms: 10_000,
            prices: None,
        }
    }
}

/// Settings of the OTLP doors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectorConfig {
    /// Largest request in bytes, after decompression.
    pub max_request_bytes: usize,
    /// A sender that met a full spool is asked to come again after this time, in ms.
    pub retry_after_ms: u64,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            max_request_bytes: 16 << 20,
            retry_after_ms: 1_000,
        }
    }
}

/// Settings of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Host names, besides loopback, under which the API may be called. A request for any other host is refused, so
    /// that a web page cannot reach the API by pointing its own name at this machine.
    pub allowed_hosts: Vec<String>,
    /// Spans of one answer, over all its traces.
    pub max_spans: usize,
    /// Agents, and topics, with histograms of their own on `/metrics`; the others share one.
    pub max_metric_labels: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            max_spans: 50_000,
            max_metric_labels: 100,
        }
    }
}
