//! The routes of executions: those that are open, which the broker and the groups know, before those that have ended,
//! which the trace store knows.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use loom_core::OpenExecution;
use loom_core::execution;
use loom_proto::semconv::attribute;
use loom_telemetry::ids::now_unix_nano;
use loom_trace::api::{LoomProblem, Period, Problem};
use loom_trace::model::SpanId;
use loom_trace::query::{ExecutionSearch, Place, StoredExecution};
use loom_trace::time_text::rfc3339;
use serde_json::{Value, json};

use super::Parts;

/// How far back it is looked, unless told otherwise.
const DEFAULT_PERIOD: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_LIMIT: usize = 50;
/// Executions of one answer at most, whatever was asked for.
const MAX_LIMIT: usize = 1000;

/// `/api/v1/executions` and what stands below it.
pub(super) fn routes(parts: Parts) -> Router {
    Router::new()
        .route("/api/v1/executions", get(list))
        .route("/api/v1/executions/states", get(states))
        .route("/api/v1/executions/{id}", get(show))
        .with_state(parts)
}

/// `state=`, also more than once, `agent=`, `workflow=`, a time, `limit=`, `cursor=`. Open executions stand on the
/// first page only.
async fn list(
    State(parts): State<Parts>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, LoomProblem> {
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
        items.push(of_open(&execution));
    }
    let room = limit - items.len();
    let mut next = None;
    if stored.len() > room {
        stored.truncate(room);
        truncated = true;
        next = stored.last().map(|last| last.place.to_string());
    }
    items.extend(stored.iter().map(of_stored));
    Ok(Json(
        json!({ "items": items, "next_cursor": next, "truncated": truncated }),
    ))
}

/// How many executions there are in each state, by the conditions of the list.
async fn states(
    State(parts): State<Parts>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, LoomProblem> {
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
    Ok(Json(json!({ "states": states })))
}

async fn show(
    State(parts): State<Parts>,
    Path(id): Path<String>,
) -> Result<Json<Value>, LoomProblem> {
    let id: SpanId = id
        .parse()
        .map_err(|error| Problem::bad_request(format!("execution id {id:?}: {error}")))?;
    if let Some(ended) = parts.store.query().execution(id).await? {
        let query = parts.store.query();
        let timing = query.timing(ended.trace_id, ended.span_id).await?;
        let mut item = of_stored(&ended);
        item["metadata"] = json!(ended.attributes);
        item["timing"] = json!(timing);
        return Ok(Json(item));
    }
    let everything = (Wanted(Vec::new()), ExecutionSearch::default());
    let open = open(&parts, &everything.0, &everything.1)
        .into_iter()
        .find(|open| open.context.span_id.to_string() == id.to_string());
    let open = open.ok_or_else(|| Problem::not_found("execution not found"))?;
    Ok(Json(of_open(&open)))
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

fn of_open(execution: &OpenExecution) -> Value {
    json!({
        "execution_id": execution.context.span_id.to_string(),
        "trace_id": execution.context.trace_id.to_string(),
        "parent_span_id": execution.context.span_id.to_string(),
        "span_id": null,
        "agent_name": not_empty(&execution.agent),
        "operation": execution.operation,
        "state": execution.state.name(),
        "attempt": execution.attempt,
        "start_time": rfc3339(execution.since_unix_nano),
        "end_time": null,
        "duration_ms": null,
        "error_message": null,
        "event_id": null,
        "correlation_id": null,
        "workflow_id": null,
        "user_id": null,
        "thread_id": null,
    })
}

fn of_stored(execution: &StoredExecution) -> Value {
    let duration_ns = execution.end_ns.saturating_sub(execution.start_ns);
    json!({
        "execution_id": execution.id(),
        "trace_id": execution.trace_id,
        "parent_span_id": execution.parent_span_id,
        "span_id": execution.span_id,
        "agent_name": not_empty(&execution.agent),
        "operation": execution.operation,
        "state": execution.state,
        "attempt": execution.attempt(),
        "start_time": rfc3339(execution.start_ns),
        "end_time": rfc3339(execution.end_ns),
        "duration_ms": duration_ns as f64 / 1e6,
        "error_message": not_empty(&execution.error_message),
        "event_id": not_empty(execution.text(attribute::EVENT)),
        "correlation_id": not_empty(execution.text(attribute::CORRELATION_ID)),
        "workflow_id": execution.workflow_id,
        "user_id": execution.user_id,
        "thread_id": execution.thread_id,
    })
}

fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
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
