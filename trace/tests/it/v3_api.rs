//! Jaeger's API v3 over HTTP, as its UI and Grafana call it.

use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::trace::v1::{Status, span::SpanKind};
use serde_json::{Value, json};

use crate::jaeger_ui;
use crate::support::{Server, attribute, encode, request, span, string, trace_hex};

/// Any time that a test may run in.
const PERIOD: &str =
    "query.startTimeMin=2020-01-01T00:00:00Z&query.startTimeMax=2100-01-01T00:00:00Z";

/// Trace 1 is whole and of two services, 2 has an error and an orphan, 3 is another service's and says no kind.
async fn filled() -> Server {
    let server = Server::start().await;
    let mut root = span(1, 1, 0);
    root.name = "sensor.emit_data".into();
    root.kind = SpanKind::Producer as i32;
    root.attributes = vec![string("topic", "sensor.data")];
    let mut child = span(1, 2, 1);
    child.name = "agent.on_event".into();
    child.kind = SpanKind::Consumer as i32;
    let mut failed = span(2, 3, 99);
    failed.name = "agent.on_event".into();
    failed.kind = SpanKind::Consumer as i32;
    failed.end_time_unix_nano = failed.start_time_unix_nano + 2_000_000_000;
    failed.attributes = vec![attribute("retries", OtlpValue::IntValue(3))];
    failed.status = Some(Status {
        code: 2,
        message: "bad reading".to_owned(),
    });
    for request in [
        request("sensor", vec![root]),
        request("agents", vec![child]),
        request("agents", vec![failed]),
        request("other/service", vec![span(3, 4, 0)]),
    ] {
        let ingest = server.store.ingest();
        ingest.append(encode(&request)).expect("taken");
    }
    server.flush().await;
    server
}

async fn good(server: &Server, path: &str) -> Value {
    let (status, json) = server.get(path).await;
    assert_eq!(status, 200, "{path}: {json}");
    json
}

/// Ids of the traces that a search finds, as they come.
async fn found(server: &Server, query: &str) -> Vec<String> {
    let path = format!("/api/v3/trace-summaries?{query}");
    let json = good(server, &path).await;
    jaeger_ui::summaries(&json);
    let summaries = json["summaries"].as_array().expect("a list").iter();
    summaries
        .map(|summary| summary["traceId"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn services_and_operations() {
    let server = filled().await;
    let json = good(&server, "/api/v3/services").await;
    jaeger_ui::services(&json);
    assert_eq!(
        json,
        json!({"services": ["agents", "other/service", "sensor"]})
    );
    let consumer = json!({"operations": [{"name": "agent.on_event", "spanKind": "consumer"}]});
    let unsaid = json!({"operations": [{"name": "span 4", "spanKind": "internal"}]});
    let none = json!({"operations": []});
    for (query, expected) in [
        ("service=agents", &consumer),
        ("service=agents&spanKind=consumer", &consumer),
        ("service=agents&span_kind=Consumer", &consumer),
        ("service=agents&spanKind=server", &none),
        ("service=nobody", &none),
        ("service=other%2Fservice", &unsaid),
        ("service=other%2Fservice&spanKind=internal", &unsaid),
    ] {
        let json = good(&server, &format!("/api/v3/operations?{query}")).await;
        jaeger_ui::operations(&json);
        assert_eq!(&json, expected, "{query}");
    }
}

#[tokio::test]
async fn an_empty_store_answers_with_empty_lists() {
    let server = Server::start().await;
    let json = good(&server, "/api/v3/services").await;
    assert_eq!(json, json!({"services": []}));
    assert_eq!(found(&server, PERIOD).await, [""; 0]);
    let (status, json) = server.get(&format!("/api/v3/traces?{PERIOD}")).await;
    assert_eq!(status, 404);
    assert_eq!(
        json,
        json!({"error": {"httpCode": 404, "message": "No traces found"}})
    );
}

#[tokio::test]
async fn summaries_by_each_condition() {
    let server = filled().await;
    let [one, two, three] = [1, 2, 3].map(trace_hex);
    let all = vec![three.clone(), two.clone(), one.clone()];
    let cases = [
        ("", all.clone()),
        ("query.serviceName=", all.clone()),
        ("query.searchDepth=1", vec![three.clone()]),
        ("query.search_depth=1", vec![three.clone()]),
        ("query.num_traces=2", vec![three.clone(), two.clone()]),
        ("query.searchDepth=0", all.clone()),
        ("query.searchDepth=-3", all.clone()),
        ("query.searchDepth=1000000", all),
        ("query.serviceName=sensor&unknown=x", vec![one.clone()]),
        ("query.service_name=other/service", vec![three.clone()]),
        (
            "query.operationName=agent.on_event",
            vec![two.clone(), one.clone()],
        ),
        (
            "query.operation_name=agent.on_event&query.service_name=sensor",
            vec![],
        ),
        (
            "query.attributes=%7B%22retries%22%3A%223%22%7D",
            vec![two.clone()],
        ),
        (
            "query.attributes=%7B%22error%22%3A%22true%22%2C%22service.name%22%3A%22agents%22%7D",
            vec![two.clone()],
        ),
        // Both are there, but not at one span.
        (
            "query.attributes=%7B%22topic%22%3A%22sensor.data%22%2C%22service.name%22%3A%22agents%22%7D",
            vec![],
        ),
        ("query.durationMin=1s", vec![two.clone()]),
        ("query.duration_min=1s&query.duration_max=1.5s", vec![]),
        (
            "query.durationMax=1s&query.serviceName=agents&query.rawTraces=true",
            vec![one],
        ),
    ];
    for (query, expected) in cases {
        let query = format!("{PERIOD}&{query}");
        assert_eq!(found(&server, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn times_in_every_form() {
    let server = filled().await;
    for (from, to, traces) in [
        ("2020-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z", 3),
        (
            "2020-01-01T00:00:00.123456789Z",
            "2100-01-01T00:00:00.1Z",
            3,
        ),
        // As Grafana sends it: a plus that was not encoded.
        ("2020-01-01T00:00:00+02:00", "2100-01-01T00:00:00-02:00", 3),
        (
            "2020-01-01T00%3A00%3A00%2B02%3A00",
            "2100-01-01T00:00:00Z",
            3,
        ),
        ("2090-01-01T00:00:00Z", "2100-01-01T00:00:00Z", 0),
        ("2010-01-01T00:00:00Z", "2020-01-01T00:00:00Z", 0),
    ] {
        for (min, max) in [
            ("startTimeMin", "startTimeMax"),
            ("start_time_min", "start_time_max"),
        ] {
            let query = format!("query.{min}={from}&query.{max}={to}");
            assert_eq!(found(&server, &query).await.len(), traces, "{query}");
        }
    }
}

#[tokio::test]
async fn the_end_of_a_time_is_not_in_it() {
    let server = Server::start().await;
    let mut at = span(1, 1, 0);
    at.start_time_unix_nano = 1_767_225_600_000_000_000;
    let request = encode(&request("a", vec![at]));
    server.store.ingest().append(request).expect("taken");
    server.flush().await;
    let until = |end| format!("query.startTimeMin=2025-01-01T00:00:00Z&query.startTimeMax={end}");
    assert_eq!(
        found(&server, &until("2026-01-01T00:00:00Z")).await,
        [""; 0]
    );
    let found = found(&server, &until("2026-01-01T00:00:00.000000001Z")).await;
    assert_eq!(found, [trace_hex(1)]);
}

#[tokio::test]
async fn a_summary_in_full() {
    let server = filled().await;
    let query = format!("{PERIOD}&query.serviceName=agents");
    let json = good(&server, &format!("/api/v3/trace-summaries?{query}")).await;
    let [failed, whole] = json["summaries"].as_array().expect("a list").as_slice() else {
        panic!("{json}");
    };
    assert_eq!(whole["rootServiceName"], "sensor");
    assert_eq!(whole["rootOperationName"], "sensor.emit_data");
    assert_eq!(
        whole["services"],
        json!([
            {"name": "agents", "spanCount": 1, "errorSpanCount": 0},
            {"name": "sensor", "spanCount": 1, "errorSpanCount": 0},
        ])
    );
    assert_eq!(
        failed["services"],
        json!([{"name": "agents", "spanCount": 1, "errorSpanCount": 1}])
    );
    assert_eq!(failed["orphanSpanCount"], 1);
    let time = |name: &str| {
        let text = failed[name].as_str().expect("text");
        text.parse::<u64>().expect("a number")
    };
    let took = time("maxEndTimeUnixNano") - time("minStartTimeUnixNano");
    assert_eq!(took, 2_000_000_000);
}

#[tokio::test]
async fn traces_as_otlp() {
    let server = filled().await;
    let json = good(&server, &format!("/api/v3/traces/{}", trace_hex(1))).await;
    jaeger_ui::otlp(&json);
    let resources = json["result"]["resourceSpans"].as_array().expect("a list");
    assert_eq!(resources.len(), 2);
    let path = format!("/api/v3/traces?{PERIOD}&query.serviceName=agents");
    let json = good(&server, &path).await;
    jaeger_ui::otlp(&json);
    let resources = json["result"]["resourceSpans"].as_array().expect("a list");
    assert_eq!(resources.len(), 3, "two traces, one after the other");

    let upper = trace_hex(1).to_uppercase();
    for path in [
        format!("{upper}?startTime=2020-01-01T00:00:00Z&end_time=2020-01-01T00:00:01Z&rawTraces=1"),
        "AQEBAQEBAQEBAQEBAQEBAQ==".to_owned(),
    ] {
        good(&server, &format!("/api/v3/traces/{path}")).await;
    }
}

#[tokio::test]
async fn dependencies() {
    let server = filled().await;
    let path = "/api/v3/dependencies?startTime=2020-01-01T00:00:00Z&endTime=2100-01-01T00:00:00Z";
    let edge = json!({"parent": "sensor", "child": "agents", "callCount": "1"});
    let expected = json!({"dependencies": [edge]});
    assert_eq!(good(&server, path).await, expected);
    let path = "/api/v3/dependencies?start_time=2020-01-01T00:00:00Z&end_time=2020-01-02T00:00:00Z";
    assert_eq!(good(&server, path).await, json!({"dependencies": []}));
}

#[tokio::test]
async fn searches_that_are_posted() {
    let server = filled().await;
    let body = json!({"query": {
        "service_name": "agents", "attributes": {"retries": "3"}, "startTimeMin": "2020-01-01T00:00:00Z",
        "startTimeMax": "2100-01-01T00:00:00Z", "durationMin": "1.5s", "searchDepth": 5, "filter": null,
    }});
    let body = body.to_string();
    let (status, json) = server.post_json("/api/v3/trace-summaries", &body).await;
    assert_eq!(status, 200, "{json}");
    jaeger_ui::summaries(&json);
    assert_eq!(json["summaries"][0]["traceId"], trace_hex(2).as_str());
    let (status, json) = server.post_json("/api/v3/traces", &body).await;
    assert_eq!(status, 200, "{json}");
    jaeger_ui::otlp(&json);
    let large = "x".repeat(1 << 20);
    for (body, expected) in [
        ("", 400),
        ("[]", 400),
        ("{", 400),
        (r#"{"query": 1}"#, 400),
        (r#"{"query": {}}"#, 400),
        (&"[".repeat(60_000), 400),
        (&large, 413),
    ] {
        for path in ["/api/v3/trace-summaries", "/api/v3/traces"] {
            let (status, json) = server.post_json(path, body).await;
            assert_eq!(status, expected, "{path}: {json}");
            jaeger_ui::v3_error(status, &json);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_shape_of_the_family() {
    let server = filled().await;
    let searches = [
        "query.startTimeMin=2020-01-01T00:00:00Z",
        "query.startTimeMax=2020-01-01T00:00:00Z",
        "query.startTimeMin=&query.startTimeMax=",
        "query.startTimeMin=1577836800&query.startTimeMax=1577836801",
        "query.startTimeMin=2021-01-01T00:00:00Z&query.startTimeMax=2020-01-01T00:00:00Z",
        "query.startTimeMin=2021-01-01T00:00:00Z&query.startTimeMax=2021-01-01T00:00:00Z",
        "P&query.searchDepth=many",
        "P&query.searchDepth=99999999999999999999",
        "P&query.durationMin=5",
        "P&query.durationMin=-5s",
        "P&query.durationMin=2s&query.durationMax=1s",
        "P&query.attributes=retries%3D3",
        "P&query.attributes=%7B%22retries%22%3A3%7D",
        "P&query.filter=%7B%22op%22%3A%22eq%22%7D",
    ];
    let mut paths = vec![format!("/api/v3/traces?{PERIOD}&query.rawTraces=maybe")];
    for search in searches {
        let search = search.replace('P', PERIOD);
        for route in ["trace-summaries", "traces"] {
            paths.push(format!("/api/v3/{route}?{search}"));
        }
    }
    for id in [
        "xyz",
        "0",
        "%FF",
        "%00",
        "..%2F..",
        &"1".repeat(33),
        &"0".repeat(32),
        &"1".repeat(9_000),
    ] {
        paths.push(format!("/api/v3/traces/{id}"));
    }
    for path in [
        "traces/1?startTime=now",
        "traces/1?end_time=1",
        "traces/1?raw_traces=yes",
        "operations",
        "operations?service=",
        "operations?service=a&spanKind=boss",
        "dependencies",
        "dependencies?startTime=2020-01-01T00:00:00Z",
        "dependencies?startTime=2020-01-01T00:00:00Z&endTime=2020-01-01T00:00:00Z",
        "dependencies?startTime=x&endTime=y",
    ] {
        paths.push(format!("/api/v3/{path}"));
    }
    for path in paths {
        let (status, json) = server.get(&path).await;
        assert_eq!(status, 400, "{path}: {json}");
        jaeger_ui::v3_error(status, &json);
    }
    for (method, path, expected) in [
        ("GET", "/api/v3/traces/abc", 404),
        ("GET", "/api/v3/nothing", 404),
        ("GET", "/api/v3", 404),
        ("POST", "/api/v3/services", 405),
        ("DELETE", "/api/v3/traces", 405),
    ] {
        let answer = server.ask(method, path, "").await;
        assert_eq!(answer.status, expected, "{path}");
        let json = serde_json::from_str(&answer.body).expect("JSON");
        jaeger_ui::v3_error(expected, &json);
    }
}
