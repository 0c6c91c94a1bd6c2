//! Attributes that add up.

use loom_telemetry::Value;
use pyo3::prelude::*;

use super::Span;
use crate::value;

/// Adds to an attribute that is a double, or begins it, in one step: several threads may do so at once. Nothing happens to a
/// span that has ended, or is not recorded.
#[pyfunction]
#[pyo3(signature = (span, key, amount, /))]
pub(crate) fn add_to_attribute(span: &Bound<'_, Span>, key: &str, amount: f64) {
    let Some(recording) = &span.get().recording else {
        return;
    };
    let limit = recording.source.limits().attributes;
    recording.change_if_live(|body| {
        let detail = &mut *body.detail;
        let known = detail
            .attributes
            .iter_mut()
            .find(|(other, _)| other.as_str() == Some(key));
        match known {
            Some((_, Value::Double(sum))) => *sum += amount,
            _ => value::set(
                &mut detail.attributes,
                &mut detail.dropped_attributes,
                limit,
                key,
                Value::Double(amount),
            ),
        }
    });
}
