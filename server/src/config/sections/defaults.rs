//! The default of each section: the crates' own where they have one.

use std::time::Duration;

use loom_bridge::BridgeConfig;
use loom_core::{BrokerConfig, BusConfig};
use loom_trace::{ApiConfig, CollectorConfig, Config as StoreConfig};

use super::{
    ApiSection, BridgeSection, BrokerSection, BusSection, CollectorSection, LogFormat, LogSection,
    ServerSection, StoreSection, TelemetrySection,
};
use crate::config::{ByteSize, Listen, Period};

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            bridge_addr: Listen::loopback(50051),
            otlp_grpc_addr: Listen::loopback(4317),
            otlp_http_addr: Listen::loopback(4318),
            http_addr: Listen::loopback(8080),
            data_dir: None,
            ephemeral: false,
            token_file: None,
            insecure_bind: false,
            drain_grace: Period(Duration::from_secs(5)),
            worker_threads: 0,
        }
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Human,
        }
    }
}

impl Default for BusSection {
    fn default() -> Self {
        let bus = BusConfig::default();
        Self {
            realtime_capacity: bus.realtime_capacity,
            batched_capacity: bus.batched_capacity,
            background_capacity: bus.background_capacity,
            publish_wait: Period(bus.publish_wait_ms),
            default_ttl: bus.default_ttl,
            ledger_topics: bus.ledger_topics,
        }
    }
}

impl Default for BrokerSection {
    fn default() -> Self {
        let broker = BrokerConfig::default();
        Self {
            default_timeout: Period(broker.default_timeout_ms),
            max_timeout: Period(broker.max_timeout_ms),
            max_open_calls: broker.max_open_calls,
        }
    }
}

impl Default for BridgeSection {
    fn default() -> Self {
        let bridge = BridgeConfig::default();
        Self {
            max_event: ByteSize(bridge.max_event_bytes as u64),
            publish_window: bridge.publish_window,
            max_subscriptions: bridge.max_subscriptions,
            max_capabilities: bridge.max_capabilities,
            max_agents: bridge.max_agents,
            max_events_per_second: bridge.max_events_per_second,
            max_open_calls: bridge.max_open_calls,
            hello_timeout: Period(Duration::from_millis(bridge.hello_timeout_ms)),
            heartbeat_interval: Period(Duration::from_millis(bridge.heartbeat_interval_ms)),
            heartbeat_timeout: Period(Duration::from_millis(bridge.heartbeat_timeout_ms)),
        }
    }
}

impl Default for CollectorSection {
    fn default() -> Self {
        let collector = CollectorConfig::default();
        Self {
            max_request: ByteSize(collector.max_request_bytes as u64),
            retry_after: Period(Duration::from_millis(collector.retry_after_ms)),
        }
    }
}

impl Default for StoreSection {
    fn default() -> Self {
        let store = StoreConfig::default();
        Self {
            max_age: Period(Duration::from_secs(store.retention.max_age_s)),
            max_spans: store.retention.max_spans,
            max_bytes: ByteSize(store.retention.max_bytes),
            spool: ByteSize(store.spool.max_bytes),
            linger: Period(Duration::from_millis(store.linger_ms)),
            readers: store.readers,
            query_timeout: Period(Duration::from_millis(store.query_timeout_ms)),
        }
    }
}

impl Default for ApiSection {
    fn default() -> Self {
        let api = ApiConfig::default();
        Self {
            allowed_hosts: api.allowed_hosts,
            max_spans: api.max_spans,
            max_metric_labels: api.max_metric_labels,
            jaeger_ui_dir: None,
        }
    }
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self {
            record: true,
            mend_after: Period(Duration::from_secs(5)),
            service_name: "loom".to_owned(),
            export: None,
            interval: Period(Duration::from_millis(200)),
        }
    }
}
