//! Entries by their lists, as one transaction gathers them.

use std::mem;

use rustc_hash::FxHashMap;

use super::{Entry, Key};

/// One table for the entries of all lists, of which most have a few: each names the one that was added to its list before it. So
/// to add one costs a look-up, and nothing is allocated for a list.
#[derive(Debug)]
pub(super) struct Chains<E> {
    /// Entries, and the places of those before them, counted from 1; 0 for the first of a list.
    entries: Vec<(E, usize)>,
    /// The place of the last entry of each list.
    ends: FxHashMap<Key, usize>,
    /// Kept for its capacity.
    sorted: Vec<(Key, usize)>,
}

impl<E> Default for Chains<E> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            ends: FxHashMap::default(),
            sorted: Vec::new(),
        }
    }
}

impl<E: Entry + Clone> Chains<E> {
    /// Adds an entry to a list.
    pub(super) fn add(&mut self, key: Key, entry: E) {
        let place = self.entries.len() + 1;
        let before = self.ends.insert(key, place).unwrap_or_default();
        self.entries.push((entry, before));
    }

    /// Hands over each list with its entries as they are sorted there, in the order of their keys, and forgets them. Those of one
    /// place stay in the order in which they were added. Stops at the first error.
    pub(super) fn drain<X>(
        &mut self,
        mut take: impl FnMut(Key, &[E]) -> Result<(), X>,
    ) -> Result<(), X> {
        let mut sorted = mem::take(&mut self.sorted);
        sorted.extend(self.ends.drain());
        sorted.sort_unstable_by_key(|(key, _)| *key);
        let mut list = Vec::new();
        let mut result = Ok(());
        for (key, mut place) in sorted.drain(..) {
            list.clear();
            while let Some(at) = place.checked_sub(1) {
                let (entry, before) = &self.entries[at];
                list.push(entry.clone());
                place = *before;
            }
            // They come in the order of time as a rule, from which the sort gains.
            list.reverse();
            list.sort_by_key(Entry::place);
            result = take(key, &list);
            if result.is_err() {
                break;
            }
        }
        self.sorted = sorted;
        self.entries.clear();
        result
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use crate::store::blocks::{List, Posting};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_list_has_its_spans_sorted(
            added in prop::collection::vec((0..3_i64, 0..4_i64, 0..9_i64), 0..60),
        ) {
            let mut chains = Chains::default();
            // A second time, with what is kept from the first.
            for _ in 0..2 {
                let mut expected: BTreeMap<Key, Vec<Posting>> = BTreeMap::new();
                for (id, (block, value, start_ns)) in (0..).zip(added.iter().copied()) {
                    let (key, posting) = ((block, List::User, value), Posting { start_ns, id });
                    chains.add(key, posting);
                    expected.entry(key).or_default().push(posting);
                }
                for list in expected.values_mut() {
                    list.sort_unstable();
                }
                let mut found = Vec::new();
                chains
                    .drain(|key, list| {
                        found.push((key, list.to_vec()));
                        Ok::<_, Infallible>(())
                    })
                    .expect("all are taken");
                prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
