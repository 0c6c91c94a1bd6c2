//! Frames and their channels.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// What a reader may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub(super) enum Channel {
    /// Events that were published.
    Events,
    /// Handlers that have ended, and how many are open.
    Executions,
    /// Who is connected.
    Agents,
    /// Traces that got spans.
    Traces,
    /// The books.
    Stats,
}

impl Channel {
    pub(super) const ALL: [Self; 5] = [
        Self::Events,
        Self::Executions,
        Self::Agents,
        Self::Traces,
        Self::Stats,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Executions => "executions",
            Self::Agents => "agents",
            Self::Traces => "traces",
            Self::Stats => "stats",
        }
    }
}

/// A set of channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Channels(u8);

impl Channels {
    pub(super) fn has(self, channel: Channel) -> bool {
        self.0 & (1 << channel as u8) != 0
    }

    pub(super) fn with(self, channel: Channel) -> Self {
        Self(self.0 | (1 << channel as u8))
    }

    pub(super) fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    pub(super) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Channel> {
        Channel::ALL
            .into_iter()
            .filter(move |channel| self.has(*channel))
    }

    /// Names with commas between them.
    ///
    /// # Errors
    /// One is not known.
    pub(super) fn parse(text: &str) -> Result<Self, UnknownChannel> {
        let names = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        names
            .map(Self::of)
            .try_fold(Self::default(), |all, one| Ok(all.and(one?)))
    }

    /// The channel of that name.
    fn of(name: &str) -> Result<Self, UnknownChannel> {
        let found = Channel::ALL.into_iter().find(|one| one.name() == name);
        found
            .map(|channel| Self::default().with(channel))
            .ok_or_else(|| UnknownChannel(name.to_owned()))
    }
}

/// A name of no channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownChannel(String);

impl fmt::Display for UnknownChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Channel::ALL.map(Channel::name).join(", ");
        write!(f, "there is no channel {:?}; there are {known}", self.0)
    }
}

/// Something that has happened.
#[derive(Debug)]
pub(super) struct Frame {
    /// Counts up by one.
    pub(super) seq: u64,
    pub(super) channel: Channel,
    /// JSON, on one line.
    pub(super) data: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_by_their_names() {
        let parsed = Channels::parse(" events,stats ,").expect("good");
        assert_eq!(
            parsed.iter().collect::<Vec<_>>(),
            [Channel::Events, Channel::Stats]
        );
        assert_eq!(Channels::parse("").expect("good"), Channels::default());
        let wrong = Channels::parse("events,<b>").expect_err("unknown");
        assert_eq!(
            wrong.to_string(),
            "there is no channel \"<b>\"; there are events, executions, agents, traces, stats"
        );
    }

    #[test]
    fn sets_grow_and_shrink() {
        let both = Channels::parse("events,agents").expect("good");
        let one = Channels::parse("agents").expect("good");
        assert_eq!(both.without(one), Channels::parse("events").expect("good"));
        assert_eq!(both.without(one).and(one), both);
    }
}
