//! Jaeger's metrics of services, as the page Monitor of its UI asks for them.

use opentelemetry_proto::tonic::trace::v1::{Status, span::SpanKind};
use serde_json::{Value, json};

use crate::jaeger_ui;
use crate::support::{Server, encode, request, span};

/// 2026-01-01T00:00:00Z
const BASE_MS: u64 = 1_767_225_600_000;

/// Three consumer spans of `agents` at 0, 10 and 40 s, the second one failed; one of another kind, and one of another service.
async fn filled() -> Server {
    let server = Server::start().await;
    let at = |id: u64, name: &str, kind: SpanKind, second: u64, took_ms: u64| {
        let mut span = span(1, id, 0);
        span.name = name.into();
        span.kind = kind as i32;
        span.start_time_unix_nano = (BASE_MS + second * 1_000) * 1_000_000;
        span.end_time_unix_nano = span.start_time_unix_nano + took_ms * 1_000_000;
        span
    };
    let mut failed = at(2, "on_b", SpanKind::Consumer, 10, 30);
    failed.status = Some(Status {
        code: 2,
        message: "no".to_owned(),
    });
    let agents = vec![
        at(1, "on_a", SpanKind::Consumer, 0, 10),
        failed,
        at(3, "on_a", SpanKind::Consumer, 40, 20),
        at(4, "emit", SpanKind::Producer, 5, 1),
    ];
    let other = vec![at(5, "serve", SpanKind::Server, 20, 100)];
    for request in [request("agents", agents), request("other", other)] {
        let ingest = server.store.ingest();
        ingest.append(encode(&request)).expect("taken");
    }
    server.flush().await;
    server
}

/// From 10 to 70 s after [`BASE_MS`], every 20 s, over 30 s.
fn path(metric: &str, query: &str) -> String {
    let end = BASE_MS + 70_000;
    format!("/api/metrics/{metric}?endTs={end}&lookback=60000&step=20000&ratePer=30000&{query}")
}

async fn family(server: &Server, path: &str) -> Value {
    let (status, json) = server.get(path).await;
    assert_eq!(status, 200, "{path}: {json}");
    jaeger_ui::metric_family(&json);
    json
}

fn values(metric: &Value) -> Vec<&Value> {
    let points = metric["metricPoints"].as_array().expect("a list").iter();
    points
        .map(|point| &point["gaugeValue"]["doubleValue"])
        .collect()
}

#[tokio::test]
async fn the_three_families() {
    let server = filled().await;
    let consumer = "service=agents&spanKind=consumer";
    let calls = family(&server, &path("calls", consumer)).await;
    assert_eq!(calls["name"], "service_call_rate");
    let metric = &calls["metrics"][0];
    let label = json!([{"name": "service_name", "value": "agents"}]);
    assert_eq!(metric["labels"], label);
    let times: Vec<_> = metric["metricPoints"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|point| point["timestamp"].as_str().expect("text"))
        .collect();
    let expected = [
        "2026-01-01T00:00:10.000Z",
        "2026-01-01T00:00:30.000Z",
        "2026-01-01T00:00:50.000Z",
        "2026-01-01T00:01:10.000Z",
    ];
    assert_eq!(times, expected);
    let per_s = |spans: f64| json!(spans / 30.0);
    assert_eq!(
        values(metric),
        [&per_s(2.0), &per_s(1.0), &per_s(1.0), &per_s(0.0)]
    );

    let errors = family(&server, &path("errors", consumer)).await;
    assert_eq!(errors["name"], "service_error_rate");
    let gap = json!("NaN");
    assert_eq!(
        values(&errors["metrics"][0]),
        [&json!(0.5), &json!(1.0), &json!(0.0), &gap]
    );

    for (quantile, first) in [("0.5", 10.0), ("0.95", 30.0), ("1e0", 30.0)] {
        let query = format!("{consumer}&quantile={quantile}");
        let latencies = family(&server, &path("latencies", &query)).await;
        assert_eq!(latencies["name"], "service_latencies");
        assert_eq!(
            values(&latencies["metrics"][0]),
            [&json!(first), &json!(30.0), &json!(20.0), &gap],
            "{quantile}"
        );
    }
}

#[tokio::test]
async fn operations_services_and_kinds() {
    let server = filled().await;
    let query = "service=agents&spanKind=consumer&groupByOperation=true";
    let calls = family(&server, &path("calls", query)).await;
    assert_eq!(calls["name"], "service_operation_call_rate");
    let labels: Vec<_> = calls["metrics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|metric| metric["labels"].clone())
        .collect();
    let of = |name: &str| json!([{"name": "service_name", "value": "agents"}, {"name": "operation", "value": name}]);
    assert_eq!(labels, [of("on_a"), of("on_b")]);

    let count = async |query: &str| {
        let json = family(&server, &path("calls", query)).await;
        let metrics = json["metrics"].as_array().map(Vec::len);
        metrics.expect("a list")
    };
    for (query, series) in [
        // A server is looked for where no kind is said.
        ("service=agents", 0),
        ("service=other", 1),
        (
            "service=agents&service=other&service=agents&spanKind=consumer&spanKind=server",
            2,
        ),
        ("service=nobody&spanKind=consumer", 0),
        ("service=agents&spanKind=unspecified", 0),
        ("service=agents&spanKind=PRODUCER&groupByOperation=0", 1),
        ("service=a'b%22--&spanKind=", 0),
    ] {
        assert_eq!(count(query).await, series, "{query}");
    }
}

#[tokio::test]
async fn the_defaults_are_those_of_jaeger() {
    let server = filled().await;
    let json = family(&server, "/api/metrics/calls?service=other&lookback=&step=").await;
    assert_eq!(json["metrics"], json!([]), "that was long ago");
    let end = BASE_MS + 600_000;
    let path = format!("/api/metrics/calls?service=other&endTs={end}");
    let json = family(&server, &path).await;
    let values = values(&json["metrics"][0]);
    assert_eq!(values.len(), 721, "an hour in steps of 5 s");
    assert_eq!(values[720], &json!(1.0 / 600.0), "over ten minutes");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let server = filled().await;
    for query in [
        "",
        "service=",
        "service=a&spanKind=boss",
        "service=a&endTs=now",
        "service=a&endTs=-1",
        "service=a&endTs=99999999999999",
        "service=a&lookback=1h",
        "service=a&step=0",
        "service=a&step=-5",
        "service=a&ratePer=0",
        "service=a&lookback=86400000&step=1",
        "service=a&lookback=9223372036854&step=1000",
        "service=a&groupByOperation=maybe",
    ] {
        for metric in ["calls", "errors", "latencies"] {
            let path = format!("/api/metrics/{metric}?quantile=0.5&{query}");
            let (status, json) = server.get(&path).await;
            assert_eq!(status, 400, "{path}: {json}");
            jaeger_ui::legacy_error(status, &json);
        }
    }
    for quantile in [
        "",
        "quantile=",
        "quantile=2",
        "quantile=-0.1",
        "quantile=NaN",
        "quantile=x",
    ] {
        let path = format!("/api/metrics/latencies?service=a&{quantile}");
        let (status, json) = server.get(&path).await;
        assert_eq!(status, 400, "{path}: {json}");
        jaeger_ui::legacy_error(status, &json);
    }
    let services: Vec<_> = (0..101).map(|at| format!("service=s{at}")).collect();
    let path = format!("/api/metrics/calls?{}", services.join("&"));
    assert_eq!(server.get(&path).await.0, 400);
    for (method, path, expected) in [
        ("GET", "/api/metrics/minstep", 404),
        ("GET", "/api/metrics", 404),
        ("POST", "/api/metrics/calls", 405),
    ] {
        let answer = server.ask(method, path, "").await;
        assert_eq!(answer.status, expected, "{path}");
        let json = serde_json::from_str(&answer.body).expect("JSON");
        jaeger_ui::legacy_error(expected, &json);
    }
}
