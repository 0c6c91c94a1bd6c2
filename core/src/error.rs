//! What can go wrong, one enum per family of operations. `code()` gives the face on the wire.

use std::time::Duration;

use loom_proto::Code;
use loom_proto::topic::InvalidTopic;

use crate::journal::JournalError;

/// An event was not taken by the bus. Nobody received it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Fix the topic.
    #[error("event.topic {topic:?} is not valid: {source}")]
    Topic {
        /// As it came.
        topic: String,
        /// What is wrong with it.
        source: InvalidTopic,
    },
    /// The event went round in a circle, or its ttl is too small for its path.
    #[error(
        "the event has made {hop} hops and its ttl is {ttl}: look for agents that answer each other for ever"
    )]
    Expired {
        /// Hops made.
        hop: u32,
        /// Hops allowed.
        ttl: u32,
    },
    /// The topic is kept by a stream, and the stream could not keep the event. Publish it again: its id tells whether it is new.
    #[error("stream {stream} could not keep the event: {source}")]
    NotStored {
        /// Its name.
        stream: String,
        /// Why.
        source: JournalError,
    },
}

/// A subscription was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// Fix the pattern.
    #[error("subscription pattern {pattern:?} is not valid: {source}")]
    Pattern {
        /// As it came.
        pattern: String,
        /// What is wrong with it.
        source: InvalidTopic,
    },
    /// Name the group otherwise.
    #[error("group {0:?} is not valid: use 1 to 128 letters, digits, _, . and -")]
    GroupName(String),
    /// Groups stay open, so that their number must have an end: use fewer names.
    #[error("{0} groups are open already: share a group, or use fewer names")]
    TooManyGroups(usize),
    /// Only what is kept can be delivered until it is handled.
    #[error(
        "no stream keeps events of {pattern:?}, so they cannot be acknowledged: declare one in loom.toml, [streams.<name>] \
         with these topics; it keeps them on the disk, or with storage = \"memory\" until the server ends"
    )]
    NoStream {
        /// As it came.
        pattern: String,
    },
    /// A group reads one stream.
    #[error("{pattern:?} wants events of the streams {one} and {other}: subscribe to each of them")]
    SeveralStreams {
        /// As it came.
        pattern: String,
        /// A stream.
        one: String,
        /// Another one.
        other: String,
    },
    /// Members of a group share the same events.
    #[error(
        "group {group} of stream {stream} wants {theirs:?}, not {pattern:?}: use the same pattern, or another group"
    )]
    OtherPattern {
        /// Its name.
        group: String,
        /// Its stream.
        stream: String,
        /// Its pattern.
        theirs: String,
        /// As it came.
        pattern: String,
    },
    /// How far it has come is not known.
    #[error("how far group {group} of stream {stream} has come cannot be read: {source}")]
    Cursor {
        /// Its name.
        group: String,
        /// Its stream.
        stream: String,
        /// Why.
        source: JournalError,
    },
}

/// A call brought no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// Start an agent that provides it, or fix the name.
    #[error("no connected agent provides the capability {0:?}")]
    UnknownCapability(String),
    /// The provider left before it answered; it may or may not have done the work.
    #[error("agent {provider} left before it answered {capability:?}")]
    ProviderGone {
        /// What was called.
        capability: String,
        /// Who had the call.
        provider: String,
    },
    /// The provider did not answer in time and was told to stop.
    #[error("{capability:?} was not answered within {} ms", timeout.as_millis())]
    Deadline {
        /// What was called.
        capability: String,
        /// How long it had.
        timeout: Duration,
    },
    /// Too many calls are open; try again later.
    #[error("{open} calls are open already; try again later")]
    Overloaded {
        /// The limit.
        open: usize,
    },
    /// The provider's handler failed, with its own words.
    #[error("{message}")]
    Handler {
        /// The provider's code; `handler_failed` unless it said better.
        code: Code,
        /// The provider's words.
        message: String,
    },
}

impl PublishError {
    /// The face on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::Topic { .. } => Code::InvalidTopic,
            Self::Expired { .. } => Code::EventExpired,
            Self::NotStored { .. } => Code::NotStored,
        }
    }
}

impl SubscribeError {
    /// The face on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::Pattern { .. }
            | Self::GroupName(_)
            | Self::NoStream { .. }
            | Self::SeveralStreams { .. }
            | Self::OtherPattern { .. } => Code::InvalidSubscription,
            Self::TooManyGroups(_) => Code::TooManySubscriptions,
            Self::Cursor { .. } => Code::Unavailable,
        }
    }
}

impl InvokeError {
    /// The face on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownCapability(_) => Code::UnknownCapability,
            Self::ProviderGone { .. } => Code::ProviderGone,
            Self::Deadline { .. } => Code::DeadlineExceeded,
            Self::Overloaded { .. } => Code::RateLimited,
            Self::Handler { code, .. } => *code,
        }
    }
}
