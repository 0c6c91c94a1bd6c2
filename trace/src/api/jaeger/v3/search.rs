//! The parameters of API v3: `query.*` in an address, or the object `query` of a body.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::super::error::Problem;
use super::super::super::params::{Params, duration, go_duration};
use super::super::find::{DEFAULT_LIMIT, limit};
use crate::query::{Field, Predicate, Search, Sort};
use crate::time_text::parse_rfc3339;

/// The two names of one parameter, the one that Jaeger's IDL writes first.
type Names = [&'static str; 2];

/// The parameters of a search that was posted: `{"query": {…}}` as protobuf's JSON writes it.
pub(super) fn posted(body: &[u8]) -> Result<Params, Problem> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body is no JSON: {error}")))?;
    let Some(query) = body.get("query").and_then(Value::as_object) else {
        return Err(Problem::bad_request("the body must have an object 'query'"));
    };
    let texts = query.iter().filter_map(|(name, value)| {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((format!("query.{name}"), text))
    });
    Ok(Params::new(texts.collect()))
}

/// What is looked for. All conditions are about one span.
pub(super) fn search(params: &Params) -> Result<Search, Problem> {
    if params.text("query.filter").is_some() {
        // A condition that is dropped would give more traces than were asked for.
        let why = "is not supported; use service, operation, attributes and duration";
        return Err(Problem::parameter("query.filter", why));
    }
    let field =
        |field, names| Predicate::optional(field, named(params, names).map(|(_, value)| value));
    let mut all: Vec<Predicate> = [
        field(Field::Service, ["query.serviceName", "query.service_name"]),
        field(
            Field::Operation,
            ["query.operationName", "query.operation_name"],
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.extend(attributes(params)?);
    let min_ns = length(params, ["query.durationMin", "query.duration_min"])?;
    let max_ns = length(params, ["query.durationMax", "query.duration_max"])?;
    all.extend(duration(min_ns, max_ns, "query.durationMax")?);
    let start = time(params, ["query.startTimeMin", "query.start_time_min"])?;
    let end = time(params, ["query.startTimeMax", "query.start_time_max"])?;
    let (from, until) = period(start, end, ["query.startTimeMin", "query.startTimeMax"])?;
    all.extend([Predicate::From(from), Predicate::To(until)]);
    Ok(Search {
        matching: Predicate::All(all),
        no_errors: false,
        sort: Sort::Newest,
        after: None,
        limit: depth(params)?,
    })
}

/// The first of a parameter's names that has a value, with that value.
pub(super) fn named(params: &Params, names: Names) -> Option<(&'static str, String)> {
    let mut names = names.into_iter();
    names.find_map(|name| Some((name, params.text(name)?)))
}

/// A time in RFC 3339, ns since the Unix epoch. Grafana does not encode the `+` of an offset, and it arrives as a space.
pub(super) fn time(params: &Params, names: Names) -> Result<Option<u64>, Problem> {
    parsed(params, names, |text| {
        let encoded = match text.split_once(['T', 't']) {
            Some((_, time)) if time.contains(' ') => text.replace(' ', "+"),
            _ => text.to_owned(),
        };
        parse_rfc3339(&encoded)
            .ok_or_else(|| format!("must be a time like 2026-01-31T12:00:00Z, got {text:?}"))
    })
}

/// First and last moment of a time whose end is not in it. Both ends must be said.
pub(super) fn period(
    start: Option<u64>,
    end: Option<u64>,
    [start_name, end_name]: Names,
) -> Result<(u64, u64), Problem> {
    match (start, end) {
        (Some(start), Some(end)) if start < end => Ok((start, end - 1)),
        (Some(_), Some(_)) => Err(Problem::parameter(
            start_name,
            format!("must be before {end_name}"),
        )),
        _ => Err(Problem::bad_request(format!(
            "{start_name} and {end_name} are required"
        ))),
    }
}

fn length(params: &Params, names: Names) -> Result<Option<u64>, Problem> {
    parsed(params, names, go_duration)
}

fn attributes(params: &Params) -> Result<Vec<Predicate>, Problem> {
    let map: Option<BTreeMap<String, String>> = params.parse("query.attributes", |text| {
        serde_json::from_str(text).map_err(|error| format!("must be a JSON map of texts: {error}"))
    })?;
    let attribute = |(key, value)| Predicate::Attribute(key, value);
    Ok(map.unwrap_or_default().into_iter().map(attribute).collect())
}

/// How many traces are wanted: 100 where nothing is said or no number above 0, and never more than 1,500.
fn depth(params: &Params) -> Result<usize, Problem> {
    let names = [
        "query.searchDepth",
        "query.search_depth",
        "query.num_traces",
    ];
    let Some(name) = names.into_iter().find(|name| params.text(name).is_some()) else {
        return Ok(DEFAULT_LIMIT);
    };
    let depth: Option<i64> = params.parse(name, |text| {
        text.parse()
            .map_err(|_| format!("must be a whole number, got {text:?}"))
    })?;
    Ok(limit(depth.unwrap_or(0)))
}

fn parsed<T>(
    params: &Params,
    names: Names,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Problem> {
    match named(params, names) {
        None => Ok(None),
        Some((name, text)) => match parse(&text) {
            Ok(value) => Ok(Some(value)),
            Err(why) => Err(Problem::parameter(name, why)),
        },
    }
}
