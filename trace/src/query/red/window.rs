//! A window that moves over spans, and what each of its places says. Each span comes in once and goes out once.

use super::{Counted, Measure, RedSearch};
use crate::store::row::signed;

/// The value of each point of `search`, of spans that are sorted by their start. What began before `known_from_ns`, or at that
/// moment, may be missing among them.
pub(super) fn slide(
    spans: &[Counted],
    search: &RedSearch,
    known_from_ns: Option<i64>,
) -> Vec<Option<f64>> {
    let mut window = Window::new(spans);
    let value = |point: &u64| {
        let end = signed(*point);
        let start = signed(point.saturating_sub(search.window_ns));
        window.move_to(start, end);
        if known_from_ns.is_some_and(|known_from| start < known_from) {
            return None;
        }
        match search.measure {
            // Before its first span nobody knows whether it was there at all.
            Measure::Calls if window.entered == 0 => None,
            Measure::Calls => Some(window.len() as f64 / (search.window_ns as f64 / 1e9)),
            Measure::Errors => {
                (window.len() > 0).then(|| window.errors as f64 / window.len() as f64)
            }
            Measure::Latency(share) => window.duration_ns(share).map(|ns| ns as f64 / 1e6),
        }
    };
    search.points_ns.iter().map(value).collect()
}

/// Some of the spans, one behind the other.
struct Window<'a> {
    spans: &'a [Counted],
    /// Spans that have come in, and those of them that have gone out again.
    entered: usize,
    left: usize,
    errors: usize,
    durations: Ranks,
    /// Place of each span among all durations.
    ranks: Vec<usize>,
    /// All durations, ascending.
    sorted_ns: Vec<i64>,
}

impl<'a> Window<'a> {
    fn new(spans: &'a [Counted]) -> Self {
        let mut by_duration: Vec<_> = (0..spans.len()).collect();
        by_duration.sort_by_key(|&at| spans[at].took_ns);
        let mut ranks = vec![0; spans.len()];
        for (rank, &at) in by_duration.iter().enumerate() {
            ranks[at] = rank;
        }
        Self {
            spans,
            entered: 0,
            left: 0,
            errors: 0,
            durations: Ranks::new(spans.len()),
            sorted_ns: by_duration.iter().map(|&at| spans[at].took_ns).collect(),
            ranks,
        }
    }

    /// Lets in what began until `end`, and out what began until `start`. Neither may go back.
    fn move_to(&mut self, start: i64, end: i64) {
        let begins_until =
            |at: usize, until: i64| self.spans.get(at).is_some_and(|s| s.start_ns <= until);
        while begins_until(self.entered, end) {
            self.errors += usize::from(self.spans[self.entered].is_error);
            self.durations.comes(self.ranks[self.entered]);
            self.entered += 1;
        }
        while self.left < self.entered && begins_until(self.left, start) {
            self.errors -= usize::from(self.spans[self.left].is_error);
            self.durations.goes(self.ranks[self.left]);
            self.left += 1;
        }
    }

    fn len(&self) -> usize {
        self.entered - self.left
    }

    /// The duration below which this share of the window lies, by nearest rank.
    fn duration_ns(&self, share: f64) -> Option<i64> {
        let most = self.len().checked_sub(1)?;
        let nth = ((self.len() as f64 * share).ceil() as usize).max(1) - 1;
        let rank = self.durations.nth(nth.min(most));
        self.sorted_ns.get(rank).copied()
    }
}

/// Which ranks are there: a tree of counts (Fenwick's), so that neither a change nor a question looks at all of them.
struct Ranks(Vec<usize>);

impl Ranks {
    fn new(ranks: usize) -> Self {
        Self(vec![0; ranks.next_power_of_two() + 1])
    }

    fn comes(&mut self, rank: usize) {
        self.change(rank, |count| count + 1);
    }

    fn goes(&mut self, rank: usize) {
        self.change(rank, |count| count - 1);
    }

    fn change(&mut self, rank: usize, change: impl Fn(usize) -> usize) {
        let mut at = rank + 1;
        while at < self.0.len() {
            self.0[at] = change(self.0[at]);
            at += at & at.wrapping_neg();
        }
    }

    /// The rank before which `n` are there and that is there itself.
    fn nth(&self, n: usize) -> usize {
        let mut left = n;
        let mut at = 0;
        let mut step = (self.0.len() - 1).next_power_of_two();
        while step > 0 {
            let next = at + step;
            if next < self.0.len() && self.0[next] <= left {
                left -= self.0[next];
                at = next;
            }
            step /= 2;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_found_whatever_has_come_and_gone() {
        let mut ranks = Ranks::new(5);
        let mut there: Vec<usize> = Vec::new();
        for (rank, comes) in [
            (3, true),
            (0, true),
            (4, true),
            (3, false),
            (2, true),
            (1, true),
            (0, false),
            (4, false),
        ] {
            if comes {
                ranks.comes(rank);
                there.push(rank);
            } else {
                ranks.goes(rank);
                there.retain(|&other| other != rank);
            }
            there.sort_unstable();
            for (n, &rank) in there.iter().enumerate() {
                assert_eq!(ranks.nth(n), rank, "{there:?}");
            }
        }
    }
}
