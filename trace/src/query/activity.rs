//! How busy agents and workflows were: counts and durations of their handlers in a time.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use rustc_hash::{FxHashMap, FxHashSet};

use super::rank::percentile_ms;
use super::{Query, lists};
use crate::error::{QueryError, StoreError};
use crate::measure::Kind;
use crate::store::blocks::{List, Newest, Sample};
use crate::store::names::Names;

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
    traces: FxHashSet<i64>,
    /// `names.id`
    agents: FxHashSet<i64>,
}

impl Gathered {
    fn add(&mut self, sample: &Sample) {
        let activity = &mut self.activity;
        activity.last_ns = activity.last_ns.max(sample.start_ns.cast_unsigned());
        self.traces.insert(sample.trace);
        self.agents.extend(sample.agent);
        if sample.kind == Kind::Handler {
            activity.executions += 1;
            activity.errors += u64::from(sample.is_error);
            self.durations_ns
                .extend(sample.duration_ns.map(i64::cast_unsigned));
        }
    }

    fn finish(mut self, names: &mut Names<'_>) -> Result<Activity, StoreError> {
        self.durations_ns.sort_unstable();
        let agents = self.agents.into_iter().map(|id| names.text(id));
        Ok(Activity {
            p50_ms: percentile_ms(&self.durations_ns, 50),
            p95_ms: percentile_ms(&self.durations_ns, 95),
            traces: self.traces.len() as u64,
            agents: agents.collect::<Result<_, _>>()?,
            ..self.activity
        })
    }
}

fn read(
    conn: &Connection,
    by: By,
    only: Option<&str>,
    (from_ns, to_ns): (u64, u64),
    max: u64,
) -> Result<Activities, StoreError> {
    let list = match (by, only) {
        (_, None) => Some((List::All, 0)),
        (By::Agent, Some(agent)) => lists::find(conn, List::Agent, agent)?,
        (By::Workflow, Some(workflow)) => lists::find(conn, List::Workflow, workflow)?,
    };
    let Some(list) = list else {
        return Ok(Activities::default());
    };
    let starts = lists::starts(&(from_ns..to_ns));
    let mut samples: Newest<'_, Sample> = Newest::new(conn, list, starts)?;
    let mut gathered: FxHashMap<i64, Gathered> = FxHashMap::default();
    let mut count = 0;
    while count < max
        && let Some(sample) = samples.next()?
    {
        let id = match by {
            By::Agent => sample.agent,
            By::Workflow => sample.workflow,
        };
        let Some(id) = id else { continue };
        count += 1;
        gathered.entry(id).or_default().add(&sample);
    }
    let mut names = Names::new(conn);
    let mut of = BTreeMap::new();
    for (id, gathered) in gathered {
        of.insert(names.text(id)?, gathered.finish(&mut names)?);
    }
    Ok(Activities {
        of,
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
