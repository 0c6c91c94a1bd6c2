//! One line about a trace, from the small columns of its spans. The only place that says how a line comes about.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rusqlite::Connection;
use serde::Serialize;

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::model::{SpanId, StatusCode, TraceId};
use crate::store::trace_ids;

/// One line about a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its id.
    pub trace_id: TraceId,
    /// Name of its root, or of its earliest span if there is no root.
    pub root_name: String,
    /// Service of that span.
    pub root_service: String,
    /// Earliest start, ns since the Unix epoch.
    pub start_ns: u64,
    /// Latest end, ns since the Unix epoch.
    pub end_ns: u64,
    /// Spans known.
    pub spans: u64,
    /// Spans with status error.
    pub errors: u64,
    /// Spans whose parent is not known.
    pub orphans: u64,
    /// Services in it, sorted, and their part of it.
    pub services: BTreeMap<String, ServicePart>,
    /// Agents that its spans are about, sorted.
    pub agents: BTreeSet<String>,
    /// The workflow that it belongs to; of several that of its earliest span.
    pub workflow_id: Option<String>,
}

/// What one service has done in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ServicePart {
    /// Its spans.
    pub spans: u64,
    /// Those with status error.
    pub errors: u64,
}

impl Query {
    /// One line for each of these traces, in their order; a trace that has gone meanwhile is left out.
    pub async fn summaries(&self, traces: Vec<TraceId>) -> Result<Vec<Summary>, QueryError> {
        self.read(move |conn| {
            let mut summaries = Vec::with_capacity(traces.len());
            for id in traces {
                summaries.extend(summary(conn, id)?);
            }
            Ok(summaries)
        })
        .await
    }
}

fn summary(conn: &Connection, id: TraceId) -> Result<Option<Summary>, StoreError> {
    let Some(number) = trace_ids::number(conn, id)? else {
        return Ok(None);
    };
    let mut statement = conn.prepare_cached(
        "SELECT span_id, parent_span_id, spans.name, start_ns, end_ns, status, services.name, agent_id, workflow_id
         FROM spans LEFT JOIN services ON services.id = service_id WHERE trace = ?1",
    )?;
    let mut rows = statement.query([number])?;
    let mut summary = Summary {
        trace_id: id,
        root_name: String::new(),
        root_service: String::new(),
        start_ns: u64::MAX,
        end_ns: 0,
        spans: 0,
        errors: 0,
        orphans: 0,
        services: BTreeMap::new(),
        agents: BTreeSet::new(),
        workflow_id: None,
    };
    let mut known = HashSet::new();
    let mut parents = Vec::new();
    // A span without parent goes before one with, then the earlier one.
    let mut best = (true, u64::MAX);
    let mut first_of_workflow = u64::MAX;
    let text = |row: &rusqlite::Row<'_>, at: usize| -> Result<Option<String>, StoreError> {
        Ok(row.get(at)?)
    };
    while let Some(row) = rows.next()? {
        let parent = row
            .get::<_, Option<[u8; 8]>>(1)?
            .and_then(|b| SpanId::from_bytes(&b));
        let start = row.get::<_, i64>(3)?.cast_unsigned();
        known.insert(row.get::<_, [u8; 8]>(0)?);
        parents.extend(parent);
        let failed = u64::from(row.get::<_, u8>(5)? == StatusCode::Error as u8);
        summary.spans += 1;
        summary.errors += failed;
        summary.start_ns = summary.start_ns.min(start);
        summary.end_ns = summary.end_ns.max(row.get::<_, i64>(4)?.cast_unsigned());
        let rank = (parent.is_some(), start);
        if rank < best || summary.spans == 1 {
            best = rank;
            summary.root_name = row.get(2)?;
            summary.root_service = text(row, 6)?.unwrap_or_default();
        }
        if let Some(service) = shared(row, 6)? {
            let part = match summary.services.get_mut(service) {
                Some(part) => part,
                None => summary.services.entry(service.to_owned()).or_default(),
            };
            part.spans += 1;
            part.errors += failed;
        }
        if let Some(agent) = shared(row, 7)?
            && !summary.agents.contains(agent)
        {
            summary.agents.insert(agent.to_owned());
        }
        if start < first_of_workflow
            && let Some(workflow) = text(row, 8)?
        {
            first_of_workflow = start;
            summary.workflow_id = Some(workflow);
        }
    }
    if summary.spans == 0 {
        return Ok(None);
    }
    summary.end_ns = summary.end_ns.max(summary.start_ns);
    summary.orphans = parents
        .iter()
        .filter(|parent| !known.contains(parent.as_bytes()))
        .count() as u64;
    Ok(Some(summary))
}

/// A text that most spans share: whoever wants to keep it copies it when it is new.
fn shared<'r>(row: &'r rusqlite::Row<'_>, at: usize) -> Result<Option<&'r str>, StoreError> {
    let text = row.get_ref(at)?.as_str_or_null();
    text.map_err(|error| StoreError::Sqlite(error.into()))
}
