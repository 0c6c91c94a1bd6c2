//! What became of the attempts of an event that was not handled at once.
//!
//! Hardly an event has such a history, and one that has it may be tried very often: it is kept apart from the event's slot, and its
//! length is bounded.

use loom_proto::trace_context::SpanId;

use crate::journal::FailedAttempt;

/// Failed attempts that are remembered of an event: the first and the youngest.
pub(crate) const REMEMBERED: usize = 16;
/// Bytes that are remembered of what an attempt said.
const LONGEST_ERROR: usize = 1024;

/// See the module. The oldest attempt is the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    attempts: Vec<FailedAttempt>,
}

impl History {
    /// Remembers one more; beyond the bound, in place of the second.
    pub(crate) fn add(&mut self, mut attempt: FailedAttempt) {
        let is_end = |end: &usize| attempt.error.is_char_boundary(*end);
        let end = (0..=LONGEST_ERROR).rev().find(is_end);
        attempt.error.truncate(end.unwrap_or_default());
        if self.attempts.len() == REMEMBERED {
            self.attempts.remove(1);
        }
        self.attempts.push(attempt);
    }

    /// An attempt that was over before its delivery was written has its span now.
    pub(crate) fn set_span(&mut self, number: u32, span: SpanId) {
        let mut attempts = self.attempts.iter_mut().rev();
        if let Some(attempt) = attempts.find(|attempt| attempt.number == number) {
            attempt.span = span;
        }
    }

    /// Span of the youngest attempt that had one.
    pub(crate) fn last_span(&self) -> Option<SpanId> {
        let spans = self.attempts.iter().rev().map(|attempt| attempt.span);
        spans.into_iter().find(|span| span.is_valid())
    }

    /// The attempts that are remembered.
    pub(crate) fn attempts(&self) -> &[FailedAttempt] {
        &self.attempts
    }
}

impl From<Vec<FailedAttempt>> for History {
    fn from(attempts: Vec<FailedAttempt>) -> Self {
        Self { attempts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, span: u8) -> FailedAttempt {
        FailedAttempt {
            number,
            error: format!("no {number}"),
            span: SpanId([span; 8]),
            unix_nano: 0,
        }
    }

    #[test]
    fn the_first_attempt_and_the_youngest_are_remembered() {
        let mut history = History::default();
        for number in 1..=1000 {
            history.add(attempt(number, 1));
        }
        let numbers: Vec<_> = history.attempts().iter().map(|a| a.number).collect();
        assert_eq!(numbers[0], 1);
        assert_eq!(numbers[1..], (986..=1000).collect::<Vec<_>>());
        assert_eq!(numbers.len(), REMEMBERED);
    }

    #[test]
    fn the_last_span_is_that_of_an_attempt_that_was_sent() {
        let mut history = History::default();
        assert_eq!(history.last_span(), None);
        history.add(attempt(1, 1));
        history.add(attempt(2, 0));
        assert_eq!(history.last_span(), Some(SpanId([1; 8])));
        history.set_span(2, SpanId([2; 8]));
        history.set_span(3, SpanId([3; 8]));
        assert_eq!(history.last_span(), Some(SpanId([2; 8])));
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let mut history = History::default();
        history.add(FailedAttempt {
            error: "é".repeat(LONGEST_ERROR) + "x",
            ..attempt(1, 1)
        });
        assert_eq!(history.attempts()[0].error, "é".repeat(LONGEST_ERROR / 2));
    }
}
