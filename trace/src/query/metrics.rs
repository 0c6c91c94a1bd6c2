//! Sums over model calls and handlers of a time, in total and along the time: what an agent, a workflow, or everything has
//! cost.

mod read;
mod series;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use utoipa::ToSchema;

pub use series::{Grid, Series, TooFine};

use super::Query;
use crate::error::QueryError;

/// Whose metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of all handlers and calls of an agent.
    Agent(String),
    /// Of all of a workflow.
    Workflow(String),
    /// Of everything.
    All,
}

/// What was measured. What nobody has measured is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics {
    /// Since when everything was looked at, ns since the Unix epoch: later than was asked for where the budget ended it.
    pub since_ns: u64,
    /// All of the time was looked at.
    pub is_complete: bool,
    /// Handlers that have run.
    pub executions: Counts,
    /// Milliseconds of all executions in each phase, by its name and `_ms`.
    pub phases: BTreeMap<String, f64>,
    /// Calls of models.
    pub model_calls: ModelCalls,
    /// The same along the time.
    pub series: Series,
    /// Agents with the most executions, the busiest first; of [`Whose::All`] only.
    pub by_agent: Vec<Share>,
    /// The same of workflows.
    pub by_workflow: Vec<Share>,
}

/// What one of many has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The agent, or the workflow.
    pub id: String,
    /// Its handlers.
    pub counts: Counts,
}

/// How many, how they ended, and how long they took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Counts {
    /// How many there were.
    pub count: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Share of those that failed, from 0 to 1.
    pub error_rate: Option<f64>,
    /// In milliseconds.
    pub duration_ms: Option<Percentiles>,
}

/// Counts of model calls, and what only they have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct ModelCalls {
    /// As of handlers.
    #[serde(flatten)]
    pub counts: Counts,
    /// Time to the first token, in milliseconds.
    pub ttft_ms: Option<Percentiles>,
    /// Tokens of the prompts that are known.
    pub prompt_tokens: Option<i64>,
    /// Tokens of the answers that are known.
    pub completion_tokens: Option<i64>,
    /// Of both.
    pub total_tokens: Option<i64>,
    /// USD of the calls whose price is known.
    pub cost_usd: Option<f64>,
    /// Calls without a price.
    pub without_cost: u64,
}

/// Below which value this part of all values lies, by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
}

impl Percentiles {
    /// `None` of nothing.
    fn of(values: &mut [f64]) -> Option<Self> {
        let [p99, p95, p50] = Self::ranks(values, [99, 95, 50])?;
        Some(Self { p50, p95, p99 })
    }

    /// The values of these ranks in percent, the highest rank first; changes the order of the values.
    fn ranks<const N: usize>(values: &mut [f64], percents: [usize; N]) -> Option<[f64; N]> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mut rest = values;
        Some(percents.map(|percent| {
            let at = (count * percent).div_ceil(100).clamp(1, count) - 1;
            let (_, value, _) = rest.select_nth_unstable_by(at, f64::total_cmp);
            let value = *value;
            // What lies below it alone is looked at for the next one.
            rest = &mut std::mem::take(&mut rest)[..=at];
            value
        }))
    }
}

impl Query {
    /// Metrics of what began in this time, ns since the Unix epoch, and where on the grid. The newest million of handlers and
    /// model calls is looked at, for two seconds at most.
    pub async fn metrics(
        &self,
        whose: Whose,
        during_ns: Range<u64>,
        grid: Grid,
    ) -> Result<Metrics, QueryError> {
        self.read(move |conn| {
            read::metrics(conn, &whose, &during_ns, grid, read::Budget::default())
        })
        .await
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
