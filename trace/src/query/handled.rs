//! Handlers in the order in which they were stored, with the time that their events were on the way.

use rusqlite::{Connection, OptionalExtension as _};

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::measure::Kind;
use crate::model::{SpanId, StatusCode, TraceId};
use crate::store::row::signed;

/// A handler that has run.
#[derive(Debug, Clone, PartialEq)]
pub struct Handled {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its span.
    pub span_id: SpanId,
    /// The agent that ran it.
    pub agent: Option<String>,
    /// The topic of its event, or the capability.
    pub operation: Option<String>,
    /// It failed.
    pub is_error: bool,
    /// When it began, ns since the Unix epoch.
    pub start_ns: u64,
    /// How long it took; `None` where nobody knows.
    pub duration_ns: Option<u64>,
    /// From the publish of its event until this delivery began; `None` of a call, and where one of the spans is not there.
    pub delivery_wait_ns: Option<u64>,
    /// From the publish until the handler began.
    pub publish_to_handle_ns: Option<u64>,
}

/// Where a reader stands: rows are numbered as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandledPlace(i64);

/// Handlers after a place.
#[derive(Debug, Clone, PartialEq)]
pub struct HandledPage {
    /// The handlers.
    pub handlers: Vec<Handled>,
    /// Where the next page begins.
    pub next: HandledPlace,
}

impl Query {
    /// The place before the first handler that began at this time, ns since the Unix epoch, or later, and is stored. `None`
    /// while there is none.
    pub async fn handled_since(&self, start_ns: u64) -> Result<Option<HandledPlace>, QueryError> {
        self.read(move |conn| {
            let first: Option<i64> = conn
                .prepare_cached(FIRST_SINCE)?
                .query_row([signed(start_ns)], |row| row.get(0))
                .optional()?
                .flatten();
            Ok(first.map(|id| HandledPlace(id - 1)))
        })
        .await
    }

    /// Up to `limit` handlers after a place that were received before `until_ms`, ms since the Unix epoch: what is younger may
    /// have come before the spans above it.
    pub async fn handled_after(
        &self,
        place: HandledPlace,
        until_ms: u64,
        limit: usize,
    ) -> Result<HandledPage, QueryError> {
        self.read(move |conn| page(conn, place, until_ms, limit))
            .await
    }
}

/// The first handler that began at ?1 or later. Without the plus SQLite would look through all of them by their ids.
const FIRST_SINCE: &str = "SELECT min(+id) FROM measures WHERE start_ns >= ?1";

/// Handlers after ?1, ?3 at most, with the spans above them. `measures` comes first: it has them in the order of their ids.
const SELECT: &str =
    "SELECT handler.id, traces.trace_id, handler.span_id, measures.agent_id, measures.operation, measures.status,
            measures.start_ns, measures.duration_ns, forward.start_ns, publish.start_ns, handler.received_ms
     FROM measures
     CROSS JOIN span_rows AS handler ON handler.id = measures.id
     JOIN traces ON traces.id = handler.trace
     LEFT JOIN span_rows AS forward
         ON forward.trace = handler.trace AND forward.span_id = handler.parent_span_id
     LEFT JOIN span_rows AS publish
         ON publish.trace = handler.trace AND publish.span_id = forward.parent_span_id AND +publish.role = 2
     WHERE measures.id > ?1 AND +measures.kind = ?2
     ORDER BY measures.id LIMIT ?3";

fn page(
    conn: &Connection,
    HandledPlace(mut place): HandledPlace,
    until_ms: u64,
    limit: usize,
) -> Result<HandledPage, StoreError> {
    let mut statement = conn.prepare_cached(SELECT)?;
    let mut rows = statement.query((place, Kind::Handler as u8, signed(limit as u64)))?;
    let mut handlers = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(10)? >= signed(until_ms) {
            break;
        }
        place = row.get(0)?;
        let (trace, span) = (row.get::<_, [u8; 16]>(1)?, row.get::<_, [u8; 8]>(2)?);
        let (Some(trace_id), Some(span_id)) =
            (TraceId::from_bytes(&trace), SpanId::from_bytes(&span))
        else {
            continue;
        };
        let time = |at| -> Result<Option<u64>, rusqlite::Error> {
            Ok(row.get::<_, Option<i64>>(at)?.map(i64::cast_unsigned))
        };
        let start_ns = time(6)?.unwrap_or_default();
        let (forward_ns, publish_ns) = (time(8)?, time(9)?);
        // Clocks of two processes may differ: nothing is handled before it is published.
        let since = |publish: u64| start_ns.saturating_sub(publish);
        handlers.push(Handled {
            trace_id,
            span_id,
            agent: row.get(3)?,
            operation: row.get(4)?,
            is_error: row.get::<_, u8>(5)? == StatusCode::Error as u8,
            start_ns,
            duration_ns: time(7)?,
            delivery_wait_ns: forward_ns
                .zip(publish_ns)
                .map(|(forward, publish)| forward.saturating_sub(publish)),
            publish_to_handle_ns: publish_ns.map(since),
        });
    }
    Ok(HandledPage {
        handlers,
        next: HandledPlace(place),
    })
}

#[cfg(test)]
mod tests {
    use loom_proto::semconv::{attribute, span as name};

    use super::*;
    use crate::model::{Span, Value};
    use crate::testing::{BASE, MS, plan, span, span_id, stored, trace_id};

    /// A publish, a delivery after 5 ms, and its handler after 7 ms, which takes 20.
    fn handled(id: u64, agent: &str) -> Vec<Span> {
        let publish = span(id, 0, name::BUS_PUBLISH, 0, 1);
        let forward = span(id + 1, id, name::BRIDGE_FORWARD, 5, 6);
        let mut handler = span(id + 2, id + 1, name::ON_EVENT, 7, 27);
        handler.identity.agent = Some(agent.to_owned());
        handler.attributes = [(attribute::TOPIC, Value::from("orders"))]
            .into_iter()
            .collect();
        vec![publish, forward, handler]
    }

    #[test]
    fn what_was_on_the_way_for_how_long() {
        let mut spans = handled(1, "a");
        // A call: nothing was published.
        spans.push(span(10, 0, name::BROKER_INVOKE, 0, 9));
        spans.push(span(11, 10, name::ON_ACTION, 1, 8).failed("no"));
        let (_dir, conn) = stored(&spans);
        let all = page(&conn, HandledPlace(0), 1, 10).expect("read");
        let expected = Handled {
            trace_id: trace_id(1),
            span_id: span_id(3),
            agent: Some("a".to_owned()),
            operation: Some("orders".to_owned()),
            is_error: false,
            start_ns: BASE + 7 * MS,
            duration_ns: Some(20 * MS),
            delivery_wait_ns: Some(5 * MS),
            publish_to_handle_ns: Some(7 * MS),
        };
        assert_eq!(all.handlers[0], expected);
        let call = &all.handlers[1];
        assert_eq!((call.is_error, call.duration_ns), (true, Some(7 * MS)));
        assert_eq!(
            (call.delivery_wait_ns, call.publish_to_handle_ns),
            (None, None)
        );
        assert_eq!(all.handlers.len(), 2);
        let young = page(&conn, HandledPlace(0), 0, 10).expect("read");
        assert_eq!((young.handlers.len(), young.next), (0, HandledPlace(0)));
    }

    #[test]
    fn every_step_is_found_by_an_index() {
        let (_dir, conn) = stored(&handled(1, "a"));
        let plan = plan(&conn, SELECT, (0, 2, 10));
        assert_eq!(plan.len(), 5, "{plan:?}");
        assert!(
            plan.iter().all(|step| step.starts_with("SEARCH ")),
            "{plan:?}"
        );
    }

    #[test]
    fn the_first_since_a_time_is_found_by_the_time() {
        let (_dir, conn) = stored(&handled(1, "a"));
        let by_time = "SEARCH measures USING COVERING INDEX measures_by_start (start_ns>?)";
        assert_eq!(plan(&conn, FIRST_SINCE, [5]), [by_time]);
    }

    #[test]
    fn pages_meet_every_handler_once() {
        let spans: Vec<_> = (0..7).flat_map(|id| handled(id * 3 + 1, "a")).collect();
        let (_dir, conn) = stored(&spans);
        let (mut place, mut met) = (HandledPlace(0), Vec::new());
        for _ in 0..5 {
            let found = page(&conn, place, 1, 2).expect("read");
            met.extend(found.handlers.iter().map(|handled| handled.span_id));
            place = found.next;
        }
        assert_eq!(
            met,
            (0..7).map(|id| span_id(id * 3 + 3)).collect::<Vec<_>>()
        );
    }
}
