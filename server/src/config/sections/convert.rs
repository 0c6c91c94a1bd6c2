//! From a section to the configuration of the crate that it is about.

use std::path::PathBuf;

use loom_bridge::BridgeConfig;
use loom_core::{BrokerConfig, BusConfig};
use loom_trace::{ApiConfig, CollectorConfig, Config as StoreConfig};

use super::{ApiSection, BridgeSection, BrokerSection, BusSection, CollectorSection, StoreSection};
use crate::config::Token;

impl From<&BusSection> for BusConfig {
    fn from(section: &BusSection) -> Self {
        Self {
            realtime_capacity: section.realtime_capacity,
            batched_capacity: section.batched_capacity,
            background_capacity: section.background_capacity,
            publish_wait_ms: section.publish_wait.0,
            default_ttl: section.default_ttl,
            ledger_topics: section.ledger_topics,
            ..Self::default()
        }
    }
}

impl From<&BrokerSection> for BrokerConfig {
    fn from(section: &BrokerSection) -> Self {
        Self {
            default_timeout_ms: section.default_timeout.0,
            max_timeout_ms: section.max_timeout.0,
            max_open_calls: section.max_open_calls,
        }
    }
}

impl BridgeSection {
    /// The bridge's configuration, with the token that clients must show.
    pub fn to_config(&self, token: Option<&Token>) -> BridgeConfig {
        BridgeConfig {
            max_event_bytes: usize::try_from(self.max_event.0).unwrap_or(usize::MAX),
            publish_window: self.publish_window,
            max_subscriptions: self.max_subscriptions,
            max_capabilities: self.max_capabilities,
            max_agents: self.max_agents,
            max_events_per_second: self.max_events_per_second,
            max_open_calls: self.max_open_calls,
            hello_timeout_ms: self.hello_timeout.0.as_millis() as u64,
            heartbeat_interval_ms: self.heartbeat_interval.0.as_millis() as u64,
            heartbeat_timeout_ms: self.heartbeat_timeout.0.as_millis() as u64,
            token: token.map(|token| token.expose().to_owned()),
        }
    }
}

impl From<&CollectorSection> for CollectorConfig {
    fn from(section: &CollectorSection) -> Self {
        Self {
            max_request_bytes: usize::try_from(section.max_request.0).unwrap_or(usize::MAX),
            retry_after_ms: section.retry_after.0.as_millis() as u64,
        }
    }
}

impl From<&ApiSection> for ApiConfig {
    fn from(section: &ApiSection) -> Self {
        Self {
            allowed_hosts: section.allowed_hosts.clone(),
            max_spans: section.max_spans,
            max_metric_labels: section.max_metric_labels,
        }
    }
}

impl StoreSection {
    /// The store's configuration in `data_dir`, or in a temporary directory where that is `None`.
    pub fn to_config(&self, data_dir: Option<PathBuf>) -> StoreConfig {
        let mut config = StoreConfig {
            ephemeral: data_dir.is_none(),
            linger_ms: self.linger.0.as_millis() as u64,
            readers: self.readers,
            query_timeout_ms: self.query_timeout.0.as_millis() as u64,
            ..StoreConfig::default()
        };
        config.retention.max_age_s = self.max_age.0.as_secs();
        config.retention.max_spans = self.max_spans;
        config.retention.max_bytes = self.max_bytes.0;
        config.spool.max_bytes = self.spool.0;
        if let Some(data_dir) = data_dir {
            config.data_dir = data_dir;
        }
        config
    }
}
