//! Limits of the bus and the broker, with their defaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::group::GroupConfig;

/// What a full mailbox does, and in which order a subscriber's mailboxes are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Qos {
    /// Served first; a full mailbox drops its oldest event and counts it.
    Realtime,
    /// A full mailbox makes the publisher wait.
    #[default]
    Batched,
    /// Large, and served after the others; a full mailbox makes the publisher wait.
    Background,
}

impl Qos {
    /// Every class, in the order in which they are served.
    pub const ALL: [Self; 3] = [Self::Realtime, Self::Batched, Self::Background];

    /// Its name in configuration, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Batched => "batched",
            Self::Background => "background",
        }
    }
}

/// Limits of the bus.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// Events in a mailbox of class `realtime`, unless its subscription asks for less.
    pub realtime_capacity: usize,
    /// Events in a mailbox of class `batched`, unless its subscription asks for less.
    pub batched_capacity: usize,
    /// Events in a mailbox of class `background`, unless its subscription asks for less.
    pub background_capacity: usize,
    /// How long a publisher waits for room before the delivery is dropped and counted.
    #[serde(with = "millis")]
    pub publish_wait_ms: Duration,
    /// Hops that an event may make when its envelope does not say.
    pub default_ttl: u32,
    /// Topics that a publisher keeps routed; beyond, its cache starts anew.
    pub cached_topics: usize,
    /// Topics with an account of their own in the books; the others share one.
    pub ledger_topics: usize,
    /// Limits of groups.
    #[serde(skip)]
    pub groups: GroupConfig,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            realtime_capacity: 1024,
            batched_capacity: 4096,
            background_capacity: 65_536,
            publish_wait_ms: Duration::from_secs(10),
            default_ttl: 64,
            cached_topics: 1024,
            ledger_topics: 4096,
            groups: GroupConfig::default(),
        }
    }
}

impl BusConfig {
    /// The largest mailbox of a class, which is also its default.
    pub fn capacity(&self, qos: Qos) -> usize {
        match qos {
            Qos::Realtime => self.realtime_capacity,
            Qos::Batched => self.batched_capacity,
            Qos::Background => self.background_capacity,
        }
        .max(1)
    }
}

/// Limits of the broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    /// Deadline of a call that names none.
    #[serde(with = "millis")]
    pub default_timeout_ms: Duration,
    /// Longest deadline that a call may ask for.
    #[serde(with = "millis")]
    pub max_timeout_ms: Duration,
    /// Calls that may be open at once.
    pub max_open_calls: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            default_timeout_ms: Duration::from_secs(30),
            max_timeout_ms: Duration::from_secs(600),
            max_open_calls: 10_000,
        }
    }
}

/// A duration as a whole number of milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(duration.as_millis() as u64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
