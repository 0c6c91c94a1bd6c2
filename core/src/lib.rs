//! The bus that knows the trace: events, actions and who is there; no network, no exporter.
//!
//! | room | what it promises |
//! | --- | --- |
//! | [`bus`] | [`EventBus::publish`]: stamp, route, offer to each mailbox; never a lock that another publisher's wait holds |
//! | [`routing`] | which mailboxes want a topic; lock-free to read |
//! | [`mailbox`] | bounded, with the policy of its [`Qos`]; loss is counted, never silent |
//! | [`subscriber`] | the receiving end of some mailboxes; ends them when dropped |
//! | [`stream`], [`journal`] | topics whose events are kept; the trait of the log that keeps them, and one in memory |
//! | [`group`] | agents that share the events of a stream, until one has handled each |
//! | [`broker`] | [`ActionBroker::invoke`]: one provider, one deadline, one answer |
//! | [`barrier`] | a capability of the server: callers wait until so many of them have come |
//! | [`execution`] | the states of a delivery attempt or a call, and what may follow on what |
//! | [`directory`] | which agents are connected |
//! | [`event`], [`envelope`] | what travels |
//! | [`ledger`] | the counters that must add up |
//! | [`instrument`] | the only file that opens spans |
//! | [`stand_in`] | spans in the place of those that were lost with their process |
//!
//! Order: what one publisher publishes on one topic reaches a mailbox in that order. Between publishers there is none.

pub mod barrier;
pub mod broker;
pub mod bus;
pub mod config;
pub mod directory;
pub mod envelope;
pub mod error;
pub mod event;
pub mod execution;
pub mod group;
pub mod instrument;
pub mod journal;
pub mod ledger;
pub mod mailbox;
pub mod routing;
pub mod stand_in;
pub mod stream;
pub mod subscriber;
mod sync;

#[cfg(test)]
mod ledger_tests;

pub use barrier::Barrier;
pub use broker::{ActionBroker, ActionCall, ActionOutput, Capability, Provider, Registration};
pub use bus::{EventBus, Fate, Published, Publisher};
pub use config::{BrokerConfig, BusConfig, Qos};
pub use directory::{AgentEntry, Directory, Presence};
pub use envelope::{Envelope, Malformed};
pub use error::{InvokeError, PublishError, SubscribeError};
pub use event::{Came, Event, EventError, Lineage};
pub use execution::OpenExecution;
pub use group::{
    Acknowledged, Attempt, Forwarded, Group, GroupBooks, GroupConfig, GroupMember, GroupStart,
    Verdict,
};
pub use instrument::{HopSpan, Tracer};
pub use journal::{
    Cursor, FailedAttempt, Journal, JournalError, JournalProgress, JournalRead, MemoryConfig,
    MemoryJournal, Stage, Storage, Ticket, Tried,
};
pub use ledger::{DropReason, Ledger, LedgerReport, LedgerSnapshot};
pub use mailbox::Delivery;
pub use stream::{Stored, Stream, StreamConfig, StreamError};
pub use subscriber::{Subscriber, Subscription};
