//! What both families ask a search for, and how it is understood.

use prost_types::{Duration, Timestamp};
use tonic::Status;

use super::super::find;
use crate::query::{Field, Predicate, Search, Sort};

/// What Go's zero time is in protobuf: clients send it for no time at all.
const GO_ZERO_S: i64 = -62_135_596_800;

/// The parameters of a search.
pub(super) struct Asked {
    pub(super) service: String,
    pub(super) operation: String,
    /// As texts.
    pub(super) attributes: Vec<(String, String)>,
    /// First moment, and the one after the last; ns since the Unix epoch.
    pub(super) period: (Option<u64>, Option<u64>),
    pub(super) duration_min: Option<Duration>,
    pub(super) duration_max: Option<Duration>,
    pub(super) depth: i32,
    pub(super) has_filter: bool,
}

impl Asked {
    pub(super) fn search(self) -> Result<Search, Status> {
        if self.has_filter {
            // A condition that is dropped would give more traces than were asked for.
            return Err(Status::invalid_argument(
                "filter is not supported; use service, operation, attributes and duration",
            ));
        }
        let field = |field, value: String| {
            Predicate::optional(field, Some(value).filter(|value| !value.is_empty()))
        };
        let mut all: Vec<_> = [
            field(Field::Service, self.service),
            field(Field::Operation, self.operation),
        ]
        .into_iter()
        .flatten()
        .collect();
        let attributes = self.attributes.into_iter();
        all.extend(attributes.map(|(key, value)| Predicate::Attribute(key, value)));
        let (min, max) = (length(self.duration_min), length(self.duration_max));
        if min.zip(max).is_some_and(|(min, max)| max < min) {
            return Err(Status::invalid_argument(
                "duration_max is shorter than duration_min",
            ));
        }
        all.extend(min.map(Predicate::AtLeast));
        all.extend(max.map(Predicate::AtMost));
        let (start, end) = self.period;
        if start.zip(end).is_some_and(|(start, end)| start >= end) {
            return Err(Status::invalid_argument(
                "start_time_min must be before start_time_max",
            ));
        }
        all.extend(start.map(Predicate::From));
        all.extend(end.map(|end| Predicate::To(end.saturating_sub(1))));
        Ok(Search {
            matching: Predicate::All(all),
            no_errors: false,
            sort: Sort::Newest,
            after: None,
            limit: find::limit(self.depth.into()),
        })
    }
}

/// ns since the Unix epoch; `None` of no time. What lies before 1970 is 1970.
pub(super) fn time(time: Option<Timestamp>) -> Option<u64> {
    let time = time.filter(|time| time.seconds != GO_ZERO_S)?;
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    let nanos = u64::try_from(time.nanos).unwrap_or(0);
    Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// ns; `None` where nothing is said, which is 0 for some clients.
fn length(length: Option<Duration>) -> Option<u64> {
    let length = length?;
    let seconds = u64::try_from(length.seconds).ok()?;
    let nanos = u64::try_from(length.nanos).ok()?;
    let ns = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    (ns > 0).then_some(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths_of_go() {
        let at = |seconds, nanos| time(Some(Timestamp { seconds, nanos }));
        assert_eq!(time(None), None);
        assert_eq!(at(GO_ZERO_S, 0), None);
        assert_eq!(at(0, 0), Some(0));
        assert_eq!(at(-5, 7), Some(7));
        assert_eq!(at(2, 7), Some(2_000_000_007));
        assert_eq!(at(i64::MAX, -1), Some(u64::MAX));
        let took = |seconds, nanos| length(Some(Duration { seconds, nanos }));
        assert_eq!(length(None), None);
        for nothing in [took(0, 0), took(-1, 0), took(0, -1)] {
            assert_eq!(nothing, None);
        }
        assert_eq!(took(1, 5), Some(1_000_000_005));
    }
}
