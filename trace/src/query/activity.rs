//! How busy agents and workflows were: counts and durations of their handlers in a time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rusqlite::{Connection, params};

use super::Query;
use super::rank::percentile_ms;
use crate::error::{QueryError, StoreError};
use crate::measure::Kind;
use crate::model::StatusCode;
use crate::store::row::signed;

/// Handlers and model calls that are looked at, the newest of the time.
const MAX_MEASURES: u64 = 200_000;

/// By what the handlers are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The agent that ran them.
    Agent,
    /// The workflow that they belong to.
    Workflow,
}

/// What one agent, or one workflow, did. What nobody has measured is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Activity {
    /// Handlers that began.
    pub executions: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Half of them took less, in ms.
    pub p50_ms: Option<f64>,
    /// 95 of 100 took less, in ms.
    pub p95_ms: Option<f64>,
    /// Start of the newest handler or model call, ns since the Unix epoch.
    pub last_ns: u64,
    /// Traces of its handlers and model calls.
    pub traces: u64,
    /// Agents that ran them.
    pub agents: BTreeSet<String>,
}

impl Activity {
    /// Share of the handlers that failed, from 0 to 1.
    pub fn error_rate(&self) -> Option<f64> {
        (self.executions > 0).then(|| self.errors as f64 / self.executions as f64)
    }
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Activities {
    /// By id.
    pub of: BTreeMap<String, Activity>,
    /// There was more than is looked at: the oldest of the time is left out.
    pub truncated: bool,
}

impl Query {
    /// What each agent, or each workflow, did that began from `from_ns` to before `to_ns`, ns since the Unix epoch; of one
    /// alone, if `only` names it. The newest 200,000 handlers and model calls are looked at.
    pub async fn activity(
        &self,
        by: By,
        only: Option<String>,
        from_ns: u64,
        to_ns: u64,
    ) -> Result<Activities, QueryError> {
        self.read(move |conn| read(conn, by, only.as_deref(), (from_ns, to_ns), MAX_MEASURES))
            .await
    }
}

/// One agent or workflow while it is read.
#[derive(Default)]
struct Gathered {
    activity: Activity,
    durations_ns: Vec<u64>,
    traces: HashSet<i64>,
}

fn read(
    conn: &Connection,
    by: By,
    only: Option<&str>,
    (from_ns, to_ns): (u64, u64),
    max: u64,
) -> Result<Activities, StoreError> {
    let column = match by {
        By::Agent => "agent_id",
        By::Workflow => "workflow_id",
    };
    let condition = match only {
        Some(_) => format!("{column} = ?4"),
        None => format!("+{column} IS NOT NULL AND ?4 IS NULL"),
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {column}, kind, status, duration_ns, trace, start_ns, agent_id FROM measures
         WHERE {condition} AND start_ns >= ?1 AND start_ns < ?2 ORDER BY start_ns DESC LIMIT ?3"
    ))?;
    let max = signed(max);
    let mut rows = statement.query(params![signed(from_ns), signed(to_ns), max, only])?;
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        let id: String = row.get(0)?;
        let Gathered {
            activity,
            durations_ns,
            traces,
        } = gathered.entry(id).or_default();
        activity.last_ns = activity.last_ns.max(row.get::<_, i64>(5)?.cast_unsigned());
        traces.insert(row.get(4)?);
        activity.agents.extend(row.get::<_, Option<String>>(6)?);
        if row.get::<_, u8>(1)? == Kind::Handler as u8 {
            activity.executions += 1;
            activity.errors += u64::from(row.get::<_, u8>(2)? == StatusCode::Error as u8);
            durations_ns.extend(row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned));
        }
    }
    let finish = |(id, mut gathered): (String, Gathered)| {
        gathered.durations_ns.sort_unstable();
        let activity = Activity {
            p50_ms: percentile_ms(&gathered.durations_ns, 50),
            p95_ms: percentile_ms(&gathered.durations_ns, 95),
            traces: gathered.traces.len() as u64,
            ..gathered.activity
        };
        (id, activity)
    };
    Ok(Activities {
        of: gathered.into_iter().map(finish).collect(),
        truncated: count == max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;
    use crate::testing::{BASE, MS, span, stored, trace_id};
    use loom_proto::semconv::span as name;

    fn handler(trace: u8, id: u64, agent: &str, workflow: &str, ms: u64) -> Span {
        let mut handler = span(id, 0, name::ON_EVENT, id, id + ms);
        handler.trace_id = trace_id(trace);
        handler.identity.agent = Some(agent.to_owned());
        handler.identity.workflow = Some(workflow.to_owned());
        handler
    }

    #[test]
    fn by_agent_and_by_workflow() {
        let (_dir, conn) = stored(&[
            handler(1, 1, "a", "w", 10),
            handler(1, 2, "b", "w", 20).failed("no"),
            handler(2, 3, "a", "w", 30),
            handler(3, 4, "a", "x", 40),
        ]);
        let read = |by, only, from_ms: u64, max| {
            let during = (BASE + from_ms * MS, BASE + 1_000 * MS);
            read(&conn, by, only, during, max).expect("read")
        };
        let all = read(By::Agent, None, 0, 100);
        let shown = |found: &Activities| {
            let of = found.of.iter();
            of.map(|(id, a)| (id.clone(), a.executions, a.errors, a.p95_ms, a.traces))
                .collect::<Vec<_>>()
        };
        let (a, b, w, x) = (
            "a".to_owned(),
            "b".to_owned(),
            "w".to_owned(),
            "x".to_owned(),
        );
        let expected = [(a.clone(), 3, 0, Some(40.0), 3), (b, 1, 1, Some(20.0), 1)];
        assert_eq!((shown(&all), all.truncated), (expected.to_vec(), false));
        assert_eq!(all.of[&a].last_ns, BASE + 4 * MS);
        assert_eq!(all.of["b"].error_rate(), Some(1.0));
        assert_eq!(Activity::default().error_rate(), None);

        let workflows = read(By::Workflow, None, 0, 100);
        let expected = [(w.clone(), 3, 1, Some(30.0), 2), (x, 1, 0, Some(40.0), 1)];
        assert_eq!(shown(&workflows), expected);
        assert_eq!(
            workflows.of[&w].agents.iter().collect::<Vec<_>>(),
            ["a", "b"]
        );
        let one = read(By::Workflow, Some("w"), 2, 100);
        assert_eq!(shown(&one), [(w, 2, 1, Some(30.0), 2)]);
        // The newest count where there is too much.
        let few = read(By::Agent, None, 0, 2);
        assert_eq!(
            (shown(&few), few.truncated),
            (vec![(a, 2, 0, Some(40.0), 2)], true)
        );
    }
}
