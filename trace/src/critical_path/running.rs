//! What ran at a moment: the only hint where a cause is missing.

/// Spans by their begin, with a tree of their latest ends.
#[derive(Debug)]
pub(super) struct Running {
    /// Places of the spans.
    order: Vec<usize>,
    /// Their begins.
    begins: Vec<u64>,
    /// A heap-shaped tree of maxima; the leaves are the ends in that order.
    latest: Vec<u64>,
    /// How many leaves there are: a power of two, and more than spans.
    leaves: usize,
    /// Of the first places up to each, that of the span which ends last.
    last: Vec<usize>,
}

impl Running {
    pub(super) fn new(begin: &[u64], end: &[u64]) -> Self {
        let mut order: Vec<usize> = (0..begin.len()).collect();
        order.sort_by_key(|&span| (begin[span], span));
        let leaves = (order.len() + 1).next_power_of_two();
        let mut latest = vec![0; 2 * leaves];
        for (place, &span) in order.iter().enumerate() {
            latest[leaves + place] = end[span];
        }
        for node in (1..leaves).rev() {
            latest[node] = latest[2 * node].max(latest[2 * node + 1]);
        }
        let mut last: Vec<usize> = Vec::with_capacity(order.len());
        for place in 0..order.len() {
            let before = last.last().copied().unwrap_or(place);
            let is_later = end[order[place]] > end[order[before]];
            last.push(if is_later { place } else { before });
        }
        Self {
            begins: order.iter().map(|&span| begin[span]).collect(),
            order,
            latest,
            leaves,
            last,
        }
    }

    /// Of the spans that began before this moment and had not ended, the one that began last; where there is none, the one
    /// that ended last. And its end.
    pub(super) fn before(&self, now: u64) -> Option<(usize, u64)> {
        let begun = self.begins.partition_point(|&begin| begin < now);
        let place = match self.rightmost(begun, now) {
            Some(place) => place,
            None => *self.last.get(begun.checked_sub(1)?)?,
        };
        Some((self.order[place], self.latest[self.leaves + place]))
    }

    /// The last of the first `begun` leaves that is at least `now`.
    fn rightmost(&self, begun: usize, now: u64) -> Option<usize> {
        // Up from behind the last leaf: each left sibling on the way is a part of the first leaves, the last part first.
        let mut node = self.leaves + begun;
        while node > 1 {
            if node % 2 == 1 && self.latest[node - 1] >= now {
                node -= 1;
                while node < self.leaves {
                    node *= 2;
                    if self.latest[node + 1] >= now {
                        node += 1;
                    }
                }
                return Some(node - self.leaves);
            }
            node /= 2;
        }
        None
    }
}
