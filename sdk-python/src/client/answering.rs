//! What a handler's end says to the server. Hot path for events.

use loom_proto::Code;
use loom_proto::v1::{self, Verdict};

use super::{Client, Event};
use crate::runtime;

/// Verdict, delay in milliseconds (0 leaves it to the server), and why.
pub(super) type Failure = (i32, u32, String);

/// Bytes of an outcome's message; what is longer is cut.
const MESSAGE_BYTES: usize = 1024;

impl Client {
    /// Gives the delivery's credit back, and its outcome where one is awaited. Without a failure it was handled; a failure
    /// without a verdict has no outcome, and the server delivers again.
    pub(super) fn answer_delivery(&self, event: &Event, failure: Option<Failure>) {
        if self.generation != runtime::generation() {
            return;
        }
        let delivery = &event.delivery;
        let Some(due) = delivery.due else {
            return self.link.release(1);
        };
        let (verdict, delay_ms, error) = match failure {
            None => (Verdict::Ack.into(), 0, None),
            Some((verdict, ..)) if verdict == i32::from(Verdict::Unspecified) => {
                return self.link.release(1);
            }
            Some((verdict, delay_ms, message)) => {
                let error = v1::Error::new(Code::HandlerFailed, cut(message));
                (verdict, delay_ms, Some(error))
            }
        };
        let outcome = v1::Outcome {
            subscription: delivery.subscription,
            offset: due.offset,
            attempt: delivery.attempt,
            verdict,
            delay_ms,
            error,
        };
        self.link.answer(due.stream, &outcome);
    }
}

fn cut(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES {
        let mut ends = (0..=MESSAGE_BYTES).rev();
        let end = ends.find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or_default());
    }
    message
}
