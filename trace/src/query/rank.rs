//! Percentiles by nearest rank: values that were measured, nothing in between.

/// The value below which `percent` of all values lie, of values that are sorted; `None` of nothing.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let most = sorted.len().checked_sub(1)?;
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get((rank - 1).min(most)).copied()
}

/// The same in milliseconds, of ns.
pub(super) fn percentile_ms(sorted_ns: &[u64], percent: usize) -> Option<f64> {
    percentile(sorted_ns, percent).map(|ns| ns as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        for (percent, expected) in [(0, 1), (1, 1), (50, 50), (95, 95), (100, 100)] {
            assert_eq!(percentile(&hundred, percent), Some(expected), "{percent}");
        }
        assert_eq!(percentile(&[7], 95), Some(7));
        assert_eq!(percentile(&[1, 2], 50), Some(1));
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile_ms(&[1_500_000], 50), Some(1.5));
    }
}
