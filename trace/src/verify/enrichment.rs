//! Whom the spans of agents' processes are about: how many say it, and which do not.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{hops, scan};
use crate::error::StoreError;
use crate::model::{SpanId, TraceId};

/// Kinds of spans that are told one by one.
const KINDS: usize = 100;
/// Spans that are shown as they are.
const SAMPLES: usize = 3;

/// Who the spans of agents' processes are about. Those of the server are not counted, its stand-ins neither.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Enrichment {
    /// Spans that were looked at.
    pub spans: u64,
    /// Those of them that have an agent.
    pub with_agent: u64,
    /// Those of them that have a workflow.
    pub with_workflow: u64,
    /// Spans that lack one of the two, by where they are from: the first hundred kinds, the most frequent ones first.
    pub without: Vec<Without>,
    /// A few that have both.
    pub samples: Vec<Sample>,
}

/// Spans of one name, from one instrumentation, that lack an agent or a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Without {
    /// The process.
    pub service: String,
    /// The instrumentation.
    pub scope: String,
    /// Name of the spans.
    pub name: String,
    /// How many lack an agent.
    pub without_agent: u64,
    /// How many lack a workflow.
    pub without_workflow: u64,
}

/// A span that says whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Its trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// Its agent.
    pub agent_id: String,
    /// Its workflow.
    pub workflow_id: String,
}

impl Enrichment {
    /// Whether every span has both.
    pub fn is_complete(&self) -> bool {
        self.with_agent == self.spans && self.with_workflow == self.spans
    }
}

/// The counts as they grow.
#[derive(Debug, Default)]
pub(super) struct Counted {
    all: Enrichment,
    /// Lacking an agent, and lacking a workflow, by service, scope and name.
    lacking: BTreeMap<(i64, i64, Arc<str>), (u64, u64)>,
}

impl Counted {
    pub(super) fn look_at(&mut self, trace_id: TraceId, span: &scan::Row) {
        if hops::is_of_the_server(span) || span.is_stand_in {
            return;
        }
        let all = &mut self.all;
        all.spans += 1;
        all.with_agent += u64::from(span.agent.is_some());
        all.with_workflow += u64::from(span.workflow.is_some());
        if let (Some(agent), Some(workflow)) = (&span.agent, &span.workflow) {
            let is_new = || all.samples.iter().all(|sample| *sample.name != *span.name);
            if all.samples.len() < SAMPLES && is_new() {
                all.samples.push(Sample {
                    trace_id,
                    span_id: span.span_id,
                    name: span.name.to_string(),
                    agent_id: agent.to_string(),
                    workflow_id: workflow.to_string(),
                });
            }
            return;
        }
        let kind = (span.service, span.scope, Arc::clone(&span.name));
        if self.lacking.len() < KINDS || self.lacking.contains_key(&kind) {
            let (agent, workflow) = self.lacking.entry(kind).or_default();
            *agent += u64::from(span.agent.is_none());
            *workflow += u64::from(span.workflow.is_none());
        }
    }

    /// With the names of services and instrumentations.
    pub(super) fn named(self, conn: &Connection) -> Result<Enrichment, StoreError> {
        let Self { mut all, lacking } = self;
        let name = |sql: &str, id: i64| -> Result<String, StoreError> {
            let found: Option<Option<String>> = conn
                .prepare_cached(sql)?
                .query_row([id], |row| row.get(0))
                .optional()?;
            // Retention may have taken it meanwhile.
            Ok(found.flatten().unwrap_or_default())
        };
        for ((service, scope, span), (without_agent, without_workflow)) in lacking {
            all.without.push(Without {
                service: name("SELECT name FROM services WHERE id = ?1", service)?,
                scope: name("SELECT body ->> '$.name' FROM scopes WHERE id = ?1", scope)?,
                name: span.to_string(),
                without_agent,
                without_workflow,
            });
        }
        all.without
            .sort_by_key(|kind| std::cmp::Reverse(kind.without_agent.max(kind.without_workflow)));
        Ok(all)
    }
}
