//! Figures of agents, workflows and everything over HTTP, in total and along the time.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::support::{Server, encode, request, span, string};

const MINUTE: u64 = 60_000_000_000;
const MS: u64 = 1_000_000;
/// 2026-01-01T00:00:00Z
const BASE: u64 = 1_767_225_600_000_000_000;
/// The hour after [`BASE`].
const HOUR: &str = "from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z";

fn handler(id: u64, agent: &str, at_minute: u64, ms: u64) -> Span {
    let mut handler = span(1, id, 0);
    "agent.on_event".clone_into(&mut handler.name);
    handler.start_time_unix_nano = BASE + at_minute * MINUTE;
    handler.end_time_unix_nano = handler.start_time_unix_nano + ms * MS;
    handler.attributes = vec![string("agent.id", agent), string("workflow.id", "w")];
    handler
}

async fn filled() -> Server {
    let server = Server::start().await;
    let spans = vec![
        handler(1, "a", 0, 10),
        handler(2, "a", 1, 30),
        handler(3, "b", 1, 20),
        handler(4, "a", 59, 40),
    ];
    let request = encode(&request("agents", spans));
    server.store.ingest().append(request).expect("taken");
    server.flush().await;
    server
}

/// What a column says, by its place, where it says something.
fn told(series: &Value, column: &str) -> Vec<(usize, Value)> {
    let values = series[column].as_array().expect("a column");
    assert_eq!(values.len(), series["at"].as_array().expect("times").len());
    let places = values.iter().cloned().enumerate();
    places.filter(|(_, value)| !value.is_null()).collect()
}

#[tokio::test]
async fn figures_along_the_time() {
    let server = filled().await;
    for path in [
        "agents/a",
        "observability/agents/a",
        "workflows/w",
        "observability/workflows/w",
    ] {
        let asked = format!("/api/v1/{path}/metrics?{HOUR}&step=5m");
        let (status, found) = server.get(&asked).await;
        assert_eq!((status, &found["complete"]), (200, &json!(true)), "{found}");
        assert_eq!(
            (&found["step_s"], &found["window_s"]),
            (&json!(300), &json!(3600.0))
        );
        assert_eq!(found["time_range"], Value::Null);
        let of_workflow = path.contains("workflows");
        let count = 3 + u64::from(of_workflow);
        assert_eq!(found["sample_count"], count, "{path}");
        let series = &found["series"];
        assert_eq!(series["at"].as_array().map(Vec::len), Some(12));
        assert_eq!(series["at"][11], "2026-01-01T00:55:00.000Z");
        let expected = [(0, json!(count - 1)), (11, json!(1))];
        assert_eq!(told(series, "executions"), expected, "{path}");
        assert_eq!(told(series, "errors"), [(0, json!(0)), (11, json!(0))]);
        let p50_ms = if of_workflow { 20.0 } else { 10.0 };
        let expected = [(0, json!(p50_ms)), (11, json!(40.0))];
        assert_eq!(told(series, "p50_ms"), expected, "{path}");
        assert_eq!(
            told(series, "p95_ms"),
            [(0, json!(30.0)), (11, json!(40.0))]
        );
        assert!(told(series, "total_tokens").is_empty());
        assert!(told(series, "cost_usd").is_empty());
        assert!(found.get("by_agent").is_none());
    }
    let asked = format!("/api/v1/agents/nobody/metrics?{HOUR}");
    let (_, nobody) = server.get(&asked).await;
    assert_eq!(nobody["sample_count"], 0);
    assert_eq!(nobody["step_s"], 15);
    assert!(told(&nobody["series"], "executions").is_empty());
}

#[tokio::test]
async fn figures_of_everything() {
    let server = filled().await;
    let (status, found) = server.get(&format!("/api/v1/metrics?{HOUR}")).await;
    assert_eq!((status, &found["sample_count"]), (200, &json!(4)));
    assert_eq!(found["executions"]["count"], 4);
    let share = |key: &str, id: &str, count: u64, p95_ms: f64| json!({ key: id, "count": count, "errors": 0, "p95_ms": p95_ms });
    let agents = [
        share("agent_id", "a", 3, 40.0),
        share("agent_id", "b", 1, 20.0),
    ];
    assert_eq!(found["by_agent"], json!(agents));
    let workflows = [share("workflow_id", "w", 4, 40.0)];
    assert_eq!(found["by_workflow"], json!(workflows));
    assert!(found.get("agent_id").is_none() && found.get("workflow_id").is_none());

    // Without a time it is the last day, in which nothing happened.
    let (_, today) = server.get("/api/v1/metrics").await;
    assert_eq!(
        (&today["time_range"], &today["sample_count"]),
        (&json!("24h"), &json!(0))
    );
    assert_eq!(
        (&today["step_s"], &today["window_s"]),
        (&json!(300), &json!(86_400.0))
    );
    assert_eq!(today["executions"]["error_rate"], Value::Null);
    assert_eq!(today["by_agent"], json!([]));
}

#[tokio::test]
async fn any_time_has_at_most_three_hundred_points() {
    let server = filled().await;
    for query in [
        "",
        "time_range=1s",
        "time_range=366d",
        "from=0",
        "from=0&to=18446744073709551615",
        "from=now&to=now",
        "from=18446744073709551615",
        "time_range=1h&step=15s",
        "time_range=24h&step=366d",
    ] {
        let asked = format!("/api/v1/metrics?{query}");
        let (status, found) = server.get(&asked).await;
        assert_eq!(status, 200, "{query}: {found}");
        let at = found["series"]["at"].as_array().expect("times");
        assert!(at.len() <= 300, "{query}: {}", at.len());
        assert!(found["window_s"].as_f64() >= Some(0.0), "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let server = filled().await;
    for (query, name) in [
        ("step=0s", "step"),
        ("step=5", "step"),
        ("step=-5m", "step"),
        ("step=1.5m", "step"),
        ("step=999999999999999999999d", "step"),
        ("step=%27%3B--", "step"),
        ("time_range=1h&step=1s", "step"),
        ("from=0&step=1h", "step"),
        ("time_range=1h&from=now", "time_range"),
        ("from=soon", "from"),
        ("from=now&to=now-1h", "to"),
    ] {
        for path in ["metrics", "agents/a/metrics", "workflows/w/metrics"] {
            let asked = format!("/api/v1/{path}?{query}");
            let (status, problem) = server.get(&asked).await;
            let pointer = format!("/query/{name}");
            assert_eq!(
                (status, &problem["errors"][0]["pointer"]),
                (400, &json!(pointer)),
                "{asked}"
            );
        }
    }
    let (_, problem) = server.get("/api/v1/metrics?time_range=1h&step=1s").await;
    let detail = problem["errors"][0]["detail"].as_str().expect("a text");
    assert!(detail.ends_with("take 15s or more"), "{detail}");
    // Ids are values and no SQL.
    let hostile = "%27%20OR%20agent_id%20IS%20NOT%20NULL--";
    let (status, found) = server
        .get(&format!("/api/v1/agents/{hostile}/metrics?{HOUR}"))
        .await;
    assert_eq!((status, &found["sample_count"]), (200, &json!(0)));
}
