//! What an agent or a workflow has cost in a time: `/api/v1/observability/…/metrics`.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde_json::{Value, json};

use super::Api;
use super::error::{LoomProblem, Problem};
use super::params::Params;
use crate::indexer::now_ms;
use crate::query::Whose;
use crate::time_text::rfc3339;

const DEFAULT_RANGE: &str = "24h";
/// More than the store keeps by far; a longer one is a mistake.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// `time_range=24h`: metrics of an agent until now.
pub(super) async fn agent(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, LoomProblem> {
    let subject = json!({ "agent_id": id });
    answer(&api, subject, Whose::Agent(id), &uri).await
}

/// The same of a workflow.
pub(super) async fn workflow(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, LoomProblem> {
    let subject = json!({ "workflow_id": id });
    answer(&api, subject, Whose::Workflow(id), &uri).await
}

async fn answer(
    api: &Api,
    mut answer: Value,
    whose: Whose,
    uri: &Uri,
) -> Result<Json<Value>, LoomProblem> {
    let params = Params::of(uri)?;
    let text = params.text("time_range");
    let range = text.as_deref().unwrap_or(DEFAULT_RANGE);
    let period =
        time_range(range).map_err(|why| Problem::bad_request(format!("time_range: {why}")))?;
    let now_ns = now_ms().saturating_mul(1_000_000);
    // What begins in this very millisecond belongs to it.
    let end_ns = now_ns.saturating_add(1_000_000);
    let from_ns = now_ns.saturating_sub(period.as_nanos() as u64);
    let metrics = api.store.query().metrics(whose, from_ns..end_ns).await?;
    answer["time_range"] = range.into();
    answer["from"] = rfc3339(from_ns).into();
    answer["to"] = rfc3339(now_ns).into();
    for (key, part) in [
        ("executions", json!(metrics.executions)),
        ("phases", json!(metrics.phases)),
        ("model_calls", json!(metrics.model_calls)),
    ] {
        answer[key] = part;
    }
    Ok(Json(answer))
}

/// A number and its unit: `90s`, `15m`, `24h`, `7d`.
fn time_range(text: &str) -> Result<Duration, String> {
    let bad = || format!("must be a number with s, m, h or d, like 24h, got {text:?}");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(bad()),
    };
    let range = Duration::from_secs(number.saturating_mul(seconds));
    if range.is_zero() {
        return Err(format!("no time at all, got {text:?}"));
    }
    if range > LONGEST {
        return Err(format!("at most 366d, got {text:?}"));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let good = [
            ("90s", 90),
            ("15m", 900),
            ("24h", 86_400),
            ("7d", 604_800),
            ("366d", 31_622_400),
        ];
        for (text, seconds) in good {
            assert_eq!(time_range(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "h",
            "24",
            "0h",
            "-1h",
            "1.5h",
            "24H",
            "1h30m",
            "367d",
            "99999999999999999999h",
            "18446744073709551615d",
        ] {
            assert!(time_range(text).is_err(), "{text}");
        }
    }
}
