//! Sums over model calls and handlers of a time: what an agent, or a workflow, has cost.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rusqlite::Connection;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::measure::Kind;
use crate::model::StatusCode;
use crate::store::row::signed;

/// Whose metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of all handlers and calls of an agent.
    Agent(String),
    /// Of all of a workflow.
    Workflow(String),
}

/// What was measured. What nobody has measured is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Metrics {
    /// Handlers that have run.
    pub executions: Counts,
    /// Milliseconds of all executions in each phase, by its name and `_ms`.
    pub phases: BTreeMap<String, f64>,
    /// Calls of models.
    pub model_calls: ModelCalls,
}

/// How many, how they ended, and how long they took.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
    fn of(mut values: Vec<f64>) -> Option<Self> {
        let most = values.len().checked_sub(1)?;
        let count = values.len();
        // The largest first, so that what lies below it alone is looked at for the next one.
        let mut rest = values.as_mut_slice();
        let [p99, p95, p50] = [99, 95, 50].map(|percent| {
            let at = ((count * percent).div_ceil(100)).clamp(1, most + 1) - 1;
            let (_, value, _) = rest.select_nth_unstable_by(at, f64::total_cmp);
            let value = *value;
            rest = &mut std::mem::take(&mut rest)[..=at];
            value
        });
        Some(Self { p50, p95, p99 })
    }
}

impl Query {
    /// Metrics of what began in this time, ns since the Unix epoch.
    pub async fn metrics(
        &self,
        whose: Whose,
        during_ns: std::ops::Range<u64>,
    ) -> Result<Metrics, QueryError> {
        self.read(move |conn| metrics(conn, &whose, &during_ns))
            .await
    }
}

/// Counts and durations as they are gathered.
#[derive(Default)]
struct Gathered {
    count: u64,
    errors: u64,
    durations_ms: Vec<f64>,
}

impl Gathered {
    fn add(&mut self, is_error: bool, duration_ns: Option<i64>) {
        self.count += 1;
        self.errors += u64::from(is_error);
        self.durations_ms
            .extend(duration_ns.map(|ns| ns as f64 / 1e6));
    }

    fn counts(self) -> Counts {
        Counts {
            count: self.count,
            errors: self.errors,
            error_rate: (self.count > 0).then(|| self.errors as f64 / self.count as f64),
            duration_ms: Percentiles::of(self.durations_ms),
        }
    }
}

/// A sum of what is known.
fn add<T: std::ops::Add<Output = T>>(sum: &mut Option<T>, value: Option<T>) {
    *sum = match (sum.take(), value) {
        (Some(sum), Some(value)) => Some(sum + value),
        (sum, value) => sum.or(value),
    };
}

fn metrics(
    conn: &Connection,
    whose: &Whose,
    during_ns: &std::ops::Range<u64>,
) -> Result<Metrics, StoreError> {
    let (column, id) = match whose {
        Whose::Agent(id) => ("agent_id", id),
        Whose::Workflow(id) => ("workflow_id", id),
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT kind, status, duration_ns, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases
         FROM measures WHERE {column} = ?1 AND start_ns >= ?2 AND start_ns < ?3"
    ))?;
    let mut rows = statement.query((id, signed(during_ns.start), signed(during_ns.end)))?;
    let (mut handlers, mut calls) = (Gathered::default(), Gathered::default());
    let mut metrics = Metrics::default();
    let mut ttft_ms = Vec::new();
    while let Some(row) = rows.next()? {
        let is_error = row.get::<_, u8>(1)? == StatusCode::Error as u8;
        let duration_ns = row.get(2)?;
        if row.get::<_, u8>(0)? == Kind::Handler as u8 {
            handlers.add(is_error, duration_ns);
            let phases = row.get_ref(8)?.as_str_or_null();
            if let Some(phases) = phases.map_err(rusqlite::Error::from)? {
                add_phases(phases, &mut metrics.phases)?;
            }
            continue;
        }
        calls.add(is_error, duration_ns);
        ttft_ms.extend(row.get::<_, Option<f64>>(3)?);
        let of = &mut metrics.model_calls;
        add(&mut of.prompt_tokens, row.get(4)?);
        add(&mut of.completion_tokens, row.get(5)?);
        add(&mut of.total_tokens, row.get(6)?);
        let cost: Option<f64> = row.get(7)?;
        of.without_cost += u64::from(cost.is_none());
        add(&mut of.cost_usd, cost);
    }
    metrics.executions = handlers.counts();
    metrics.model_calls.counts = calls.counts();
    metrics.model_calls.ttft_ms = Percentiles::of(ttft_ms);
    Ok(metrics)
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
#[path = "metrics_tests.rs"]
mod tests;
