//! Reads handlers and model calls, the newest first, and adds them up.

use std::ops::Range;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustc_hash::FxHashMap;

use super::series::{Grid, Series};
use super::{Counts, Metrics, Percentiles, Share, Whose};
use crate::error::StoreError;
use crate::measure::Kind;
use crate::query::lists;
use crate::store::blocks::{List, Newest, Sample};
use crate::store::names::Names;

/// Of everything, the agents and the workflows that are named.
const MAX_SHARES: usize = 100;
/// The clock is looked at once in so many samples.
const SAMPLES_PER_LOOK: u64 = 1_024;

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Handlers and model calls. A duration takes 8 bytes of memory, of everything 24.
    pub(super) samples: u64,
    /// Of time, well before the query would be given up.
    pub(super) time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            samples: 5_000_000,
            time: Duration::from_secs(2),
        }
    }
}

pub(super) fn metrics(
    conn: &Connection,
    whose: &Whose,
    during_ns: &Range<u64>,
    grid: Grid,
    budget: Budget,
) -> Result<Metrics, StoreError> {
    let deadline = Instant::now() + budget.time;
    let mut sums = Sums::new(grid, *whose == Whose::All);
    let list = match whose {
        Whose::Agent(id) => lists::find(conn, List::Agent, id)?,
        Whose::Workflow(id) => lists::find(conn, List::Workflow, id)?,
        Whose::All => Some((List::All, 0)),
    };
    let mut seen = 0;
    let mut since_ns = during_ns.end;
    let mut is_complete = true;
    if let Some(list) = list {
        let mut samples: Newest<'_, Sample> = Newest::new(conn, list, lists::starts(during_ns))?;
        while let Some(sample) = samples.next()? {
            let is_over = seen % SAMPLES_PER_LOOK == 0 && Instant::now() >= deadline;
            if is_over || seen == budget.samples {
                is_complete = false;
                break;
            }
            seen += 1;
            since_ns = sample.start_ns.cast_unsigned();
            sums.add(&sample);
        }
    }
    Ok(Metrics {
        since_ns: if is_complete {
            during_ns.start
        } else {
            since_ns
        },
        is_complete,
        ..sums.finish(&mut Names::new(conn))?
    })
}

/// Counts and durations as they are gathered.
#[derive(Default)]
struct Gathered {
    count: u64,
    errors: u64,
    durations_ms: Vec<f64>,
}

impl Gathered {
    fn add(&mut self, is_error: bool, duration_ms: Option<f64>) {
        self.count += 1;
        self.errors += u64::from(is_error);
        self.durations_ms.extend(duration_ms);
    }

    fn counts(mut self) -> Counts {
        Counts {
            count: self.count,
            errors: self.errors,
            error_rate: (self.count > 0).then(|| self.errors as f64 / self.count as f64),
            duration_ms: Percentiles::of(&mut self.durations_ms),
        }
    }
}

/// A step of the grid while its rows come. Its durations are the last ones of all.
#[derive(Default)]
struct Step {
    place: usize,
    executions: u64,
    errors: u64,
    /// How many durations there were before it.
    durations_before: usize,
}

/// All that is added up.
struct Sums {
    grid: Grid,
    step: Step,
    handlers: Gathered,
    calls: Gathered,
    ttft_ms: Vec<f64>,
    /// Milliseconds by `names.id` of the phase.
    phases: FxHashMap<i64, f64>,
    /// Whose shares there are; `None` where nobody asks.
    shares: Option<Shares>,
    metrics: Metrics,
}

/// By `names.id`.
#[derive(Default)]
struct Shares {
    agents: FxHashMap<i64, Gathered>,
    workflows: FxHashMap<i64, Gathered>,
}

impl Sums {
    fn new(grid: Grid, has_shares: bool) -> Self {
        Self {
            step: Step::default(),
            handlers: Gathered::default(),
            calls: Gathered::default(),
            ttft_ms: Vec::new(),
            phases: FxHashMap::default(),
            shares: has_shares.then(Shares::default),
            metrics: Metrics {
                series: Series::empty(&grid),
                ..Metrics::default()
            },
            grid,
        }
    }

    /// Adds a sample, which began no later than the one before it.
    fn add(&mut self, sample: &Sample) {
        let place = self.grid.place(sample.start_ns.cast_unsigned());
        if place != self.step.place {
            self.close_step();
            self.step.place = place;
        }
        let duration_ms = sample.duration_ns.map(|ns| ns as f64 / 1e6);
        match sample.kind {
            Kind::Handler => self.add_handler(sample, duration_ms),
            Kind::ModelCall => self.add_call(sample, duration_ms),
        }
    }

    fn add_handler(&mut self, sample: &Sample, duration_ms: Option<f64>) {
        self.handlers.add(sample.is_error, duration_ms);
        self.step.executions += 1;
        self.step.errors += u64::from(sample.is_error);
        for (name, ms) in &sample.phases {
            *self.phases.entry(*name).or_default() += ms;
        }
        if let Some(Shares { agents, workflows }) = &mut self.shares {
            for (id, shares) in [(sample.agent, agents), (sample.workflow, workflows)] {
                if let Some(id) = id {
                    let share = shares.entry(id).or_default();
                    share.add(sample.is_error, duration_ms);
                }
            }
        }
    }

    fn add_call(&mut self, sample: &Sample, duration_ms: Option<f64>) {
        self.calls.add(sample.is_error, duration_ms);
        self.ttft_ms.extend(sample.ttft_ms);
        let of = &mut self.metrics.model_calls;
        add(&mut of.prompt_tokens, sample.prompt_tokens);
        add(&mut of.completion_tokens, sample.completion_tokens);
        add(&mut of.total_tokens, sample.total_tokens);
        of.without_cost += u64::from(sample.cost_usd.is_none());
        add(&mut of.cost_usd, sample.cost_usd);
        let (series, place) = (&mut self.metrics.series, self.step.place);
        add(&mut series.total_tokens[place], sample.total_tokens);
        add(&mut series.cost_usd[place], sample.cost_usd);
    }

    /// Writes down what the step has of handlers.
    fn close_step(&mut self) {
        let durations_ms = &mut self.handlers.durations_ms;
        let durations_before = durations_ms.len();
        let Step {
            place, executions, ..
        } = self.step;
        if executions > 0 {
            let series = &mut self.metrics.series;
            series.executions[place] = Some(executions);
            series.errors[place] = Some(self.step.errors);
            let of_step = &mut durations_ms[self.step.durations_before..];
            if let Some([p95, p50]) = Percentiles::ranks(of_step, [95, 50]) {
                series.p95_ms[place] = Some(p95);
                series.p50_ms[place] = Some(p50);
            }
        }
        self.step = Step {
            durations_before,
            ..Step::default()
        };
    }

    fn finish(mut self, names: &mut Names<'_>) -> Result<Metrics, StoreError> {
        self.close_step();
        let mut metrics = self.metrics;
        metrics.executions = self.handlers.counts();
        metrics.model_calls.counts = self.calls.counts();
        metrics.model_calls.ttft_ms = Percentiles::of(&mut self.ttft_ms);
        for (name, ms) in self.phases {
            metrics.phases.insert(names.text(name)?, ms);
        }
        if let Some(shares) = self.shares {
            metrics.by_agent = largest(shares.agents, names)?;
            metrics.by_workflow = largest(shares.workflows, names)?;
        }
        Ok(metrics)
    }
}

/// Those with the most handlers, the largest first, and by id where they have as many.
fn largest(
    shares: FxHashMap<i64, Gathered>,
    names: &mut Names<'_>,
) -> Result<Vec<Share>, StoreError> {
    let mut all = Vec::with_capacity(shares.len());
    for (id, gathered) in shares {
        all.push((names.text(id)?, gathered));
    }
    all.sort_unstable_by(|(a_id, a), (b_id, b)| (b.count, a_id).cmp(&(a.count, b_id)));
    all.truncate(MAX_SHARES);
    let share = |(id, gathered): (String, Gathered)| {
        let counts = gathered.counts();
        Share { id, counts }
    };
    Ok(all.into_iter().map(share).collect())
}

/// A sum of what is known.
fn add<T: std::ops::Add<Output = T>>(sum: &mut Option<T>, value: Option<T>) {
    *sum = match (sum.take(), value) {
        (Some(sum), Some(value)) => Some(sum + value),
        (sum, value) => sum.or(value),
    };
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
