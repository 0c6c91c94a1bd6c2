//! What Jaeger's searches have in common, in whatever shape and over whatever wire they answer.

use std::time::{Duration, Instant};

use crate::error::QueryError;
use crate::model::{Attributes, Trace, TraceId, Value};
use crate::query::{Query, Search};

/// Traces of one answer where nothing is said, as Jaeger has it.
pub(in super::super) const DEFAULT_LIMIT: usize = 100;
/// Traces of one answer at most, whatever was asked for; the most that Jaeger's UI offers.
pub(in super::super) const MAX_LIMIT: usize = 1_500;
/// How long pages are turned: Jaeger's clients know no cursor, and its UI waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(6);
/// Under this name Jaeger keeps warnings about a span, and its UI shows them.
const WARNINGS: &str = "@jaeger@warnings";

/// How many traces are answered to whoever wants so many; 100 where it is no number above 0.
pub(super) fn limit(wanted: i64) -> usize {
    match usize::try_from(wanted) {
        Ok(0) | Err(_) => DEFAULT_LIMIT,
        Ok(wanted) => wanted.min(MAX_LIMIT),
    }
}

/// Ids of traces.
pub(super) struct FoundIds {
    /// The newest match first.
    pub(super) ids: Vec<TraceId>,
    /// There may be more that are older, and they were not looked for: it would have taken too long.
    pub(super) is_cut: bool,
}

/// Searches until there are as many traces as are wanted, until there is nothing more, or for a few seconds.
pub(super) async fn ids(query: &Query, mut search: Search) -> Result<FoundIds, QueryError> {
    let start = Instant::now();
    let wanted = search.limit;
    let mut ids = Vec::new();
    loop {
        search.limit = wanted - ids.len();
        let page = query.search(search.clone()).await?;
        ids.extend(page.items.into_iter().map(|found| found.trace_id));
        let is_cut = page.next.is_some() && ids.len() < wanted;
        if !is_cut || start.elapsed() > PATIENCE {
            return Ok(FoundIds { ids, is_cut });
        }
        search.after = page.next;
    }
}

/// Whole traces.
#[derive(Default)]
pub(super) struct Loaded {
    /// In the order of their ids.
    pub(super) traces: Vec<Trace>,
    /// Of these no span is known.
    pub(super) missing: Vec<TraceId>,
    /// The answer is full, and these are not in it.
    left_out: usize,
}

impl Loaded {
    /// Something of what was asked for is not here because the answer is full.
    pub(super) fn is_cut(&self) -> bool {
        self.left_out > 0 || self.traces.iter().any(|trace| trace.truncated)
    }
}

/// Loads traces, at most `max_spans` spans in all; the last one may be cut.
pub(super) async fn load(
    query: &Query,
    ids: Vec<TraceId>,
    max_spans: usize,
) -> Result<Loaded, QueryError> {
    let mut loaded = Loaded::default();
    let mut room = max_spans;
    for id in ids {
        if room == 0 {
            loaded.left_out += 1;
            continue;
        }
        match query.trace(id, room).await? {
            Some(trace) => {
                room -= trace.spans.len();
                loaded.traces.push(trace);
            }
            None => loaded.missing.push(id),
        }
    }
    Ok(loaded)
}

/// What is to be said about a trace that is not whole.
pub(super) fn cut_warning(trace: &Trace) -> Option<String> {
    trace.truncated.then(|| {
        format!(
            "the trace is larger than one answer may be: only its first {} spans are here",
            trace.spans.len()
        )
    })
}

/// Says at the first span that the trace is not whole, where Jaeger's UI looks for it: OTLP has no place for it.
pub(super) fn warn(trace: &mut Trace) {
    let Some(warning) = cut_warning(trace) else {
        return;
    };
    if let Some(span) = trace.spans.first_mut() {
        let Attributes(pairs) = &mut span.attributes;
        let warnings = Value::Array(vec![Value::String(warning)]);
        pairs.retain(|(key, _)| key != WARNINGS);
        pairs.push((WARNINGS.to_owned(), warnings));
    }
}
