//! Who talks to whom, over which topics, how often and how fast: a projection of the newest spans of bus and handlers.
//!
//! An event that was published is an edge from its sender to its topic, a handler of it one from the topic to the agent, and a
//! call of a capability one from caller to provider. Only so many spans are looked at; where there are more, the window is
//! shorter than was asked for, and says so.

use std::collections::BTreeMap;

use loom_proto::semconv::{attribute, span as name};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use super::rank::percentile_ms;
use crate::error::{QueryError, StoreError};
use crate::model::{Attributes, Span, Value};
use crate::store::row::{SELECT, SpanReader, signed};
use crate::store::trace_ids::NUMBER;
use crate::time_text::rfc3339;

/// Publishes, and handlers, that are looked at.
const MAX_SPANS: usize = 10_000;
/// Publishes before the window that are looked for, each by its event.
const MAX_LOOKED_UP: usize = 2_000;

/// What happened in a window of time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Topology {
    /// Seconds that it covers: fewer than were asked for where more happened than is looked at.
    pub window_s: f64,
    /// Its end, RFC 3339, UTC.
    pub at: String,
    /// Agents that published or handled something, by id.
    pub agents: Vec<AgentRate>,
    /// Topics of these events, by name.
    pub topics: Vec<TopicRate>,
    /// What went from whom to whom.
    pub edges: Vec<Edge>,
}

/// How busy an agent was.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AgentRate {
    /// Its id.
    pub agent_id: String,
    /// Handlers that began, in each second.
    pub executions_per_s: f64,
    /// Those of them that failed.
    pub errors_per_s: f64,
    /// 95 of 100 handlers took less, in ms; null where none ran.
    pub p95_ms: Option<f64>,
}

/// How busy a topic was.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TopicRate {
    /// Its name.
    pub topic: String,
    /// Events in each second.
    pub published_per_s: f64,
    /// Events that no subscription wanted.
    pub unrouted: u64,
}

/// What went from one to another.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Edge {
    /// Where it came from.
    pub from: Node,
    /// Where it went.
    pub to: Node,
    /// What it is.
    pub kind: EdgeKind,
    /// How often in each second.
    pub per_s: f64,
    /// How often.
    pub count: u64,
    /// How often it failed.
    pub errors: u64,
    /// Half of all took less, in ms: of `deliver` from publish to the begin of the handler, of `call` the provider's handler.
    /// null where nothing was measured.
    pub p50_ms: Option<f64>,
    /// The same of 95 of 100.
    pub p95_ms: Option<f64>,
}

/// One end of an edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Id of the agent, name of the topic.
    pub id: String,
}

/// What an edge connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// An agent.
    Agent,
    /// A topic.
    Topic,
}

/// What an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// An agent published events on a topic.
    Publish,
    /// An agent handled events of a topic.
    Deliver,
    /// An agent called a capability of another.
    Call,
}

impl Query {
    /// What happened from `from_ns` until `to_ns`, both ns since the Unix epoch; of one workflow, if one is named.
    pub async fn topology(
        &self,
        from_ns: u64,
        to_ns: u64,
        workflow: Option<String>,
    ) -> Result<Topology, QueryError> {
        self.read(move |conn| read(conn, from_ns, to_ns, workflow.as_deref(), MAX_SPANS))
            .await
    }
}

fn read(
    conn: &Connection,
    from_ns: u64,
    to_ns: u64,
    workflow: Option<&str>,
    max_spans: usize,
) -> Result<Topology, StoreError> {
    let spans = |role| newest(conn, role, from_ns, to_ns, workflow, max_spans);
    let (mut handlers, mut publishes) = (spans(1)?, spans(2)?);
    // Both lists are whole from here on.
    let since_ns = [&handlers, &publishes]
        .into_iter()
        .filter(|spans| spans.len() == max_spans)
        .filter_map(|spans| spans.last())
        .map(|oldest| oldest.start_ns)
        .fold(from_ns, u64::max);
    handlers.retain(|span| span.start_ns >= since_ns);
    publishes.retain(|span| span.start_ns >= since_ns);
    name_senders(conn, &mut publishes)?;
    let mut gathered = Gathered::default();
    for publish in &publishes {
        gathered.publish(publish);
    }
    let mut look_up = LookUp {
        conn,
        left: MAX_LOOKED_UP,
    };
    for handler in &handlers {
        gathered.handler(handler, &mut look_up)?;
    }
    let window_s = (to_ns.saturating_sub(since_ns) as f64 / 1e9).max(1e-9);
    Ok(gathered.finish(window_s, to_ns))
}

/// The newest spans of a role, the newest first.
fn newest(
    conn: &Connection,
    role: i64,
    from_ns: u64,
    to_ns: u64,
    workflow: Option<&str>,
    limit: usize,
) -> Result<Vec<Span>, StoreError> {
    // Of a literal the planner knows which index it has.
    let of_workflow = match workflow {
        Some(_) => "+workflow_ref = (SELECT id FROM names WHERE text = ?4)",
        None => "?4 IS NULL",
    };
    let sql = format!(
        "{SELECT} WHERE role = {role} AND start_ns >= ?1 AND start_ns < ?2 AND {of_workflow}
         ORDER BY start_ns DESC LIMIT ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = signed(limit as u64);
    let mut rows = statement.query(params![signed(from_ns), signed(to_ns), limit, workflow])?;
    let mut reader = SpanReader::new(conn);
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        spans.push(reader.span(row)?);
    }
    Ok(spans)
}

/// Who sent an event says the span above its publish, `bridge.publish`.
fn name_senders(conn: &Connection, publishes: &mut [Span]) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT names.text FROM span_rows AS above JOIN names ON names.id = above.agent
         WHERE above.trace = {NUMBER} AND above.span_id = ?2"
    ))?;
    for publish in publishes {
        if let (None, Some(above)) = (&publish.identity.agent, publish.parent_span_id) {
            let key = (&publish.trace_id.as_bytes()[..], &above.as_bytes()[..]);
            publish.identity.agent = statement.query_row(key, |row| row.get(0)).optional()?;
        }
    }
    Ok(())
}

/// Finds publishes that were before the window.
struct LookUp<'a> {
    conn: &'a Connection,
    left: usize,
}

impl LookUp<'_> {
    fn published_ns(&mut self, event: &str, before_ns: u64) -> Result<Option<u64>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut statement = self.conn.prepare_cached(
            "SELECT max(+start_ns) FROM span_rows
             WHERE role = 2 AND event = unhex(replace(?1, '-', '')) AND +start_ns <= ?2",
        )?;
        let key = (event, signed(before_ns));
        let found: Option<i64> = statement.query_row(key, |row| row.get(0))?;
        Ok(found.map(i64::cast_unsigned))
    }
}

#[derive(Default)]
struct Tally {
    all: u64,
    errors: u64,
    ns: Vec<u64>,
}

impl Tally {
    fn add(&mut self, is_error: bool, ns: Option<u64>) {
        self.all += 1;
        self.errors += u64::from(is_error);
        self.ns.extend(ns);
    }
}

#[derive(Default)]
struct Gathered {
    agents: BTreeMap<String, Tally>,
    /// Events, and those that nobody wanted.
    topics: BTreeMap<String, (u64, u64)>,
    edges: BTreeMap<(EdgeKind, Node, Node), Tally>,
    /// When events were published, by id, the latest first.
    published: BTreeMap<String, Vec<u64>>,
}

impl Gathered {
    fn publish(&mut self, span: &Span) {
        let said = &span.attributes;
        let Some(topic) = topic(said) else { return };
        let unrouted = said.get(attribute::BUS_MATCHED) == Some(&Value::Int(0));
        let counts = self.topics.entry(topic.to_owned()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(unrouted);
        if let Some(event) = event_id(said) {
            let times = self.published.entry(event.to_owned()).or_default();
            times.push(span.start_ns);
        }
        // Without a sender it is the server's own.
        if let Some(sender) = &span.identity.agent {
            self.agents.entry(sender.clone()).or_default();
            let edge = (EdgeKind::Publish, agent(sender), topic_node(topic));
            self.edge(edge).add(span.is_error(), None);
        }
    }

    fn handler(&mut self, span: &Span, look_up: &mut LookUp<'_>) -> Result<(), StoreError> {
        let Some(id) = &span.identity.agent else {
            return Ok(());
        };
        // How long a stand-in took nobody knows.
        let took = (!span.is_stand_in()).then(|| span.duration_ns());
        let is_error = span.is_error();
        self.agents
            .entry(id.clone())
            .or_default()
            .add(is_error, took);
        if span.name == name::ON_ACTION {
            if let Some(Value::String(caller)) = span.attributes.get(attribute::CALLER) {
                self.agents.entry(caller.clone()).or_default();
                let edge = (EdgeKind::Call, agent(caller), agent(id));
                self.edge(edge).add(is_error, took);
            }
            return Ok(());
        }
        let Some(topic) = topic(&span.attributes) else {
            return Ok(());
        };
        self.topics.entry(topic.to_owned()).or_default();
        let mut published = None;
        if let Some(event) = event_id(&span.attributes) {
            let times = self.published.get(event).into_iter().flatten();
            published = times.copied().find(|time| *time <= span.start_ns);
            if published.is_none() {
                published = look_up.published_ns(event, span.start_ns)?;
            }
        }
        let waited = published.map(|published| span.start_ns - published);
        let edge = (EdgeKind::Deliver, topic_node(topic), agent(id));
        self.edge(edge).add(is_error, waited);
        Ok(())
    }

    fn edge(&mut self, edge: (EdgeKind, Node, Node)) -> &mut Tally {
        self.edges.entry(edge).or_default()
    }

    fn finish(self, window_s: f64, to_ns: u64) -> Topology {
        let per_s = |count: u64| count as f64 / window_s;
        let agents = self.agents.into_iter().map(|(agent_id, mut tally)| {
            tally.ns.sort_unstable();
            AgentRate {
                agent_id,
                executions_per_s: per_s(tally.all),
                errors_per_s: per_s(tally.errors),
                p95_ms: percentile_ms(&tally.ns, 95),
            }
        });
        let topics = self.topics.into_iter();
        let topics = topics.map(|(topic, (published, unrouted))| TopicRate {
            topic,
            published_per_s: per_s(published),
            unrouted,
        });
        let edges = self.edges.into_iter().map(|((kind, from, to), mut tally)| {
            tally.ns.sort_unstable();
            Edge {
                from,
                to,
                kind,
                per_s: per_s(tally.all),
                count: tally.all,
                errors: tally.errors,
                p50_ms: percentile_ms(&tally.ns, 50),
                p95_ms: percentile_ms(&tally.ns, 95),
            }
        });
        Topology {
            window_s,
            at: rfc3339(to_ns),
            agents: agents.collect(),
            topics: topics.collect(),
            edges: edges.collect(),
        }
    }
}

fn agent(id: &str) -> Node {
    Node {
        kind: NodeKind::Agent,
        id: id.to_owned(),
    }
}

fn topic_node(topic: &str) -> Node {
    Node {
        kind: NodeKind::Topic,
        id: topic.to_owned(),
    }
}

fn first<'a>(said: &'a Attributes, keys: [&str; 2]) -> Option<&'a str> {
    keys.into_iter().find_map(|key| match said.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.as_str()),
        _ => None,
    })
}

/// The topic of the event that a span is about.
pub(super) fn topic(said: &Attributes) -> Option<&str> {
    first(said, [attribute::TOPIC, attribute::MESSAGING_DESTINATION])
}

fn event_id(said: &Attributes) -> Option<&str> {
    first(said, [attribute::EVENT_ID, attribute::EVENT])
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
