//! Limits of the bridge, with their defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the bridge. Sizes in bytes, times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeConfig {
    /// Largest encoded event.
    pub max_event_bytes: usize,
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
    /// How long a new connection may take to say Hello.
    pub hello_timeout_ms: u64,
    /// How often an agent says that it lives, unless it asks for another interval.
    pub heartbeat_interval_ms: u64,
    /// After how much silence an agent has left, unless it asks for another time.
    pub heartbeat_timeout_ms: u64,
    /// What every Hello and every call must carry; from the environment or a file, never from `loom.toml`.
    #[serde(skip)]
    pub token: Option<String>,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            max_event_bytes: 1024 * 1024,
            publish_window: 8192,
            max_subscriptions: 10_000,
            max_capabilities: 1000,
            max_agents: 10_000,
            max_events_per_second: 0,
            max_open_calls: 1024,
            hello_timeout_ms: 10_000,
            heartbeat_interval_ms: 5000,
            heartbeat_timeout_ms: 30_000,
            token: None,
        }
    }
}

impl BridgeConfig {
    /// A frame beyond this ends the stream; an event beyond [`max_event_bytes`](Self::max_event_bytes) in a smaller
    /// frame is only refused.
    pub fn max_frame_bytes(&self) -> usize {
        4 * self.max_event_bytes + 2 * loom_proto::frame::BATCH_BYTES
    }

    pub(crate) fn hello_timeout(&self) -> Duration {
        Duration::from_millis(self.hello_timeout_ms)
    }
}
