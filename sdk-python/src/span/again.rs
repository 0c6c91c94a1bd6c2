//! An attribute that is written again and again.

use std::sync::Arc;

use loom_telemetry::Value;

use super::Span;
use crate::value;

impl Span {
    /// Writes it; nothing happens to a span that has ended, or is not recorded.
    pub(crate) fn write_again(&self, key: &Arc<str>, new: Value) {
        let Some(recording) = &self.recording else {
            return;
        };
        let limit = recording.source.limits().attributes;
        recording.change_if_live(|body| {
            let detail = body.detail_mut();
            let known = detail
                .attributes
                .iter_mut()
                .find(|(other, _)| other.as_str() == Some(key));
            match known {
                Some((_, value)) => *value = new,
                None => value::set(
                    &mut detail.attributes,
                    &mut detail.dropped_attributes,
                    limit,
                    key,
                    new,
                ),
            }
        });
    }
}
