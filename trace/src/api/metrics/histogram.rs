//! Counts of values by their size, with the newest of each size as its example.

use crate::model::{SpanId, TraceId};

/// Upper ends of the buckets in seconds; beyond the last one there is one more.
const BOUNDS: [f64; 18] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// A value and the span that it is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Exemplar {
    /// Its trace.
    pub(crate) trace_id: TraceId,
    /// The span.
    pub(crate) span_id: SpanId,
    /// In seconds.
    pub(crate) value: f64,
    /// When it was measured, ns since the Unix epoch.
    pub(crate) time_ns: u64,
}

/// A histogram with fixed buckets.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    buckets: [(u64, Option<Exemplar>); BOUNDS.len() + 1],
    sum: f64,
}

/// What lies up to a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    /// The bound, in seconds.
    pub(super) le: f64,
    /// All values up to it.
    pub(super) count: u64,
    /// The newest value above the next lower bound.
    pub(super) exemplar: Option<Exemplar>,
}

impl Histogram {
    /// Counts a value.
    pub(super) fn observe(&mut self, exemplar: Exemplar) {
        let place = BOUNDS.partition_point(|bound| *bound < exemplar.value);
        let (count, newest) = &mut self.buckets[place];
        *count += 1;
        *newest = Some(exemplar);
        self.sum += exemplar.value;
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|(count, _)| count).sum()
    }

    /// All of them together, in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// Cumulative, the smallest bound first, the last one infinite.
    pub(super) fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds
            .zip(&self.buckets)
            .scan(0, |below, (le, (count, exemplar))| {
                *below += count;
                Some(Bucket {
                    le,
                    count: *below,
                    exemplar: *exemplar,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{span_id, trace_id};

    #[test]
    fn a_value_counts_in_every_bucket_above_it() {
        let mut histogram = Histogram::default();
        for (id, value) in [
            (1, 0.0),
            (2, 0.001),
            (3, 0.0011),
            (4, 60.0),
            (5, 61.0),
            (6, 1e9),
        ] {
            histogram.observe(Exemplar {
                trace_id: trace_id(1),
                span_id: span_id(id),
                value,
                time_ns: id,
            });
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        let told = |le: f64| {
            let bucket = buckets
                .iter()
                .find(|bucket| bucket.le.total_cmp(&le).is_eq());
            let bucket = bucket.expect("a bound");
            (
                bucket.count,
                bucket.exemplar.map(|exemplar| exemplar.time_ns),
            )
        };
        assert_eq!(told(0.0001), (1, Some(1)));
        assert_eq!(told(0.0005), (1, None));
        assert_eq!(told(0.001), (2, Some(2)), "up to and with the bound");
        assert_eq!(told(0.0025), (3, Some(3)));
        assert_eq!(told(60.0), (4, Some(4)));
        assert_eq!(
            told(f64::INFINITY),
            (6, Some(6)),
            "the newest is the example"
        );
        assert_eq!(histogram.count(), 6);
        assert!(BOUNDS.is_sorted());
    }
}
