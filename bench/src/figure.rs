//! One measured value with its spread.

use serde::Serialize;

/// A line of the report; `bench/report.py` reads these fields.
#[derive(Serialize)]
pub(crate) struct Figure {
    name: &'static str,
    unit: &'static str,
    goal: &'static str,
    median: f64,
    min: f64,
    max: f64,
    /// What makes the figure less than it looks; empty when nothing does.
    note: String,
}

/// What one run found.
pub(crate) struct Finding {
    pub value: f64,
    pub note: Option<String>,
}

impl Figure {
    /// Measures `runs` times after one run to warm up.
    ///
    /// # Errors
    /// Those of `run`: a figure of which a part failed is none.
    pub(crate) fn measure(
        name: &'static str,
        unit: &'static str,
        goal: &'static str,
        runs: u32,
        mut run: impl FnMut() -> anyhow::Result<Finding>,
    ) -> anyhow::Result<Self> {
        run()?;
        let findings = (0..runs)
            .map(|_| run())
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut values: Vec<_> = findings.iter().map(|finding| finding.value).collect();
        let note = findings
            .into_iter()
            .filter_map(|finding| finding.note)
            .next_back()
            .unwrap_or_default();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Ok(Self {
            name,
            unit,
            goal,
            median,
            min: values[0],
            max: values[values.len() - 1],
            note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(value: f64, note: Option<&str>) -> Finding {
        Finding {
            value,
            note: note.map(str::to_owned),
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "values are picked, not computed")]
    fn the_first_run_warms_up_and_the_rest_have_a_median() {
        let mut values = [1000.0, 3.0, 1.0, 2.0].into_iter();
        let figure = Figure::measure("x", "s", "–", 3, || {
            Ok(finding(values.next().expect("four runs"), None))
        });
        let figure = figure.expect("no failure");
        assert_eq!([figure.median, figure.min, figure.max], [2.0, 1.0, 3.0]);
        assert_eq!(figure.note, "");
    }

    #[test]
    fn what_one_run_noted_stays() {
        let mut notes = [None, Some("lost"), None].into_iter();
        let figure = Figure::measure("x", "s", "–", 2, || {
            Ok(finding(1.0, notes.next().expect("three runs")))
        });
        assert_eq!(figure.expect("no failure").note, "lost");
    }

    #[test]
    fn a_failed_run_is_no_figure() {
        assert!(Figure::measure("x", "s", "–", 1, || anyhow::bail!("lost")).is_err());
    }
}
