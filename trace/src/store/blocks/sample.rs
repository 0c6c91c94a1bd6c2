//! A handler or a model call in a list: all that metrics add up.

use std::collections::HashSet;

use loom_proto::wire::put_varint;
use rusqlite::Connection;

use super::bytes::{Reader, put_signed};
use super::{Entry, Key, List, Posting, load};
use crate::error::StoreError;
use crate::measure::Kind;

/// A handler or a model call. What nobody has measured is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Its start, ns since the Unix epoch.
    pub(crate) start_ns: i64,
    /// `spans.id`
    pub(crate) id: i64,
    /// `traces.id`
    pub(crate) trace: i64,
    /// `names.id` of its agent.
    pub(crate) agent: Option<i64>,
    /// `names.id` of its workflow.
    pub(crate) workflow: Option<i64>,
    /// Which of the two.
    pub(crate) kind: Kind,
    /// It has failed.
    pub(crate) is_error: bool,
    /// In ns.
    pub(crate) duration_ns: Option<i64>,
    /// Until the first token, in ms.
    pub(crate) ttft_ms: Option<f64>,
    /// Of the prompt.
    pub(crate) prompt_tokens: Option<i64>,
    /// Of the answer.
    pub(crate) completion_tokens: Option<i64>,
    /// Of both.
    pub(crate) total_tokens: Option<i64>,
    /// In USD.
    pub(crate) cost_usd: Option<f64>,
    /// Phases: `names.id` of each name, and ms.
    pub(crate) phases: Vec<(i64, f64)>,
}

/// Bits of the number before a sample: which of its figures follow.
mod flag {
    pub(super) const CALL: u64 = 1;
    pub(super) const ERROR: u64 = 1 << 1;
    pub(super) const AGENT: u64 = 1 << 2;
    pub(super) const WORKFLOW: u64 = 1 << 3;
    pub(super) const DURATION: u64 = 1 << 4;
    pub(super) const PHASES: u64 = 1 << 5;
    pub(super) const TTFT: u64 = 1 << 6;
    pub(super) const PROMPT: u64 = 1 << 7;
    pub(super) const COMPLETION: u64 = 1 << 8;
    pub(super) const TOTAL: u64 = 1 << 9;
    pub(super) const COST: u64 = 1 << 10;
}

impl Sample {
    fn flags(&self) -> u64 {
        let when = |is: bool, flag| if is { flag } else { 0 };
        when(self.kind == Kind::ModelCall, flag::CALL)
            | when(self.is_error, flag::ERROR)
            | when(self.agent.is_some(), flag::AGENT)
            | when(self.workflow.is_some(), flag::WORKFLOW)
            | when(self.duration_ns.is_some(), flag::DURATION)
            | when(!self.phases.is_empty(), flag::PHASES)
            | when(self.ttft_ms.is_some(), flag::TTFT)
            | when(self.prompt_tokens.is_some(), flag::PROMPT)
            | when(self.completion_tokens.is_some(), flag::COMPLETION)
            | when(self.total_tokens.is_some(), flag::TOTAL)
            | when(self.cost_usd.is_some(), flag::COST)
    }
}

impl Entry for Sample {
    const TABLE: &'static str = "samples";

    /// Without those whose spans have gone, and the last of each span.
    fn listed(conn: &Connection, list: Key) -> Result<Vec<Self>, StoreError> {
        let mut found = load(conn, list)?;
        Self::settle(&mut found);
        let gone: Vec<Posting> = load(conn, (list.0, List::Gone, 0))?;
        if !gone.is_empty() {
            let gone: HashSet<_> = gone.into_iter().map(|posting| posting.id).collect();
            found.retain(|sample| !gone.contains(&sample.id));
        }
        Ok(found)
    }

    fn place(&self) -> (i64, i64) {
        (self.start_ns, self.id)
    }

    /// Numbers, then what is measured as a fraction, then phases; in the order in which `read` takes them.
    fn put(&self, body: &mut Vec<u8>) {
        let numbers = [
            self.agent,
            self.workflow,
            self.duration_ns,
            self.prompt_tokens,
            self.completion_tokens,
            self.total_tokens,
        ];
        put_varint(body, self.flags());
        put_signed(body, self.trace);
        for number in numbers.into_iter().flatten() {
            put_signed(body, number);
        }
        for number in [self.ttft_ms, self.cost_usd].into_iter().flatten() {
            body.extend(number.to_le_bytes());
        }
        if !self.phases.is_empty() {
            put_varint(body, self.phases.len() as u64);
            for (name, ms) in &self.phases {
                put_signed(body, *name);
                body.extend(ms.to_le_bytes());
            }
        }
    }

    fn read(body: &mut Reader<'_>, (start_ns, id): (i64, i64)) -> Option<Self> {
        let flags = body.varint()?;
        let has = |flag| flags & flag != 0;
        let trace = body.signed()?;
        let mut number = |flag| -> Option<Option<i64>> {
            Some(if has(flag) {
                Some(body.signed()?)
            } else {
                None
            })
        };
        let agent = number(flag::AGENT)?;
        let workflow = number(flag::WORKFLOW)?;
        let duration_ns = number(flag::DURATION)?;
        let prompt_tokens = number(flag::PROMPT)?;
        let completion_tokens = number(flag::COMPLETION)?;
        let total_tokens = number(flag::TOTAL)?;
        let mut double = |flag| -> Option<Option<f64>> {
            Some(if has(flag) {
                Some(body.double()?)
            } else {
                None
            })
        };
        let ttft_ms = double(flag::TTFT)?;
        let cost_usd = double(flag::COST)?;
        let mut phases = Vec::new();
        if has(flag::PHASES) {
            for _ in 0..body.varint()? {
                phases.push((body.signed()?, body.double()?));
            }
        }
        Some(Self {
            start_ns,
            id,
            trace,
            agent,
            workflow,
            kind: if has(flag::CALL) {
                Kind::ModelCall
            } else {
                Kind::Handler
            },
            is_error: has(flag::ERROR),
            duration_ns,
            ttft_ms,
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cost_usd,
            phases,
        })
    }
}
