//! The routes of executions: those that are open, which the broker and the groups know, before those that have ended,
//! which the trace store knows.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use loom_core::OpenExecution;
use loom_core::execution;
use loom_telemetry::ids::now_unix_nano;
use loom_trace::api::{During, LoomProblem, Page, PageOf, Path, Period, Problem, Query};
use loom_trace::model::SpanId;
use loom_trace::query::{ExecutionSearch, ExecutionState, Place};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Parts;
use super::execution::{ExecutionItem, WholeExecution};

/// How far back it is looked, unless told otherwise.
const DEFAULT_PERIOD: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_LIMIT: usize = 50;
/// Executions of one answer at most, whatever was asked for.
const MAX_LIMIT: usize = 1000;

/// `/api/v1/executions` and what stands below it.
pub(super) fn routes() -> OpenApiRouter<Parts> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(states))
        .routes(routes!(show))
}

/// Which executions are meant. The parameters are read by [`read`].
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description")]
struct Conditions {
    /// Any number of states, in either case.
    state: Option<Vec<ExecutionState>>,
    /// The agent that handles.
    agent: Option<String>,
    /// The workflow that it belongs to.
    workflow: Option<String>,
}

/// Executions, the newest first
///
/// Those that are open stand on the first page, before those that have ended.
#[utoipa::path(
    get,
    path = "/api/v1/executions",
    operation_id = "listExecutions",
    tag = "executions",
    params(Conditions, During, PageOf),
    responses((status = 200, description = "The executions.", body = Page<ExecutionItem>), LoomProblem),
)]
async fn list(
    State(parts): State<Parts>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Page<ExecutionItem>>, LoomProblem> {
    let (wanted, mut search) = read(&pairs)?;
    let limit = search.limit;
    let mut items = Vec::new();
    let mut truncated = false;
    let open = if search.after.is_none() {
        open(&parts, &wanted, &search)
    } else {
        Vec::new()
    };
    let mut stored = Vec::new();
    if wanted.may_have_ended() {
        // One more than wanted tells whether there are more.
        search.limit = limit + 1;
        stored = parts.store.query().executions(search).await?;
    }
    for execution in open {
        let id = execution.context.span_id.to_string();
        // What has ended a moment ago may be known to both.
        if stored.iter().any(|ended| ended.id().to_string() == id) {
            continue;
        }
        if items.len() == limit {
            truncated = true;
            break;
        }
        items.push(ExecutionItem::from(&execution));
    }
    let room = limit - items.len();
    let mut next = None;
    if stored.len() > room {
        stored.truncate(room);
        truncated = true;
        next = stored.last().map(|last| last.place.to_string());
    }
    items.extend(stored.iter().map(ExecutionItem::from));
    Ok(Json(Page {
        items,
        next_cursor: next,
        truncated,
    }))
}

/// Executions by their state.
#[derive(Debug, Serialize, ToSchema)]
struct States {
    /// How many are in each state that was asked for.
    #[schema(value_type = BTreeMap<ExecutionState, u64>)]
    states: BTreeMap<String, u64>,
}

/// How many executions there are in each state, by the conditions of the list
#[utoipa::path(
    get,
    path = "/api/v1/executions/states",
    operation_id = "countExecutions",
    tag = "executions",
    params(Conditions, During),
    responses((status = 200, description = "The numbers.", body = States), LoomProblem),
)]
async fn states(
    State(parts): State<Parts>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<States>, LoomProblem> {
    let (wanted, search) = read(&pairs)?;
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    for state in execution::State::ALL {
        if wanted.has(state) {
            states.insert(state.to_string(), 0);
        }
    }
    // What has not been handed to an agent is none of its executions yet: it is counted, and not listed.
    if wanted.has(execution::State::Pending) && search.agent.is_none() && search.workflow.is_none()
    {
        *states
            .entry(execution::State::Pending.to_string())
            .or_default() += waiting(&parts);
    }
    for execution in open(&parts, &wanted, &search) {
        *states.entry(execution.state.to_string()).or_default() += 1;
    }
    if wanted.may_have_ended() {
        let ended = parts.store.query().execution_states(search).await?;
        for (state, count) in ended {
            *states.entry(state).or_default() += count;
        }
    }
    Ok(Json(States { states }))
}

/// One execution
#[utoipa::path(
    get,
    path = "/api/v1/executions/{id}",
    operation_id = "getExecution",
    tag = "executions",
    params(("id" = SpanId, Path, description = "Its id: that of the span which handed it over.")),
    responses((status = 200, description = "The execution.", body = WholeExecution), LoomProblem),
)]
async fn show(
    State(parts): State<Parts>,
    Path(id): Path<String>,
) -> Result<Json<WholeExecution>, LoomProblem> {
    let id: SpanId = id
        .parse()
        .map_err(|error| Problem::bad_request(format!("execution id {id:?}: {error}")))?;
    if let Some(ended) = parts.store.query().execution(id).await? {
        let query = parts.store.query();
        let timing = query.timing(ended.trace_id, ended.span_id).await?;
        return Ok(Json(WholeExecution {
            execution: ExecutionItem::from(&ended),
            metadata: Some(ended.attributes),
            timing,
        }));
    }
    let everything = (Wanted(Vec::new()), ExecutionSearch::default());
    let open = open(&parts, &everything.0, &everything.1)
        .into_iter()
        .find(|open| open.context.span_id.to_string() == id.to_string());
    let open = open.ok_or_else(|| Problem::not_found("execution not found"))?;
    Ok(Json(WholeExecution {
        execution: ExecutionItem::from(&open),
        metadata: None,
        timing: None,
    }))
}

/// The states that are asked for; empty: all.
struct Wanted(Vec<execution::State>);

impl Wanted {
    fn has(&self, state: execution::State) -> bool {
        self.0.is_empty() || self.0.contains(&state)
    }

    fn may_have_ended(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|state| state.is_final())
    }
}

/// Open executions, the newest first. Nobody knows yet which workflow they belong to.
fn open(parts: &Parts, wanted: &Wanted, search: &ExecutionSearch) -> Vec<OpenExecution> {
    if search.workflow.is_some() {
        return Vec::new();
    }
    let mut open = parts.broker.open_executions();
    open.extend(parts.bridge.open_executions());
    open.retain(|execution| {
        let since = execution.since_unix_nano;
        wanted.has(execution.state)
            && search
                .agent
                .as_ref()
                .is_none_or(|agent| *agent == execution.agent)
            && search.from_ns.is_none_or(|from| since >= from)
            && search.to_ns.is_none_or(|to| since < to)
    });
    open.sort_by_key(|execution| std::cmp::Reverse(execution.since_unix_nano));
    open
}

/// Deliveries in mailboxes, and events in groups, that wait for an agent.
fn waiting(parts: &Parts) -> u64 {
    let groups = parts.bus.groups();
    let in_hand: u64 = groups
        .iter()
        .map(|group| group.books().open.saturating_sub(group.waiting() as u64))
        .sum();
    parts.bus.stats().in_flight.saturating_sub(in_hand)
}

fn read(pairs: &[(String, String)]) -> Result<(Wanted, ExecutionSearch), Problem> {
    let text = |name: &str| {
        let mut values = pairs
            .iter()
            .filter(|(key, value)| key == name && !value.is_empty());
        values.next().map(|(_, value)| value.clone())
    };
    let states = pairs
        .iter()
        .filter(|(key, value)| key == "state" && !value.is_empty())
        .map(|(_, value)| value.parse())
        .collect::<Result<Vec<execution::State>, _>>()
        .map_err(|error| Problem::parameter("state", error.to_string()))?;
    let period = Period::read(text, DEFAULT_PERIOD, now_unix_nano())?;
    let search = ExecutionSearch {
        states: states.iter().map(ToString::to_string).collect(),
        agent: text("agent"),
        workflow: text("workflow"),
        from_ns: Some(period.from_ns),
        to_ns: period.to_ns,
        after: text("cursor")
            .map(|cursor| parse::<Place>("cursor", &cursor))
            .transpose()?,
        limit: match text("limit") {
            Some(limit) => parse::<usize>("limit", &limit)?.clamp(1, MAX_LIMIT),
            None => DEFAULT_LIMIT,
        },
    };
    Ok((Wanted(states), search))
}

fn parse<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error| Problem::parameter(name, format!("{error}, got {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &[(&str, &str)]) -> Result<(Wanted, ExecutionSearch), Problem> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        read(&query.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn parameters_become_conditions() {
        let (wanted, search) = of(&[
            ("state", "dead"),
            ("state", "RUNNING"),
            ("agent", "a"),
            ("workflow", ""),
            ("from", "1970-01-01T00:00:01Z"),
            ("to", "2000000000"),
            ("limit", "1000000"),
            ("cursor", "5-6"),
        ])
        .expect("good");
        assert_eq!(search.states, ["DEAD", "RUNNING"]);
        assert!(wanted.has(execution::State::Dead) && !wanted.has(execution::State::Failed));
        assert!(wanted.may_have_ended());
        assert_eq!(
            (search.agent.as_deref(), search.workflow),
            (Some("a"), None)
        );
        assert_eq!(
            (search.from_ns, search.to_ns),
            (Some(1_000_000_000), Some(2_000_000_000))
        );
        assert_eq!(search.limit, MAX_LIMIT);
        assert_eq!(
            search.after.map(|place| place.to_string()).as_deref(),
            Some("5-6")
        );
    }

    #[test]
    fn without_parameters_it_is_the_last_day() {
        let (wanted, search) = of(&[]).expect("good");
        assert!(
            execution::State::ALL
                .into_iter()
                .all(|state| wanted.has(state))
        );
        assert!(search.from_ns.is_some_and(|from| from > 0));
        assert_eq!(search.limit, DEFAULT_LIMIT);
        let (open, _) = of(&[("state", "PENDING"), ("state", "RUNNING")]).expect("good");
        assert!(!open.may_have_ended());
    }

    #[test]
    fn times_are_those_of_every_route() {
        const MINUTE_NS: u64 = 60_000_000_000;
        let range = |query: &[(&str, &str)]| {
            let (_, search) = of(query).expect("good");
            (search.from_ns.expect("always"), search.to_ns)
        };
        let now = now_unix_nano();
        let (from, to) = range(&[("time_range", "15m")]);
        assert!((now - 15 * MINUTE_NS..now).contains(&from));
        assert_eq!(to, None);
        let (from, to) = range(&[("from", "now-2h"), ("to", "now-1h30m")]);
        assert_eq!(to.map(|to| to - from), Some(30 * MINUTE_NS));
        assert!(of(&[("time_range", "15m"), ("from", "now")]).is_err());
        assert!(of(&[("from", "now"), ("to", "now-1s")]).is_err());
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in [
            ("state", "ZOMBIE"),
            ("from", "yesterday"),
            ("to", "-1"),
            ("time_range", "1y"),
            ("limit", "many"),
            ("cursor", "x"),
        ] {
            assert!(of(&[wrong]).is_err(), "{wrong:?}");
        }
    }
}
