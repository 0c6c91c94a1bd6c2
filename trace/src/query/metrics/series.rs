//! Figures along the time: a grid of steps, and a column of values for each figure.

use std::ops::Range;

use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::time_text::rfc3339;

/// Seconds that people divide time by.
const LADDER_S: [u64; 19] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800,
];
const SECOND_NS: u64 = 1_000_000_000;

/// A time, cut into steps of one length. They begin at multiples of their length since 1970, so that a value does not move
/// from step to step while the time goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    first_ns: u64,
    step_ns: u64,
    points: usize,
}

/// A step that would make too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is too small for this time, which may have {max} of them: take {least_s}s or more", max = Grid::MAX_POINTS)]
pub struct TooFine {
    /// The smallest step of people's that would do, in seconds.
    pub least_s: u64,
}

impl Grid {
    /// As many as a chart shows.
    pub const MAX_POINTS: usize = 300;

    /// A time in ns since the Unix epoch, in the smallest steps of which there are not too many.
    pub fn of(during_ns: &Range<u64>) -> Self {
        // A time that does not begin with a step touches one step more.
        let most = Self::MAX_POINTS as u64 - 1;
        let needed_s = span_ns(during_ns).div_ceil(most).div_ceil(SECOND_NS);
        let step_s = LADDER_S.into_iter().find(|step| *step >= needed_s);
        let days = || needed_s.div_ceil(86_400) * 86_400;
        Self::cut(during_ns, step_s.unwrap_or_else(days) * SECOND_NS)
    }

    /// The same in steps of so many seconds.
    ///
    /// # Errors
    /// There would be more than [`Grid::MAX_POINTS`].
    pub fn with_step(during_ns: &Range<u64>, step_s: u64) -> Result<Self, TooFine> {
        let grid = Self::cut(during_ns, step_s.max(1).saturating_mul(SECOND_NS));
        if grid.points > Self::MAX_POINTS {
            let least_s = Self::of(during_ns).step_s();
            return Err(TooFine { least_s });
        }
        Ok(grid)
    }

    fn cut(during_ns: &Range<u64>, step_ns: u64) -> Self {
        let first = during_ns.start / step_ns;
        let last = during_ns.end.saturating_sub(1) / step_ns;
        let is_empty = during_ns.is_empty();
        Self {
            first_ns: first * step_ns,
            step_ns,
            points: if is_empty {
                0
            } else {
                (last - first + 1) as usize
            },
        }
    }

    /// Length of a step in seconds.
    pub fn step_s(&self) -> u64 {
        self.step_ns / SECOND_NS
    }

    /// Where a time stands; one that is not on the grid stands at its nearest end.
    pub(super) fn place(&self, ns: u64) -> usize {
        let place = ns.saturating_sub(self.first_ns) / self.step_ns;
        (place as usize).min(self.points.saturating_sub(1))
    }

    /// When a step begins, ns since the Unix epoch.
    pub(super) fn begin_ns(&self, place: usize) -> u64 {
        let steps = self.step_ns.saturating_mul(place as u64);
        self.first_ns.saturating_add(steps)
    }
}

fn span_ns(during_ns: &Range<u64>) -> u64 {
    during_ns.end.saturating_sub(during_ns.start)
}

/// A column for each figure, a row for each step of the grid. `None` where a step has no sample of the figure.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Series {
    /// When the steps begin: RFC 3339, UTC.
    pub at: Vec<String>,
    /// Handlers that began.
    pub executions: Vec<Option<u64>>,
    /// Those of them that failed.
    pub errors: Vec<Option<u64>>,
    /// Half of the handlers took less, in ms.
    pub p50_ms: Vec<Option<f64>>,
    /// 95 of 100 took less, in ms.
    pub p95_ms: Vec<Option<f64>>,
    /// Tokens of prompts and answers that are known.
    pub total_tokens: Vec<Option<i64>>,
    /// USD of the model calls whose price is known.
    pub cost_usd: Vec<Option<f64>>,
}

impl Series {
    /// Nothing yet in each step.
    pub(super) fn empty(grid: &Grid) -> Self {
        let points = grid.points;
        Self {
            at: (0..points)
                .map(|place| rfc3339(grid.begin_ns(place)))
                .collect(),
            executions: vec![None; points],
            errors: vec![None; points],
            p50_ms: vec![None; points],
            p95_ms: vec![None; points],
            total_tokens: vec![None; points],
            cost_usd: vec![None; points],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60 * SECOND_NS;
    const DAY: u64 = 24 * 60 * MINUTE;

    #[test]
    fn a_step_for_each_time() {
        let end = 20_000 * DAY + 7 * SECOND_NS;
        for (length, step_s, points) in [
            (SECOND_NS, 1, 1),
            (5 * MINUTE, 2, 151),
            (15 * MINUTE, 5, 181),
            (60 * MINUTE, 15, 241),
            (DAY, 300, 289),
            (7 * DAY, 3_600, 169),
            (366 * DAY, 172_800, 184),
            (20_000 * DAY, 67 * 86_400, 299),
        ] {
            let grid = Grid::of(&(end - length..end));
            assert_eq!((grid.step_s(), grid.points), (step_s, points), "{length}");
        }
        assert_eq!(Grid::of(&(5..5)).points, 0);
    }

    #[test]
    fn a_step_of_ones_own() {
        let hour = 0..60 * MINUTE;
        let grid = Grid::with_step(&hour, 60).expect("sixty");
        assert_eq!((grid.points, grid.begin_ns(59)), (60, 59 * MINUTE));
        assert_eq!(Grid::with_step(&hour, 7_200).expect("one").points, 1);
        assert_eq!(Grid::with_step(&hour, 12).expect("300").points, 300);
        let too_fine = TooFine { least_s: 15 };
        assert_eq!(Grid::with_step(&hour, 11), Err(too_fine));
        assert_eq!(Grid::with_step(&hour, 0), Err(too_fine));
        let everything = 0..u64::MAX;
        assert!(Grid::with_step(&everything, 1).is_err());
        assert_eq!(
            Grid::with_step(&everything, u64::MAX).expect("one").points,
            1
        );
    }

    proptest! {
        /// Every moment of a time stands in a step, which begins before it and ends after it.
        #[test]
        fn the_grid_covers_the_time(start in any::<u64>(), length in 1..u64::MAX, at in any::<u64>()) {
            let end = start.saturating_add(length);
            prop_assume!(start < end);
            let grid = Grid::of(&(start..end));
            prop_assert!((1..=Grid::MAX_POINTS).contains(&grid.points), "{grid:?}");
            let at = start + at % (end - start);
            let place = grid.place(at);
            prop_assert!(place < grid.points);
            prop_assert!(grid.begin_ns(place) <= at && at - grid.begin_ns(place) < grid.step_ns);
            // A step that is chosen is one that may be asked for.
            prop_assert_eq!(Grid::with_step(&(start..end), grid.step_s()), Ok(grid));
        }
    }
}
