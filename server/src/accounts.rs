//! The books of a server as JSON: the API writes them, and `loom stats` reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a server has counted.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Books {
    /// Events and their deliveries.
    pub(crate) bus: BusBooks,
    /// The server's own spans.
    pub(crate) spans: SpanBooks,
}

/// The books of the bus.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct BusBooks {
    /// Each account adds up: published = delivered + filtered + `dead_lettered` + expired + dropped + `in_flight`.
    pub(crate) balanced: bool,
    /// Nothing passed while the books were read: only then they have to add up.
    pub(crate) quiet: bool,
    /// All topics together.
    pub(crate) total: Account,
    /// Topics on which something was published.
    pub(crate) topics: Vec<TopicAccount>,
}

/// What became of the events of a topic.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct TopicAccount {
    #[serde(flatten)]
    pub(crate) account: Account,
    /// Its name; a pattern where several topics share an account.
    pub(crate) topic: String,
}

/// What became of events.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub(crate) struct Account {
    /// Events that the bus took.
    pub(crate) events: u64,
    /// Deliveries that came of them: one for each mailbox and each group, and one where nobody wants the event.
    pub(crate) published: u64,
    /// Deliveries that were handed to the subscriber, or that an agent of the group has handled.
    pub(crate) delivered: u64,
    /// Events that nobody wanted.
    pub(crate) filtered: u64,
    /// Deliveries that a group gave up, and keeps as dead letters.
    pub(crate) dead_lettered: u64,
    /// Deliveries whose event retention released before the group had read it.
    pub(crate) expired: u64,
    /// Deliveries that were lost, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Deliveries that are on their way.
    pub(crate) in_flight: u64,
}

/// What became of the server's own spans.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct SpanBooks {
    /// Spans that ended.
    pub(crate) recorded: u64,
    /// Those that the store has taken.
    pub(crate) stored: u64,
    /// Those that nobody wanted to keep.
    pub(crate) sampled_out: u64,
    /// Those that were lost, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Those that are on their way.
    pub(crate) queued: u64,
}
