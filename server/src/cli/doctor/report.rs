//! What an examination found.

use serde::Serialize;

use crate::cli::Exit;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it should be.
    Good,
    /// It works, and is perhaps not what was meant.
    Doubtful,
    /// It does not work.
    Bad,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    /// What to do; none where all is well.
    pub(super) fix: Option<String>,
}

/// All of them, in the order in which things depend on each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) checks: Vec<Check>,
    pub(super) is_reachable: bool,
}

impl Report {
    pub(super) fn good(&mut self, name: &'static str, detail: impl Into<String>) {
        self.checks.push(Check {
            name,
            outcome: Outcome::Good,
            detail: detail.into(),
            fix: None,
        });
    }

    pub(super) fn doubtful(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let (detail, fix) = (detail.into(), Some(fix.into()));
        self.checks.push(Check {
            name,
            outcome: Outcome::Doubtful,
            detail,
            fix,
        });
    }

    pub(super) fn bad(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let (detail, fix) = (detail.into(), Some(fix.into()));
        self.checks.push(Check {
            name,
            outcome: Outcome::Bad,
            detail,
            fix,
        });
    }

    /// Hints are no failure.
    pub(super) fn exit(&self) -> Exit {
        if !self.is_reachable {
            Exit::Unreachable
        } else if self
            .checks
            .iter()
            .any(|check| check.outcome == Outcome::Bad)
        {
            Exit::CheckFailed
        } else {
            Exit::Ok
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_matters_most() {
        let mut report = Report {
            is_reachable: true,
            ..Report::default()
        };
        report.good("a", "");
        report.doubtful("b", "", "");
        assert_eq!(report.exit(), Exit::Ok);
        report.bad("c", "", "");
        assert_eq!(report.exit(), Exit::CheckFailed);
        report.is_reachable = false;
        assert_eq!(report.exit(), Exit::Unreachable);
    }
}
