//! What a collector answers, whatever the transport.

use std::error::Error;
use std::time::Duration;

use prost::Message;

/// The collector took the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    /// So many of its spans the collector rejected.
    pub(super) rejected: u64,
    /// What the collector has to say about it; empty when nothing.
    pub(super) message: String,
}

/// The collector did not take the request, or nobody knows whether it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) retry: Retry,
    /// For the log.
    pub(super) message: String,
}

/// Whether and when the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    WithBackoff,
    /// The collector said when.
    After(Duration),
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// Longest text of others that gets into our log.
const MAX_MESSAGE: usize = 200;

impl Accepted {
    /// Reads the answer's body. What cannot be read says nothing against the spans: they have arrived.
    pub(super) fn from_response(body: &[u8]) -> Self {
        let response = ExportResponse::decode(body).unwrap_or_default();
        let partial = response.partial_success.unwrap_or_default();
        Self {
            rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
            message: printable(&partial.error_message),
        }
    }
}

impl Refusal {
    pub(super) fn new(retry: Retry, message: impl Into<String>) -> Self {
        Self {
            retry,
            message: message.into(),
        }
    }

    /// The way to the collector failed: worth another attempt.
    pub(super) fn transport(error: &(dyn Error + 'static)) -> Self {
        Self::new(Retry::WithBackoff, root_cause(error))
    }

    pub(super) fn timeout(after: Duration) -> Self {
        Self::new(Retry::WithBackoff, format!("no answer within {after:?}"))
    }
}

/// The innermost error is the one that helps: "connection refused", not "transport error".
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    printable(&cause.to_string())
}

/// One line of bounded length, whatever a stranger has sent.
pub(super) fn printable(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_MESSAGE)
        .collect();
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_is_full_success() {
        assert_eq!(Accepted::from_response(b""), Accepted::default());
    }

    #[test]
    fn an_answer_that_is_no_answer_takes_nothing_back() {
        assert_eq!(Accepted::from_response(b"<html>"), Accepted::default());
        let negative = ExportResponse {
            partial_success: Some(PartialSuccess {
                rejected_spans: -1,
                error_message: String::new(),
            }),
        };
        assert_eq!(
            Accepted::from_response(&negative.encode_to_vec()),
            Accepted::default()
        );
    }

    #[test]
    fn a_strangers_text_stays_one_short_line() {
        assert_eq!(printable("one\ntwo\u{1b}[31m\n"), "one two [31m");
        assert_eq!(printable(&"é".repeat(1000)).chars().count(), MAX_MESSAGE);
    }
}
