//! A set of offsets that is nearly a prefix: all below a floor, and some ranges above it.

use crate::journal::Cursor;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    /// Ranges are in order, apart from each other, and beyond the floor.
    cursor: Cursor,
}

impl Offsets {
    /// Whether it is there.
    pub(crate) fn contains(&self, offset: u64) -> bool {
        let ranges = &self.cursor.settled;
        let after = ranges.partition_point(|range| range.end <= offset);
        offset < self.cursor.floor || ranges.get(after).is_some_and(|r| r.start <= offset)
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, offset: u64) {
        if self.contains(offset) {
            return;
        }
        let ranges = &mut self.cursor.settled;
        let at = ranges.partition_point(|range| range.end < offset);
        match ranges.get_mut(at) {
            Some(range) if range.end == offset => {
                range.end += 1;
                // It may have closed the gap to the next one.
                if ranges
                    .get(at + 1)
                    .is_some_and(|next| next.start == offset + 1)
                {
                    ranges[at].end = ranges.remove(at + 1).end;
                }
            }
            Some(range) if range.start == offset + 1 => range.start = offset,
            _ => ranges.insert(at, offset..offset + 1),
        }
        self.raise(self.cursor.floor);
    }

    /// Adds all below an offset.
    pub(crate) fn raise(&mut self, floor: u64) {
        let Cursor {
            floor: present,
            settled,
            ..
        } = &mut self.cursor;
        *present = floor.max(*present);
        let mut passed = 0;
        for range in settled.iter_mut() {
            if range.start > *present {
                break;
            }
            *present = range.end.max(*present);
            passed += 1;
        }
        settled.drain(..passed);
    }

    /// How many below `end` are not there.
    pub(crate) fn missing(&self, end: u64) -> u64 {
        let above: u64 = self.cursor.settled.iter().map(|r| r.end - r.start).sum();
        end.saturating_sub(self.cursor.floor).saturating_sub(above)
    }

    /// As a journal keeps it.
    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }
}

impl From<Cursor> for Offsets {
    fn from(cursor: Cursor) -> Self {
        let mut offsets = Self { cursor };
        offsets.raise(0);
        offsets
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_added(
            steps in prop::collection::vec((any::<bool>(), 0..64_u64), 0..200),
        ) {
            let mut offsets = Offsets::default();
            let mut model = BTreeSet::new();
            for (is_floor, offset) in steps {
                // Rarely: a floor ends the story of all that is below.
                if is_floor && offset % 8 == 0 {
                    offsets.raise(offset / 4);
                    model.extend(0..offset / 4);
                } else {
                    offsets.insert(offset);
                    model.insert(offset);
                }
                let found: BTreeSet<_> = (0..80).filter(|at| offsets.contains(*at)).collect();
                prop_assert_eq!(&found, &model);
                prop_assert_eq!(offsets.missing(80), 80 - model.len() as u64);
                let cursor = offsets.cursor();
                let mut end = cursor.floor;
                for range in &cursor.settled {
                    prop_assert!(range.start > end && range.end > range.start, "{:?}", cursor);
                    end = range.end;
                }
            }
        }
    }
}
