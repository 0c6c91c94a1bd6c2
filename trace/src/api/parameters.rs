//! Query parameters that several routes have in common, as the description of the API has them.
//!
//! They are read by [`Params`](super::params::Params), which says of each what is wrong with it: these types only
//! describe, and nobody makes one.

#![expect(dead_code, reason = "a description, see above")]

use utoipa::IntoParams;

/// A time, as `Period` reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[derive(Debug)]
pub struct During {
    /// `90s`, `15m`, `24h`, `7d`: until now. Not beside `from` or `to`.
    time_range: Option<String>,
    /// RFC 3339, `now`, `now-15m`, or ns since the Unix epoch.
    from: Option<String>,
    /// As `from`.
    to: Option<String>,
}

/// How fine a series is.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Step {
    /// From point to point of the series, like `5m`.
    step: Option<String>,
}

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[derive(Debug)]
pub struct PageOf {
    /// Items of this page at most.
    #[param(minimum = 1)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, under the same conditions.
    cursor: Option<String>,
}

/// Conditions on one span of a trace.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfSpans {
    /// The span's service.
    service: Option<String>,
    /// The span's name.
    operation: Option<String>,
    /// The agent that it is about.
    agent: Option<String>,
    /// The workflow that it is about.
    workflow: Option<String>,
    /// The session that it is about.
    session: Option<String>,
    /// The user that it is about.
    user: Option<String>,
    /// The tenant that it is about.
    tenant: Option<String>,
    /// The conversation that it is about.
    thread: Option<String>,
    /// The topic of its event.
    topic: Option<String>,
    /// `key:value`: an attribute of the span, its resource, scope, events or links, as text; `error`, `span.kind`, `resource.…` and other names
    /// as in Jaeger. Any number of them.
    tag: Option<Vec<String>>,
    /// The same as a JSON object of texts.
    tags: Option<String>,
    /// Words that it holds: in its name or that of an event, a value, its status message or an id.
    q: Option<String>,
    /// `error`: the span failed; `ok`: no span of the trace did.
    #[param(inline)]
    status: Option<Status>,
    /// Like `10ms`, `1.5s`, `1h10m`.
    min_duration: Option<String>,
    /// As `min_duration`.
    max_duration: Option<String>,
}

#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
enum Status {
    Ok,
    Error,
}
