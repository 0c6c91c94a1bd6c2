//! How often an agent says that it lives, and how long it may be silent.

use std::time::Duration;

use loom_proto::v1;

use crate::config::BridgeConfig;

/// More often would be work without a use.
const SHORTEST_INTERVAL_MS: u64 = 100;

/// What counts for one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Liveness {
    /// How often it says that it lives.
    pub(crate) interval: Duration,
    /// After how much silence it has left.
    pub(crate) timeout: Duration,
}

impl Liveness {
    /// What the agent asks for, and the server's settings where it does not. One heartbeat may be late or lost without
    /// harm: where the two do not fit, the one that the agent did not ask for gives way, and else the interval.
    pub(crate) fn of(hello: &v1::Hello, config: &BridgeConfig) -> Self {
        let or = |wanted: u32, default| if wanted == 0 { default } else { wanted.into() };
        let interval =
            or(hello.heartbeat_interval_ms, config.heartbeat_interval_ms).max(SHORTEST_INTERVAL_MS);
        let timeout = or(hello.heartbeat_timeout_ms, config.heartbeat_timeout_ms)
            .max(2 * SHORTEST_INTERVAL_MS);
        let (interval, timeout) = if hello.heartbeat_timeout_ms == 0 {
            (interval, timeout.max(2 * interval))
        } else {
            (interval.min(timeout / 2), timeout)
        };
        Self {
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(timeout),
        }
    }

    /// The interval as Welcome says it.
    pub(crate) fn interval_ms(self) -> u32 {
        u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(interval: u32, timeout: u32) -> (u128, u128) {
        let hello = v1::Hello {
            heartbeat_interval_ms: interval,
            heartbeat_timeout_ms: timeout,
            ..v1::Hello::default()
        };
        let Liveness { interval, timeout } = Liveness::of(&hello, &BridgeConfig::default());
        (interval.as_millis(), timeout.as_millis())
    }

    #[test]
    fn an_agent_gets_what_it_asks_for_and_else_the_defaults() {
        assert_eq!(of(0, 0), (5000, 30_000));
        assert_eq!(of(1000, 0), (1000, 30_000));
        assert_eq!(of(1000, 3000), (1000, 3000));
        assert_eq!(of(0, 60_000), (5000, 60_000));
    }

    #[test]
    fn silence_is_longer_than_one_late_heartbeat() {
        // A short timeout needs a shorter interval, a long interval a longer timeout.
        assert_eq!(of(0, 2000), (1000, 2000));
        assert_eq!(of(60_000, 0), (60_000, 120_000));
        assert_eq!(of(60_000, 2000), (1000, 2000));
        assert_eq!(of(1, 1), (100, 200));
    }
}
