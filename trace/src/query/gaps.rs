//! Gaps that a lost process has left: spans that are named as parents and are not there, and deliveries that nobody has
//! told the end of.
//!
//! Only spans about one agent are looked at, by their list, the newest first.

use std::ops::{Range, RangeInclusive};

use loom_proto::semconv::{attribute, span as name};
use rusqlite::{Connection, OptionalExtension, Row};

use super::lists;
use crate::error::StoreError;
use crate::model::{SpanId, TraceId};
use crate::store::blocks::{self, List, Newest, Posting};
use crate::store::names::Names;
use crate::store::row::signed;
use crate::store::trace_ids::NUMBER;

/// Spans of an agent, the latest ones, that say what it is about.
const LATEST: usize = 1000;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The agent whose process was lost.
    pub agent: String,
    /// Times of the start of spans, in ns since the Unix epoch.
    pub during_ns: Range<u64>,
    /// From this start on, in ns since the Unix epoch, the agent tells of its spans itself: only deliveries can be missing,
    /// of which the bus tells.
    pub own_from_ns: u64,
    /// Spans to look at. A query that looks at too many takes longer than it may: [`Gaps::next_end_ns`] goes on.
    pub limit: usize,
}

/// What is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gaps {
    /// Those of the youngest spans first.
    pub found: Vec<Gap>,
    /// Whether the agent has told of a handler at all. Where it has not, no handler is missing: clients that only listen
    /// tell of none.
    pub is_telling: bool,
    /// Whether the bus knows the agent. Of one that it does not know nobody can say that it was lost.
    pub is_of_the_bridge: bool,
    /// Where the time ends that is still to be looked at, in ns since the Unix epoch; `None` when that was all.
    pub next_end_ns: Option<u64>,
}

impl Gaps {
    /// Takes those of the spans before.
    pub fn extend(&mut self, older: Self) {
        self.found.extend(older.found);
        self.is_telling |= older.is_telling;
        self.is_of_the_bridge |= older.is_of_the_bridge;
        self.next_end_ns = older.next_end_ns;
    }

    /// Leaves out what only seems to be missing.
    #[must_use]
    pub fn credible(mut self) -> Self {
        self.found.retain(|gap| match gap.shown_by {
            Shown::Handler { .. } => self.is_of_the_bridge && self.is_telling,
            _ => self.is_of_the_bridge,
        });
        self
    }
}

/// A span that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span that shows it: a child of the missing one, or the delivery without a handler.
    pub shown_by: Shown,
    /// Flags of that span.
    pub flags: u32,
    /// Start of that span, in ns since the Unix epoch.
    pub start_ns: u64,
    /// Topic of the event that it is about, where it is about one.
    pub topic: Option<String>,
    /// Id of that event.
    pub event_id: Option<String>,
    /// Number of the attempt, for deliveries and handlers.
    pub attempt: Option<u32>,
    /// Group that a delivery was for, where it was to be acknowledged.
    pub group: Option<String>,
}

impl Gap {
    fn is_of_a_known_event(&self) -> bool {
        matches!(self.shown_by, Shown::Delivery { publish, .. } if publish.is_some())
    }
}

/// How a gap shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// A handler's delivery, `bridge.forward`, is not there.
    Delivery {
        /// The missing one.
        span_id: SpanId,
        /// `EventBus.publish` of its event, if that is there.
        publish: Option<SpanId>,
    },
    /// The parent of any other span is not there, and the agent had begun nothing else in this trace: so it was handling
    /// what the bus had published before.
    Handling {
        /// The missing one.
        span_id: SpanId,
        /// `EventBus.publish` of what was handled.
        publish: SpanId,
        /// Start of that, in ns since the Unix epoch. The handler began later, and before what shows the gap.
        published_ns: u64,
    },
    /// The parent of any other span is not there.
    Parent {
        /// The missing one.
        span_id: SpanId,
        /// The youngest span of the agent in this trace that began before: what the missing one was most likely part of.
        above: Option<SpanId>,
    },
    /// Nobody has told of the handler of a delivery.
    Handler {
        /// The delivery.
        delivery: SpanId,
        /// What is known of its end.
        end: End,
    },
}

/// What is known of how a handler ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The delivery needed no acknowledgement: nothing.
    Unknown,
    /// Its group has delivered the event again.
    TriedAgain,
    /// Its group has not: the agent had said what became of it, or the event waits for another agent.
    LastTried,
}

/// A span about the agent, with what its gaps are found by.
struct Seen {
    trace: i64,
    gap: Gap,
    name: String,
    span_id: SpanId,
    parent: Option<SpanId>,
}

pub(super) fn find(conn: &Connection, lost: &Lost) -> Result<Gaps, StoreError> {
    // Hardly a span shows a gap: what only those are asked for is read for them alone.
    let mut seen = conn.prepare_cached(
        "SELECT trace, trace_id, span_id, parent_span_id, flags, start_ns, name FROM spans
         WHERE id IN rarray(?1) ORDER BY start_ns DESC",
    )?;
    let Range { start, end } = lost.during_ns;
    let newest = newest(
        conn,
        &lost.agent,
        lists::starts(&lost.during_ns),
        lost.limit,
    )?;
    let mut rows = seen.query([blocks::ids(&newest)])?;
    let mut around = Around::new(conn, &lost.agent)?;
    let mut gaps = Gaps::default();
    while let Some(row) = rows.next()? {
        let Some(span) = read(row)? else { continue };
        gaps.is_of_the_bridge |=
            [name::BRIDGE_PUBLISH, name::BRIDGE_FORWARD].contains(&&*span.name);
        gaps.is_telling |= span.name == name::ON_EVENT;
        let is_its_own = span.gap.start_ns >= lost.own_from_ns;
        if !is_its_own || span.name == name::ON_EVENT {
            let gap = around.gap(span)?;
            // It has handled what the bus has published, even if nothing that the bridge told of it was left.
            gaps.is_of_the_bridge |= gap.as_ref().is_some_and(Gap::is_of_a_known_event);
            gaps.found.extend(gap);
        }
    }
    // A process that was killed too early to tell anything is known by the next one of its agent.
    gaps.is_telling = gaps.is_telling || has_told(conn, &lost.agent)?;
    // Spans that began at the same time as the last one are looked at again, unless that would be for ever.
    let oldest = newest
        .last()
        .map_or(end, |last| last.start_ns.cast_unsigned());
    let next = oldest.saturating_add(1).min(end.saturating_sub(1));
    gaps.next_end_ns = (newest.len() == lost.limit && next > start).then_some(next);
    Ok(gaps)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<Seen>> {
    let blob = |at: usize| -> rusqlite::Result<Option<Vec<u8>>> { row.get(at) };
    let trace_id = blob(1)?.as_deref().and_then(TraceId::from_bytes);
    let id = blob(2)?.as_deref().and_then(SpanId::from_bytes);
    let (Some(trace_id), Some(id)) = (trace_id, id) else {
        return Ok(None);
    };
    Ok(Some(Seen {
        trace: row.get(0)?,
        name: row.get(6)?,
        span_id: id,
        parent: blob(3)?.as_deref().and_then(SpanId::from_bytes),
        gap: Gap {
            trace_id,
            shown_by: Shown::Parent {
                span_id: id,
                above: None,
            },
            flags: row.get(4)?,
            start_ns: row.get::<_, i64>(5)?.cast_unsigned(),
            topic: None,
            event_id: None,
            attempt: None,
            group: None,
        },
    }))
}

/// What is asked about a span: who else is in its trace.
struct Around<'c> {
    about: rusqlite::CachedStatement<'c>,
    is_there: rusqlite::CachedStatement<'c>,
    handler: rusqlite::CachedStatement<'c>,
    publish: rusqlite::CachedStatement<'c>,
    above: rusqlite::CachedStatement<'c>,
    again: rusqlite::CachedStatement<'c>,
    handled: rusqlite::CachedStatement<'c>,
    agent: &'c str,
    conn: &'c Connection,
    /// Of the events that it gets, as JSON; `None` before somebody has asked.
    topics: Option<String>,
}

impl<'c> Around<'c> {
    fn new(conn: &'c Connection, agent: &'c str) -> Result<Self, StoreError> {
        // An event that was published again is delivered under its first publish: a stream keeps it once.
        let publish = format!(
            "SELECT span_id FROM spans WHERE trace = ?1 AND name = ?2 AND start_ns <= ?3
             AND attributes ->> '$.{}' = ?4 ORDER BY start_ns LIMIT 1",
            attribute::EVENT_ID
        );
        // Named, or the order would be taken from the index of the agent's spans, of which there may be millions.
        let above = "SELECT span_id FROM span_rows INDEXED BY spans_by_trace
                     WHERE trace = ?1 AND agent = (SELECT id FROM names WHERE text = ?2) AND start_ns < ?3
                     AND name NOT IN (SELECT id FROM names WHERE text IN (?4, ?5)) ORDER BY start_ns DESC LIMIT 1";
        let again = format!(
            "SELECT 1 FROM spans WHERE trace = ?1 AND parent_span_id = ?2 AND name = ?3 AND start_ns > ?4
             AND attributes ->> '$.\"{}\"' = ?5",
            attribute::MESSAGING_GROUP
        );
        let about = format!(
            "SELECT coalesce(attributes ->> '$.{}', attributes ->> '$.\"{}\"'), attributes ->> '$.{}',
                    attributes ->> '$.\"{}\"', attributes ->> '$.\"{}\"'
             FROM spans WHERE trace = ?1 AND span_id = ?2",
            attribute::EVENT_ID,
            attribute::EVENT,
            attribute::TOPIC,
            attribute::MESSAGING_DELIVERY_ATTEMPT,
            attribute::MESSAGING_GROUP,
        );
        // What an attempt before has emitted is no event for this agent: its topic is none of those that it gets.
        let handled = format!(
            "SELECT span_id, attributes ->> '$.{0}', attributes ->> '$.{1}', start_ns FROM spans
             WHERE trace = ?1 AND name = ?2 AND start_ns <= ?3 AND attributes ->> '$.{0}' IS NOT ?4
             ORDER BY attributes ->> '$.{1}' IN (SELECT value FROM json_each(?5)) DESC, start_ns DESC LIMIT 1",
            attribute::EVENT_ID,
            attribute::TOPIC
        );
        Ok(Self {
            is_there: conn
                .prepare_cached("SELECT 1 FROM spans WHERE trace = ?1 AND span_id = ?2")?,
            handler: conn.prepare_cached(
                "SELECT 1 FROM spans WHERE trace = ?1 AND parent_span_id = ?2 AND name = ?3",
            )?,
            publish: conn.prepare_cached(&publish)?,
            above: conn.prepare_cached(above)?,
            again: conn.prepare_cached(&again)?,
            handled: conn.prepare_cached(&handled)?,
            about: conn.prepare_cached(&about)?,
            agent,
            conn,
            topics: None,
        })
    }

    fn gap(&mut self, mut span: Seen) -> Result<Option<Gap>, StoreError> {
        let trace = span.trace;
        if span.name == name::BRIDGE_FORWARD {
            let delivery = span.span_id;
            let of_delivery = (trace, &delivery.as_bytes()[..], name::ON_EVENT);
            let is_told = self.handler.exists(of_delivery)?;
            if is_told {
                return Ok(None);
            }
            self.describe(&mut span)?;
            let end = self.end(&span)?;
            return Ok(Some(Gap {
                shown_by: Shown::Handler { delivery, end },
                ..span.gap
            }));
        }
        let Some(missing) = span.parent else {
            return Ok(None);
        };
        if self.is_there.exists((trace, &missing.as_bytes()[..]))? {
            return Ok(None);
        }
        self.describe(&mut span)?;
        let shown_by = if span.name == name::ON_EVENT {
            let before = signed(span.gap.start_ns);
            let of_event = (trace, name::BUS_PUBLISH, before, &span.gap.event_id);
            Shown::Delivery {
                span_id: missing,
                publish: one(&mut self.publish, of_event)?,
            }
        } else {
            let before = (
                trace,
                self.agent,
                signed(span.gap.start_ns),
                name::BRIDGE_PUBLISH,
                name::BRIDGE_FORWARD,
            );
            match one(&mut self.above, before)? {
                Some(above) => Shown::Parent {
                    span_id: missing,
                    above: Some(above),
                },
                None => return self.handling(span, missing).map(Some),
            }
        };
        Ok(Some(Gap {
            shown_by,
            ..span.gap
        }))
    }
}

impl Around<'_> {
    /// Reads what the span says of its event.
    fn describe(&mut self, span: &mut Seen) -> Result<(), StoreError> {
        let which = (span.trace, &span.span_id.as_bytes()[..]);
        let gap = &mut span.gap;
        (gap.event_id, gap.topic, gap.attempt, gap.group) = self.about.query_row(which, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        Ok(())
    }

    /// The gap above the first thing that an agent did in a trace.
    fn handling(&mut self, span: Seen, missing: SpanId) -> Result<Gap, StoreError> {
        let topics = match self.topics.take() {
            Some(topics) => topics,
            None => topics(self.conn, self.agent)?,
        };
        let topics = self.topics.insert(topics);
        let before = (
            span.trace,
            name::BUS_PUBLISH,
            signed(span.gap.start_ns),
            &span.gap.event_id,
            &*topics,
        );
        let handled = self.handled.query_row(before, |row| {
            let publish: Vec<u8> = row.get(0)?;
            Ok((publish, row.get(1)?, row.get(2)?, row.get(3)?))
        });
        let Some((publish, event_id, topic, published)) = handled.optional()? else {
            let shown_by = Shown::Parent {
                span_id: missing,
                above: None,
            };
            return Ok(Gap {
                shown_by,
                ..span.gap
            });
        };
        let publish = SpanId::from_bytes(&publish).ok_or(rusqlite::Error::InvalidQuery)?;
        let published: i64 = published;
        Ok(Gap {
            shown_by: Shown::Handling {
                span_id: missing,
                publish,
                published_ns: published.cast_unsigned(),
            },
            event_id,
            topic,
            ..span.gap
        })
    }

    /// What is known of how the handler of a delivery ended.
    fn end(&mut self, delivery: &Seen) -> Result<End, StoreError> {
        let (Some(group), Some(publish)) = (&delivery.gap.group, &delivery.parent) else {
            return Ok(End::Unknown);
        };
        let later = (
            delivery.trace,
            &publish.as_bytes()[..],
            name::BRIDGE_FORWARD,
            signed(delivery.gap.start_ns),
            group,
        );
        Ok(if self.again.exists(later)? {
            End::TriedAgain
        } else {
            End::LastTried
        })
    }
}

/// Whether an agent has told of a handler lately.
fn has_told(conn: &Connection, agent: &str) -> Result<bool, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT 1 FROM spans WHERE id IN rarray(?1) AND name = ?2")?;
    let latest = newest(conn, agent, i64::MIN..=i64::MAX, LATEST)?;
    Ok(statement.exists((blocks::ids(&latest), name::ON_EVENT))?)
}

/// Topics of the events that an agent gets, as JSON.
fn topics(conn: &Connection, agent: &str) -> Result<String, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT json_group_array(DISTINCT attributes ->> '$.{}') FROM spans WHERE id IN rarray(?1) AND name = ?2",
        attribute::TOPIC
    ))?;
    let latest = newest(conn, agent, i64::MIN..=i64::MAX, LATEST)?;
    let values = (blocks::ids(&latest), name::BRIDGE_FORWARD);
    Ok(statement.query_row(values, |row| row.get(0))?)
}

fn one(
    statement: &mut rusqlite::CachedStatement<'_>,
    parameters: impl rusqlite::Params,
) -> Result<Option<SpanId>, StoreError> {
    let found: Option<Vec<u8>> = statement
        .query_row(parameters, |row| row.get(0))
        .optional()?;
    Ok(found.as_deref().and_then(SpanId::from_bytes))
}

/// Whether this publish has a delivery to this group, or one that stands in for a delivery to nobody knows whom.
pub(super) fn is_delivered(
    conn: &Connection,
    trace: TraceId,
    publish: SpanId,
    group: &str,
) -> Result<bool, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT 1 FROM spans WHERE trace = {NUMBER} AND parent_span_id = ?2
         AND name = ?3 AND (attributes ->> '$.\"{0}\"' = ?4
                            OR attributes ->> '$.\"{0}\"' IS NULL AND attributes ->> '$.\"{1}\"')",
        attribute::MESSAGING_GROUP,
        attribute::STAND_IN,
    ))?;
    let (trace, publish) = (&trace.as_bytes()[..], &publish.as_bytes()[..]);
    Ok(statement.exists((trace, publish, name::BRIDGE_FORWARD, group))?)
}

/// Agents with a span in this time.
pub(super) fn agents(conn: &Connection, during_ns: &Range<u64>) -> Result<Vec<String>, StoreError> {
    let mut names = Names::new(conn);
    let starts = lists::starts(during_ns);
    let mut agents = Vec::new();
    for number in blocks::values(conn, List::Agent, starts.clone())? {
        let mut spans: Newest<'_, Posting> =
            Newest::new(conn, (List::Agent, number), starts.clone())?;
        if spans.next()?.is_some() {
            agents.extend(names.find(number)?.map(str::to_owned));
        }
    }
    agents.sort_unstable();
    Ok(agents)
}

/// An agent's newest spans.
fn newest(
    conn: &Connection,
    agent: &str,
    starts: RangeInclusive<i64>,
    most: usize,
) -> Result<Vec<Posting>, StoreError> {
    match lists::find(conn, List::Agent, agent)? {
        Some(list) => Newest::new(conn, list, starts)?.take(most),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
#[path = "gaps_tests.rs"]
mod tests;
