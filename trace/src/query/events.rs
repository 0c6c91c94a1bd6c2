//! Events as the spans tell of them: which were published, and what became of one.

use loom_proto::semconv::{attribute, span as name};
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params_from_iter};
use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use super::bodies::Bodies;
use super::executions::Place;
use super::state::ExecutionState;
use crate::error::{QueryError, StoreError};
use crate::model::{Span, SpanId, Value};
use crate::published::PublishedEvent;
use crate::store::row::signed;

/// Publishes that one page looks at.
const MAX_LOOKED_AT: usize = 20_000;
/// Spans about one event that are looked at.
const MAX_SPANS: i64 = 10_000;

/// Which events. What is `None` does not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventSearch {
    /// Published on this topic.
    pub topic: Option<String>,
    /// Published by this agent.
    pub sender: Option<String>,
    /// With this id.
    pub event_id: Option<String>,
    /// Of this workflow.
    pub workflow: Option<String>,
    /// Published not before this, ns since the Unix epoch.
    pub from_ns: u64,
    /// Published not after this, ns since the Unix epoch.
    pub to_ns: Option<u64>,
    /// Only what comes after this place.
    pub after: Option<Place>,
    /// Events to return.
    pub limit: usize,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Events {
    /// One for each publish, the newest first.
    pub items: Vec<PublishedEvent>,
    /// Where the next page begins.
    pub next: Option<Place>,
}

/// An event and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventStory {
    /// The event.
    #[serde(flatten)]
    pub event: PublishedEvent,
    /// Attempts to hand it over, by their begin.
    pub deliveries: Vec<Delivery>,
}

/// An attempt to hand an event to one subscription.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Delivery {
    /// The agent that it was for.
    pub subscriber: String,
    /// Pattern of the subscription.
    pub subscription: Option<String>,
    /// Group whose agents share the events.
    pub group: Option<String>,
    /// Number of the attempt, from 1.
    pub attempt: i64,
    /// The span `bridge.forward`.
    pub span_id: SpanId,
    /// What has become of its handler; null where none has ended.
    pub state: Option<ExecutionState>,
    /// How long the event lay in a mailbox, in ms.
    pub wait_ms: Option<f64>,
    /// How long its handler took, in ms.
    pub duration_ms: Option<f64>,
    /// Why the handler did not come to its end.
    pub error_message: Option<String>,
}

impl Query {
    /// Events, the newest first.
    pub async fn events(&self, search: EventSearch) -> Result<Events, QueryError> {
        self.read(move |conn| list(conn, &search, MAX_LOOKED_AT))
            .await
    }

    /// What became of an event: of its first publish that is stored. `None` where none is.
    pub async fn event(&self, id: String) -> Result<Option<EventStory>, QueryError> {
        self.read(move |conn| story(conn, &id)).await
    }
}

fn list(conn: &Connection, search: &EventSearch, budget: usize) -> Result<Events, StoreError> {
    let mut sql = format!("{SELECT_WITH_ID} WHERE role = 2");
    let mut values: Vec<SqlValue> = Vec::new();
    let mut and = |condition: &str, value: Option<SqlValue>| {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(SqlValue::from);
    let number = |ns: u64| Some(SqlValue::from(signed(ns)));
    and("event = unhex(replace(?, '-', ''))", text(&search.event_id));
    let of_text = "= (SELECT id FROM names WHERE text = ?)";
    and(&format!("+workflow {of_text}"), text(&search.workflow));
    // An event is found by its id, whatever was published meanwhile.
    let start = if search.event_id.is_some() {
        "+start_ns"
    } else {
        "start_ns"
    };
    and(&format!("{start} >= ?"), number(search.from_ns));
    and(&format!("{start} <= ?"), search.to_ns.and_then(number));
    if let Some(Place { start_ns, id }) = search.after {
        and(&format!("{start} <= ?"), Some(start_ns.into()));
        and("(start_ns, id) < (?, ?)", Some(start_ns.into()));
        values.push(id.into());
    }
    sql.push_str(" ORDER BY start_ns DESC, id DESC");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut bodies = Bodies::new(conn);
    let mut events = Events::default();
    let mut last = search.after;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        if looked_at == budget || events.items.len() == search.limit {
            events.next = last;
            break;
        }
        looked_at += 1;
        let place = Place {
            start_ns: row.get(0)?,
            id: row.get(1)?,
        };
        last = Some(place);
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        let event = bodies.event(place.id)?.filter(|event| {
            is(&search.topic, Some(&event.topic))
                && is(&search.event_id, Some(&event.event_id))
                && is(&search.sender, event.sender.as_deref())
        });
        events.items.extend(event);
    }
    Ok(events)
}

/// The small columns; bodies are read one by one, where they are meant.
const SELECT_WITH_ID: &str = "SELECT start_ns, id FROM span_rows";

impl Bodies<'_> {
    /// The event that a publish tells of, with what the span above it says.
    fn event(&mut self, id: i64) -> Result<Option<PublishedEvent>, StoreError> {
        let Some(publish) = self.span(id)? else {
            return Ok(None);
        };
        let (event, above) = (PublishedEvent::of(&publish), publish.parent_span_id);
        let (Some(event), Some(above)) = (event.clone(), above) else {
            return Ok(event);
        };
        let mut statement = self.conn.prepare_cached(
            "SELECT id FROM span_rows WHERE trace = (SELECT trace FROM span_rows WHERE id = ?1) AND span_id = ?2",
        )?;
        let mut rows = statement.query((id, &above.as_bytes()[..]))?;
        let above: Option<i64> = rows.next()?.map(|row| row.get(0)).transpose()?;
        let above = above.map(|id| self.span(id)).transpose()?.flatten();
        Ok(Some(match above {
            Some(bridge) if bridge.name == name::BRIDGE_PUBLISH => event.below(&bridge),
            _ => event,
        }))
    }
}

fn story(conn: &Connection, id: &str) -> Result<Option<EventStory>, StoreError> {
    let mut bodies = Bodies::new(conn);
    let publishes: Vec<i64> = conn
        .prepare_cached(
            "SELECT id FROM span_rows WHERE role = 2 AND event = unhex(replace(?1, '-', '')) ORDER BY +start_ns, id LIMIT 100",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for number in publishes {
        if let Some(event) = bodies.event(number)?.filter(|event| event.event_id == id) {
            let deliveries = deliveries(conn, &mut bodies, number, id)?;
            return Ok(Some(EventStory { event, deliveries }));
        }
    }
    Ok(None)
}

/// What a trace tells of deliveries of an event.
fn deliveries(
    conn: &Connection,
    bodies: &mut Bodies<'_>,
    publish: i64,
    event: &str,
) -> Result<Vec<Delivery>, StoreError> {
    let about: Vec<i64> = conn
        .prepare_cached(
            "SELECT id FROM span_rows
             WHERE trace = (SELECT trace FROM span_rows WHERE id = ?1) AND event = unhex(replace(?2, '-', '')) LIMIT ?3",
        )?
        .query_map((publish, event, MAX_SPANS), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut forwards = Vec::new();
    let mut handlers = Vec::new();
    for id in about {
        match bodies.span(id)? {
            Some(span) if span.name == name::BRIDGE_FORWARD => forwards.push(span),
            Some(span) if span.name == name::ON_EVENT => handlers.push(span),
            _ => {}
        }
    }
    forwards.sort_by_key(|span| (span.start_ns, span.span_id));
    let of = |forward: &Span| {
        let parent = Some(forward.span_id);
        handlers
            .iter()
            .find(|handler| handler.parent_span_id == parent)
    };
    Ok(forwards
        .iter()
        .map(|forward| delivery(forward, of(forward)))
        .collect())
}

fn delivery(forward: &Span, handler: Option<&Span>) -> Delivery {
    let text = |span: &Span, key| match span.attributes.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let number = |key| match forward.attributes.get(key) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    // How long a stand-in took nobody knows.
    let told = handler.filter(|handler| !handler.is_stand_in());
    let message = handler.map(|handler| handler.status.message.clone());
    Delivery {
        subscriber: forward.identity.agent.clone().unwrap_or_default(),
        subscription: text(forward, attribute::MESSAGING_SUBSCRIPTION),
        group: text(forward, attribute::MESSAGING_GROUP),
        attempt: number(attribute::MESSAGING_DELIVERY_ATTEMPT).unwrap_or(1),
        span_id: forward.span_id,
        state: handler.map(ExecutionState::of),
        wait_ms: number(attribute::QUEUE_WAIT_US).map(|us| us as f64 / 1e3),
        duration_ms: told.map(|handler| handler.duration_ns() as f64 / 1e6),
        error_message: message.filter(|message| !message.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BASE, MS, span, stored};

    const EVENT: &str = "0190d0c2-5b6a-7c52-9d61-0f3b2a4f5e6d";

    #[test]
    fn a_page_that_finds_nothing_ends_and_goes_on() {
        let spans: Vec<_> = (1..=30)
            .map(|id| {
                let topic = if id == 1 { "rare" } else { "common" };
                let mut publish = span(id, 0, name::BUS_PUBLISH, id, id);
                publish.attributes = [
                    (attribute::EVENT_ID, Value::from(EVENT)),
                    (attribute::TOPIC, Value::from(topic)),
                ]
                .into_iter()
                .collect();
                publish
            })
            .collect();
        let (_dir, conn) = stored(&spans);
        let mut search = EventSearch {
            topic: Some("rare".to_owned()),
            from_ns: BASE,
            limit: 5,
            ..EventSearch::default()
        };
        let mut found = Vec::new();
        for page in 0.. {
            assert!(page < 10, "it does not end");
            let events = list(&conn, &search, 7).expect("read");
            found.extend(events.items);
            let Some(next) = events.next else { break };
            search.after = Some(next.to_string().parse().expect("a place"));
        }
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].time_ns, (BASE + MS).to_string());
    }
}
