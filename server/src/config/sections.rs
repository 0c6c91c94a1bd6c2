//! The sections of `loom.toml`, and what the crates make of them.
//!
//! The crates' own configurations count in plain numbers; here people write sizes and durations. The defaults are the
//! crates' own, so they stand in one place.

mod convert;
mod defaults;

use std::path::PathBuf;

use loom_core::ledger::MAX_TOPICS;
use serde::Deserialize;

use super::{ByteSize, ConfigError, Listen, Period, wrong};

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// Where agents connect.
    pub bridge_addr: Listen,
    /// Where spans are received over gRPC.
    pub otlp_grpc_addr: Listen,
    /// Where spans are received over HTTP.
    pub otlp_http_addr: Listen,
    /// Where the HTTP API answers.
    pub http_addr: Listen,
    /// Where the trace store lives; `None` means the user's data directory.
    pub data_dir: Option<PathBuf>,
    /// The store lives in a temporary directory instead.
    pub ephemeral: bool,
    /// A file with the token that every client must show.
    pub token_file: Option<PathBuf>,
    /// Exposed addresses need no token.
    pub insecure_bind: bool,
    /// How long agents have to end what they are doing when the server stops.
    pub drain_grace: Period,
    /// Threads of the runtime; 0 means half of the cores, at least one.
    pub worker_threads: usize,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Which lines are written.
    pub filter: String,
    /// How they look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// `[bus]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSection {
    /// Events in a mailbox of class `realtime`.
    pub realtime_capacity: usize,
    /// Events in a mailbox of class `batched`.
    pub batched_capacity: usize,
    /// Events in a mailbox of class `background`.
    pub background_capacity: usize,
    /// How long a publisher waits for room.
    pub publish_wait: Period,
    /// Hops that an event may make when it does not say.
    pub default_ttl: u32,
    /// Topics with an account of their own in the books.
    pub ledger_topics: usize,
}

/// `[broker]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerSection {
    /// Deadline of a call that names none.
    pub default_timeout: Period,
    /// Longest deadline.
    pub max_timeout: Period,
    /// Calls that may be open at once.
    pub max_open_calls: usize,
}

/// `[bridge]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeSection {
    /// Largest event, as encoded.
    pub max_event: ByteSize,
    /// Events that an agent may have published without acknowledgement.
    pub publish_window: u32,
    /// Subscriptions of one agent.
    pub max_subscriptions: usize,
    /// Capabilities of one agent.
    pub max_capabilities: usize,
    /// Agents that may be connected at once.
    pub max_agents: usize,
    /// Events that one agent may publish in a second; 0 means no limit.
    pub max_events_per_second: u32,
    /// Calls that one agent may have open at once.
    pub max_open_calls: usize,
    /// How long a new connection may take to say who it is.
    pub hello_timeout: Period,
    /// How often an agent says that it lives, unless it asks for another interval.
    pub heartbeat_interval: Period,
    /// After how much silence an agent has left, unless it asks for another time.
    pub heartbeat_timeout: Period,
}

/// `[collector]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectorSection {
    /// Largest OTLP request after decompression.
    pub max_request: ByteSize,
    /// When a sender that met a full spool shall come again.
    pub retry_after: Period,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// Spans older than this are removed.
    pub max_age: Period,
    /// Beyond this many spans the oldest are removed.
    pub max_spans: u64,
    /// Beyond this size of the database the oldest are removed.
    pub max_bytes: ByteSize,
    /// The log between the doors and the database; beyond it senders are asked to wait.
    pub spool: ByteSize,
    /// How long the indexer gathers spans for one transaction.
    pub linger: Period,
    /// Connections for queries.
    pub readers: usize,
    /// Longest time of a query.
    pub query_timeout: Period,
}

/// `[api]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSection {
    /// Host names, besides loopback, under which the API may be called.
    pub allowed_hosts: Vec<String>,
    /// Spans of one answer.
    pub max_spans: usize,
    /// Agents, and topics, with histograms of their own on `/metrics`.
    pub max_metric_labels: usize,
    /// A directory with a Jaeger UI, which is served under `/jaeger/`.
    pub jaeger_ui_dir: Option<PathBuf>,
}

/// `[genai]`: calls of models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenAiSection {
    /// A file with prices of models, instead of those that Loom brings along.
    pub prices: Option<PathBuf>,
}

/// `[telemetry]`: the server's own spans.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySection {
    /// Whether the bus and the bridge record spans at all.
    pub record: bool,
    /// Name of the server in its spans.
    pub service_name: String,
    /// A collector that gets the server's spans too; the variables of OTel win.
    pub export: Option<String>,
    /// How long a span waits for its batch.
    pub interval: Period,
    /// How long the last spans of a lost agent may take; what is missing then, the server tells in its place.
    pub mend_after: Period,
}

impl ServerSection {
    /// Addresses that are exposed, each with its key.
    pub fn exposed(&self) -> impl Iterator<Item = (&'static str, Listen)> {
        [
            ("server.bridge_addr", self.bridge_addr),
            ("server.otlp_grpc_addr", self.otlp_grpc_addr),
            ("server.otlp_http_addr", self.otlp_http_addr),
            ("server.http_addr", self.http_addr),
        ]
        .into_iter()
        .filter(|(_, address)| address.is_exposed())
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let mut seen = Vec::new();
        for (key, listen) in [
            ("server.bridge_addr", self.bridge_addr),
            ("server.otlp_grpc_addr", self.otlp_grpc_addr),
            ("server.otlp_http_addr", self.otlp_http_addr),
            ("server.http_addr", self.http_addr),
        ] {
            let Listen::At(address) = listen else {
                continue;
            };
            if let Some((other, _)) = seen
                .iter()
                .find(|(_, taken)| *taken == address && address.port() != 0)
            {
                return Err(wrong(
                    key,
                    format!("{address} is also {other}: each door needs an address of its own"),
                ));
            }
            seen.push((key, address));
        }
        if self.worker_threads > 1024 {
            return Err(wrong(
                "server.worker_threads",
                "more than 1024 threads help nobody",
            ));
        }
        Ok(())
    }
}

impl BusSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (key, capacity) in [
            ("bus.realtime_capacity", self.realtime_capacity),
            ("bus.batched_capacity", self.batched_capacity),
            ("bus.background_capacity", self.background_capacity),
        ] {
            if !(1..=16_777_216).contains(&capacity) {
                return Err(wrong(key, "a mailbox holds between 1 and 16777216 events"));
            }
        }
        if self.default_ttl == 0 {
            return Err(wrong(
                "bus.default_ttl",
                "with 0 hops no event would reach anybody: write at least 1",
            ));
        }
        if self.ledger_topics > MAX_TOPICS {
            return Err(wrong(
                "bus.ledger_topics",
                "the books hold at most 65534 accounts",
            ));
        }
        Ok(())
    }
}

impl BridgeSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1 << 10..=256 << 20).contains(&self.max_event.0) {
            return Err(wrong(
                "bridge.max_event",
                "an event may have between 1KiB and 256MiB",
            ));
        }
        if self.publish_window == 0 {
            return Err(wrong(
                "bridge.publish_window",
                "with a window of 0 nobody could publish: write at least 1",
            ));
        }
        if self.max_agents == 0 {
            return Err(wrong(
                "bridge.max_agents",
                "with 0 nobody could connect: write at least 1",
            ));
        }
        for (key, period) in [
            ("bridge.hello_timeout", self.hello_timeout),
            ("bridge.heartbeat_interval", self.heartbeat_interval),
            ("bridge.heartbeat_timeout", self.heartbeat_timeout),
        ] {
            if period.0.as_millis() < 100 || period.0.as_secs() > 3600 {
                return Err(wrong(key, "write between 100ms and 1h"));
            }
        }
        if self.heartbeat_timeout.0 < 2 * self.heartbeat_interval.0 {
            return Err(wrong(
                "bridge.heartbeat_timeout",
                "one late heartbeat would be the end: write at least twice bridge.heartbeat_interval",
            ));
        }
        Ok(())
    }
}

impl StoreSection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.readers == 0 {
            return Err(wrong("store.readers", "queries need at least 1 connection"));
        }
        if self.spool.0 < 1 << 20 {
            return Err(wrong("store.spool", "the spool needs at least 1MiB"));
        }
        Ok(())
    }
}

impl TelemetrySection {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.service_name.trim().is_empty() {
            return Err(wrong(
                "telemetry.service_name",
                "the server needs a name in its spans",
            ));
        }
        if self.mend_after.0.as_millis() < 100 || self.mend_after.0.as_secs() > 3600 {
            return Err(wrong("telemetry.mend_after", "write between 100ms and 1h"));
        }
        match &self.export {
            Some(url) if !(url.starts_with("http://") || url.starts_with("https://")) => {
                Err(wrong(
                    "telemetry.export",
                    format!("`{url}` is no URL: write http://host:4317"),
                ))
            }
            _ => Ok(()),
        }
    }
}
