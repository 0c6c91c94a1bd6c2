//! Jaeger's metrics of services, which its UI shows on the page Monitor: calculated from spans when they are asked for.
//!
//! Times and lengths are ms. The answers have no envelope: they are metric families as `OpenMetrics` has them, in protobuf's JSON.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::super::Api;
use super::super::error::{JaegerProblem, Problem};
use super::super::params::Params;
use super::flag::flag;
use super::incomplete;
use crate::indexer::now_ms;
use crate::model::SpanKind;
use crate::query::{Measure, RedSearch, RedSeries};
use crate::time_text::rfc3339;

const HOUR_MS: u64 = 3_600_000;
/// Points of one series, as Prometheus has it.
const MAX_POINTS: u64 = 11_000;
/// Services of one request.
const MAX_SERVICES: usize = 100;
/// Until the year 2262, in ms, so that ns fit.
const MAX_MS: u64 = i64::MAX as u64 / 1_000_000;

/// One of the three routes.
#[derive(Debug, Clone, Copy)]
struct Family {
    /// What stands behind `service_` or `service_operation_` in its name.
    name: &'static str,
    help: &'static str,
    measure: Measure,
}

pub(super) async fn latencies(State(api): State<Api>, uri: Uri) -> Result<Response, JaegerProblem> {
    let quantile = Params::of(&uri)?.parse("quantile", |text| match text.parse() {
        Ok(quantile) if (0.0..=1.0).contains(&quantile) => Ok(quantile),
        _ => Err(format!("must be a number from 0 to 1, got {text:?}")),
    })?;
    let quantile = quantile.ok_or_else(|| Problem::parameter("quantile", "is required"))?;
    let family = Family {
        name: "latencies",
        help: "duration below which the asked share of the spans lies, in ms",
        measure: Measure::Latency(quantile),
    };
    metrics(api, &uri, family).await
}

pub(super) async fn calls(State(api): State<Api>, uri: Uri) -> Result<Response, JaegerProblem> {
    let family = Family {
        name: "call_rate",
        help: "spans per second",
        measure: Measure::Calls,
    };
    metrics(api, &uri, family).await
}

pub(super) async fn errors(State(api): State<Api>, uri: Uri) -> Result<Response, JaegerProblem> {
    let family = Family {
        name: "error_rate",
        help: "share of the spans that failed, from 0 to 1",
        measure: Measure::Errors,
    };
    metrics(api, &uri, family).await
}

async fn metrics(api: Api, uri: &Uri, family: Family) -> Result<Response, JaegerProblem> {
    let params = Params::of(uri)?;
    let search = search(&params, family.measure, now_ms())?;
    let (points_ns, by_operation) = (search.points_ns.clone(), search.by_operation);
    let red = api.store.query().red(search).await?;
    let times: Vec<_> = points_ns.into_iter().map(rfc3339).collect();
    let of = if by_operation {
        "service_operation"
    } else {
        "service"
    };
    let answer = MetricFamily {
        name: format!("{of}_{}", family.name),
        kind: "GAUGE",
        help: family.help,
        metrics: red
            .series
            .iter()
            .map(|series| Metric::of(series, &times))
            .collect(),
    };
    Ok((incomplete(red.is_cut), Json(answer)).into_response())
}

fn search(params: &Params, measure: Measure, now_ms: u64) -> Result<RedSearch, Problem> {
    let mut services: Vec<String> = Vec::new();
    for service in params.all("service").filter(|name| !name.is_empty()) {
        if !services.iter().any(|other| other == service) {
            services.push(service.to_owned());
        }
    }
    if services.is_empty() || services.len() > MAX_SERVICES {
        let why = format!("name 1 to {MAX_SERVICES} services");
        return Err(Problem::parameter("service", why));
    }
    let mut kinds = Vec::new();
    for name in params.all("spanKind").filter(|name| !name.is_empty()) {
        let unspecified = (name == "unspecified").then_some(SpanKind::Unspecified);
        let kind = unspecified.or_else(|| SpanKind::from_name(name));
        let unknown = || Problem::parameter("spanKind", format!("unknown kind {name:?}"));
        kinds.push(kind.ok_or_else(unknown)?);
    }
    if kinds.is_empty() {
        kinds.push(SpanKind::Server);
    }
    let ms = |name, least: u64| {
        params.parse(name, |text| match text.parse() {
            Ok(ms) if (least..=MAX_MS).contains(&ms) => Ok(ms),
            _ => Err(format!(
                "must be a number of milliseconds from {least} to {MAX_MS}, got {text:?}"
            )),
        })
    };
    let end_ms = ms("endTs", 0)?.unwrap_or(now_ms);
    let lookback_ms = ms("lookback", 0)?.unwrap_or(HOUR_MS);
    let step_ms = ms("step", 1)?.unwrap_or(5_000);
    let window_ms = ms("ratePer", 1)?.unwrap_or(600_000);
    if lookback_ms / step_ms >= MAX_POINTS {
        let why = format!("is too short: lookback would have more than {MAX_POINTS} of them");
        return Err(Problem::parameter("step", why));
    }
    let from_ms = end_ms.saturating_sub(lookback_ms);
    let points = (from_ms..=end_ms).step_by(usize::try_from(step_ms).unwrap_or(usize::MAX));
    Ok(RedSearch {
        services,
        kinds,
        by_operation: flag(params, ["groupByOperation"])?,
        measure,
        points_ns: points.map(|ms| ms * 1_000_000).collect(),
        window_ns: window_ms * 1_000_000,
    })
}

#[derive(Debug, Serialize)]
struct MetricFamily<'a> {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    help: &'static str,
    metrics: Vec<Metric<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metric<'a> {
    labels: Vec<Label<'a>>,
    metric_points: Vec<MetricPoint<'a>>,
}

#[derive(Debug, Serialize)]
struct Label<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MetricPoint<'a> {
    gauge_value: GaugeValue,
    timestamp: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GaugeValue {
    double_value: Value,
}

impl<'a> Metric<'a> {
    fn of(series: &'a RedSeries, times: &'a [String]) -> Self {
        let mut labels = vec![Label {
            name: "service_name",
            value: &series.service,
        }];
        labels.extend(series.operation.as_deref().map(|value| Label {
            name: "operation",
            value,
        }));
        let points = series.values.iter().zip(times);
        Self {
            labels,
            metric_points: points
                .map(|(value, timestamp)| MetricPoint {
                    gauge_value: GaugeValue {
                        // So has Jaeger's Prometheus it, and its UI draws a gap.
                        double_value: value.map_or_else(|| "NaN".into(), Value::from),
                    },
                    timestamp,
                })
                .collect(),
        }
    }
}
