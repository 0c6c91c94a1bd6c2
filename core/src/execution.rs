//! What becomes of an execution: one delivery attempt, or one call of a capability.
//!
//! The id of an execution is the id of the span that hands it over, `bridge.forward` or `broker.invoke`. That span is there
//! before the handler, and the handler's span is its child: so an execution can be named before it runs and after its
//! process was lost.
//!
//! | state | meaning | start | complete | fail | time out | lose |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `PENDING` | waits for its agent | `RUNNING` | – | `FAILED` | `TIMEOUT` | `DEAD` |
//! | `RUNNING` | with its agent | – | `COMPLETED` | `FAILED` | `TIMEOUT` | `DEAD` |
//! | `COMPLETED` | handled | – | – | – | – | – |
//! | `FAILED` | its handler failed, or it could not begin | – | – | – | – | – |
//! | `TIMEOUT` | its time was up | – | – | – | – | – |
//! | `DEAD` | its process was lost | – | – | – | – | – |
//!
//! `–` is illegal. Nothing leaves the four last states: another attempt is another execution.

use std::fmt;
use std::str::FromStr;

mod open;

pub use open::OpenExecution;

/// See the module.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// It waits in a mailbox, in a group's window, or for its call's provider.
    Pending,
    /// Its agent has it.
    Running,
    /// Handled.
    Completed,
    /// The handler failed, or could not begin.
    Failed,
    /// Its time was up before it came to its end.
    Timeout,
    /// Its process was lost before it came to its end.
    Dead,
}

/// What happens to an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// It is handed to its agent.
    Start,
    /// The handler returned.
    Complete,
    /// The handler failed, or nobody could begin it.
    Fail,
    /// Its time is up.
    TimeOut,
    /// Its process is lost.
    Lose,
}

/// A signal that cannot come in a state. Whoever gets it counts it as late and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an execution that is {state} takes no {signal:?}")]
pub struct IllegalTransition {
    /// The state, which stays.
    pub state: State,
    /// What was said.
    pub signal: Signal,
}

/// A name that no state has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state: use PENDING, RUNNING, COMPLETED, FAILED, TIMEOUT or DEAD")]
pub struct UnknownState(pub String);

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Timeout,
        Self::Dead,
    ];

    /// The state after a signal.
    ///
    /// # Errors
    /// The table of the module has no such transition.
    pub fn on(self, signal: Signal) -> Result<Self, IllegalTransition> {
        match (self, signal) {
            (Self::Pending, Signal::Start) => Ok(Self::Running),
            (Self::Running, Signal::Complete) => Ok(Self::Completed),
            (Self::Pending | Self::Running, Signal::Fail) => Ok(Self::Failed),
            (Self::Pending | Self::Running, Signal::TimeOut) => Ok(Self::Timeout),
            (Self::Pending | Self::Running, Signal::Lose) => Ok(Self::Dead),
            (state, signal) => Err(IllegalTransition { state, signal }),
        }
    }

    /// Nothing can happen to it any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// As users see it: in upper case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Timeout => "TIMEOUT",
            Self::Dead => "DEAD",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = UnknownState;

    /// Reads a name in either case.
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let named = Self::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(text));
        named.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIGNALS: [Signal; 5] = [
        Signal::Start,
        Signal::Complete,
        Signal::Fail,
        Signal::TimeOut,
        Signal::Lose,
    ];

    /// The cells of the module's table, by state and signal.
    fn table() -> Vec<(State, Vec<Option<State>>)> {
        let rows = include_str!("execution.rs").lines().filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix("//! | `")?.split('|').collect();
            let cell = |text: &str| text.trim().trim_matches('`').parse().ok();
            Some((
                cell(cells[0])?,
                cells[2..7].iter().map(|text| cell(text)).collect(),
            ))
        });
        rows.collect()
    }

    #[test]
    fn the_table_tells_the_truth() {
        let table = table();
        let states: Vec<_> = table.iter().map(|(state, _)| *state).collect();
        assert_eq!(states, State::ALL);
        for (state, row) in table {
            let found: Vec<_> = SIGNALS
                .iter()
                .map(|signal| state.on(*signal).ok())
                .collect();
            assert_eq!(found, row, "{state}");
            assert_eq!(state.is_final(), row.iter().all(Option::is_none), "{state}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(state.name().to_lowercase().parse(), Ok(state));
        }
        assert_eq!(
            "ZOMBIE".parse::<State>(),
            Err(UnknownState("ZOMBIE".into()))
        );
    }

    proptest! {
        /// Whatever happens in whatever order: it runs before it completes, at most once, and it ends at most once.
        #[test]
        fn no_sequence_of_signals_leaves_the_table(
            signals in proptest::collection::vec(proptest::sample::select(&SIGNALS[..]), 0..40)
        ) {
            let mut life = vec![State::Pending];
            for signal in signals {
                let before = life[life.len() - 1];
                match before.on(signal) {
                    Ok(after) => {
                        prop_assert!(!before.is_final());
                        // The order of a life has no way back.
                        prop_assert!(before < after);
                        life.push(after);
                    }
                    Err(refused) => {
                        let expected = IllegalTransition { state: before, signal };
                        prop_assert_eq!(refused, expected);
                    }
                }
            }
            prop_assert!(life.len() <= 3);
            prop_assert!(life.iter().filter(|state| state.is_final()).count() <= 1);
            if life.contains(&State::Completed) {
                prop_assert_eq!(life, vec![State::Pending, State::Running, State::Completed]);
            }
        }
    }
}
