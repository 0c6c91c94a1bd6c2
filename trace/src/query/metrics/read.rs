//! Reads handlers and model calls, the newest first, and adds them up.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row, params_from_iter};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};

use super::series::{Grid, Series};
use super::{Counts, Metrics, Percentiles, Share, Whose};
use crate::error::StoreError;
use crate::measure::Kind;
use crate::model::StatusCode;
use crate::store::row::signed;

/// Of everything, the agents and the workflows that are named.
const MAX_SHARES: usize = 100;
/// The clock is looked at once in so many rows.
const ROWS_PER_LOOK: u64 = 1_024;

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Handlers and model calls. A duration takes 8 bytes of memory, of everything 24.
    pub(super) rows: u64,
    /// Of time, well before the query would be given up.
    pub(super) time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            rows: 1_000_000,
            time: Duration::from_secs(2),
        }
    }
}

/// The columns of [`statement`].
mod column {
    pub(super) const KIND: usize = 0;
    pub(super) const STATUS: usize = 1;
    pub(super) const DURATION_NS: usize = 2;
    pub(super) const TTFT_MS: usize = 3;
    pub(super) const PROMPT_TOKENS: usize = 4;
    pub(super) const COMPLETION_TOKENS: usize = 5;
    pub(super) const TOTAL_TOKENS: usize = 6;
    pub(super) const COST_USD: usize = 7;
    pub(super) const PHASES: usize = 8;
    pub(super) const START_NS: usize = 9;
    pub(super) const AGENT: usize = 10;
    pub(super) const WORKFLOW: usize = 11;
}

/// The query of these rows, the newest first, and its values. Of an agent, or a workflow, an index alone answers it.
pub(super) fn statement(whose: &Whose, during_ns: &Range<u64>) -> (String, Vec<SqlValue>) {
    let (names, condition, id) = match whose {
        Whose::Agent(id) => ("NULL, NULL", "agent_id = ?3 AND", Some(id)),
        Whose::Workflow(id) => ("NULL, NULL", "workflow_id = ?3 AND", Some(id)),
        Whose::All => ("agent_id, workflow_id", "", None),
    };
    let sql = format!(
        "SELECT kind, status, duration_ns, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases, start_ns,
                {names}
         FROM measures WHERE {condition} start_ns >= ?1 AND start_ns < ?2 ORDER BY start_ns DESC"
    );
    let times = [during_ns.start, during_ns.end].map(|ns| SqlValue::from(signed(ns)));
    let id = id.map(|id| SqlValue::from(id.clone()));
    (sql, times.into_iter().chain(id).collect())
}

pub(super) fn metrics(
    conn: &Connection,
    whose: &Whose,
    during_ns: &Range<u64>,
    grid: Grid,
    budget: Budget,
) -> Result<Metrics, StoreError> {
    let deadline = Instant::now() + budget.time;
    let (sql, values) = statement(whose, during_ns);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut sums = Sums::new(grid);
    let mut seen = 0;
    let mut since_ns = during_ns.end;
    let mut is_complete = true;
    while let Some(row) = rows.next()? {
        let is_over = seen % ROWS_PER_LOOK == 0 && Instant::now() >= deadline;
        if is_over || seen == budget.rows {
            is_complete = false;
            break;
        }
        seen += 1;
        since_ns = row.get::<_, i64>(column::START_NS)?.cast_unsigned();
        sums.add(row, since_ns)?;
    }
    Ok(Metrics {
        since_ns: if is_complete {
            during_ns.start
        } else {
            since_ns
        },
        is_complete,
        ..sums.finish()
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
    by_agent: Shares,
    by_workflow: Shares,
    metrics: Metrics,
}

impl Sums {
    fn new(grid: Grid) -> Self {
        Self {
            step: Step::default(),
            handlers: Gathered::default(),
            calls: Gathered::default(),
            ttft_ms: Vec::new(),
            by_agent: Shares::default(),
            by_workflow: Shares::default(),
            metrics: Metrics {
                series: Series::empty(&grid),
                ..Metrics::default()
            },
            grid,
        }
    }

    /// Adds a row, which began no later than the one before it.
    fn add(&mut self, row: &Row<'_>, start_ns: u64) -> Result<(), StoreError> {
        let place = self.grid.place(start_ns);
        if place != self.step.place {
            self.close_step();
            self.step.place = place;
        }
        let is_error = row.get::<_, u8>(column::STATUS)? == StatusCode::Error as u8;
        let duration_ns: Option<i64> = row.get(column::DURATION_NS)?;
        let duration_ms = duration_ns.map(|ns| ns as f64 / 1e6);
        if row.get::<_, u8>(column::KIND)? == Kind::Handler as u8 {
            self.add_handler(row, is_error, duration_ms)
        } else {
            self.add_call(row, is_error, duration_ms)
        }
    }

    fn add_handler(
        &mut self,
        row: &Row<'_>,
        is_error: bool,
        duration_ms: Option<f64>,
    ) -> Result<(), StoreError> {
        self.handlers.add(is_error, duration_ms);
        self.step.executions += 1;
        self.step.errors += u64::from(is_error);
        let text = |at| {
            let text = row.get_ref(at)?.as_str_or_null();
            text.map_err(rusqlite::Error::from)
        };
        if let Some(phases) = text(column::PHASES)? {
            add_phases(phases, &mut self.metrics.phases)?;
        }
        for (at, shares) in [
            (column::AGENT, &mut self.by_agent),
            (column::WORKFLOW, &mut self.by_workflow),
        ] {
            if let Some(id) = text(at)? {
                shares.of(id).add(is_error, duration_ms);
            }
        }
        Ok(())
    }

    fn add_call(
        &mut self,
        row: &Row<'_>,
        is_error: bool,
        duration_ms: Option<f64>,
    ) -> Result<(), StoreError> {
        self.calls.add(is_error, duration_ms);
        self.ttft_ms
            .extend(row.get::<_, Option<f64>>(column::TTFT_MS)?);
        let of = &mut self.metrics.model_calls;
        add(&mut of.prompt_tokens, row.get(column::PROMPT_TOKENS)?);
        let completion_tokens = row.get(column::COMPLETION_TOKENS)?;
        add(&mut of.completion_tokens, completion_tokens);
        let total_tokens = row.get(column::TOTAL_TOKENS)?;
        add(&mut of.total_tokens, total_tokens);
        let cost: Option<f64> = row.get(column::COST_USD)?;
        of.without_cost += u64::from(cost.is_none());
        add(&mut of.cost_usd, cost);
        let (series, place) = (&mut self.metrics.series, self.step.place);
        add(&mut series.total_tokens[place], total_tokens);
        add(&mut series.cost_usd[place], cost);
        Ok(())
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

    fn finish(mut self) -> Metrics {
        self.close_step();
        let mut metrics = self.metrics;
        metrics.executions = self.handlers.counts();
        metrics.model_calls.counts = self.calls.counts();
        metrics.model_calls.ttft_ms = Percentiles::of(&mut self.ttft_ms);
        metrics.by_agent = self.by_agent.largest();
        metrics.by_workflow = self.by_workflow.largest();
        metrics
    }
}

/// What each of many has.
#[derive(Default)]
struct Shares(FxHashMap<String, Gathered>);

impl Shares {
    /// No text is made for an id that is known.
    fn of(&mut self, id: &str) -> &mut Gathered {
        if !self.0.contains_key(id) {
            self.0.insert(id.to_owned(), Gathered::default());
        }
        self.0.get_mut(id).expect("it was put there")
    }

    /// Those with the most handlers, the largest first, and by id where they have as many.
    fn largest(self) -> Vec<Share> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_unstable_by(|(a_id, a), (b_id, b)| (b.count, a_id).cmp(&(a.count, b_id)));
        all.truncate(MAX_SHARES);
        let share = |(id, gathered): (String, Gathered)| {
            let counts = gathered.counts();
            Share { id, counts }
        };
        all.into_iter().map(share).collect()
    }
}

/// A sum of what is known.
fn add<T: std::ops::Add<Output = T>>(sum: &mut Option<T>, value: Option<T>) {
    *sum = match (sum.take(), value) {
        (Some(sum), Some(value)) => Some(sum + value),
        (sum, value) => sum.or(value),
    };
}

/// Adds the phases of one handler; no text is made for a name that is known.
fn add_phases(json: &str, sums: &mut BTreeMap<String, f64>) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    struct Sums<'a>(&'a mut BTreeMap<String, f64>);
    impl<'de> Visitor<'de> for Sums<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("milliseconds by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some((Name(name), ms)) = map.next_entry::<Name<'de>, f64>()? {
                match self.0.get_mut(&*name) {
                    Some(sum) => *sum += ms,
                    None => _ = self.0.insert(name.into_owned(), ms),
                }
            }
            Ok(())
        }
    }
    let corrupt = |source| StoreError::Corrupt {
        what: "phases",
        source,
    };
    serde_json::Deserializer::from_str(json)
        .deserialize_map(Sums(sums))
        .map_err(corrupt)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
