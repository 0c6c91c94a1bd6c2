//! The older family of Jaeger's routes: what its UI and Grafana read of it, their quirks, and files that are only shown.

use serde_json::{Value, json};

use crate::jaeger_ui;
use crate::support::{Server, encode, request, span, string, trace_hex};

/// Trace 1 has two spans of two services, trace 2 one.
async fn filled() -> Server {
    let server = Server::start().await;
    let mut tagged = span(1, 1, 0);
    tagged.attributes = vec![string("a", "1"), string("b", "2:3")];
    let mut child = span(1, 2, 1);
    child.attributes = vec![string("a", "1")];
    for request in [
        request("a/b c", vec![tagged]),
        request("agents", vec![child]),
        request("agents", vec![span(2, 3, 0)]),
    ] {
        let ingest = server.store.ingest();
        ingest.append(encode(&request)).expect("taken");
    }
    server.flush().await;
    server
}

#[tokio::test]
async fn every_answer_has_the_shape_that_clients_read() {
    let server = filled().await;
    let id = trace_hex(1);
    for path in [
        "/api/services".to_owned(),
        "/api/services/agents/operations".to_owned(),
        "/api/operations?service=agents".to_owned(),
        "/api/dependencies".to_owned(),
        "/api/traces?service=agents&lookback=1h&limit=20".to_owned(),
        "/api/traces?service=nobody".to_owned(),
        format!("/api/traces/{id}"),
        format!("/api/traces?traceID={id}"),
    ] {
        let (status, json) = server.get(&path).await;
        assert_eq!(status, 200, "{path}: {json}");
        jaeger_ui::envelope(&json);
        assert_eq!(json["errors"], Value::Null, "{path}");
        if path.starts_with("/api/traces") {
            jaeger_ui::legacy_traces(&json["data"]);
        }
    }
}

#[tokio::test]
async fn grafanas_calls() {
    let server = filled().await;
    let id = trace_hex(1);
    let now_ms = crate::support::now_ns() / 1_000_000;
    let (start_us, end_us) = ((now_ms - 3_600_000) * 1_000, (now_ms + 60_000) * 1_000);
    for (path, items) in [
        // Its health check.
        ("/api/services".to_owned(), 2),
        // The service's name as it is, slash and all.
        ("/api/services/a/b%20c/operations".to_owned(), 1),
        ("/api/services/a%2Fb%20c/operations".to_owned(), 1),
        // A trace by its id has hints in ms, or in µs.
        (format!("/api/traces/{id}?start={now_ms}&end={now_ms}"), 1),
        (format!("/api/traces/{id}?start={start_us}&end={end_us}"), 1),
        // Its search repeats tags, and sends parameters that are empty.
        (
            format!(
                "/api/traces?service=a/b+c&operation=&start={start_us}&end={end_us}&tags=%7B%22a%22%3A%221%22%7D&tags=%7B%22b%22%3A%222%3A3%22%7D&minDuration=&maxDuration=&limit=20"
            ),
            1,
        ),
        ("/api/traces?tag=a:1&tag=b:2:3".to_owned(), 1),
        ("/api/traces?tag=a:1&tag=b:4".to_owned(), 0),
        (
            format!(
                "/api/dependencies?endTs={}&lookback=3600000",
                now_ms + 60_000
            ),
            1,
        ),
    ] {
        let (status, json) = server.get(&path).await;
        assert_eq!(status, 200, "{path}: {json}");
        jaeger_ui::envelope(&json);
        assert_eq!(json["errors"], Value::Null, "{path}");
        assert_eq!(json["data"].as_array().map(Vec::len), Some(items), "{path}");
    }
}

#[tokio::test]
async fn traces_by_their_ids_in_one_request() {
    let server = filled().await;
    let (one, two) = (trace_hex(1), trace_hex(2));
    let path = format!("/api/traces?traceID={two}&traceID=abc&traceID={one}");
    let (status, json) = server.get(&path).await;
    assert_eq!(status, 200);
    let ids = json["data"].as_array().expect("a list").iter();
    let ids: Vec<_> = ids.map(|trace| &trace["traceID"]).collect();
    assert_eq!(ids, [two.as_str(), one.as_str()]);
    let missing =
        json!([{"msg": "trace not found", "traceID": "00000000000000000000000000000abc"}]);
    assert_eq!(json["errors"], missing);
}

#[tokio::test]
async fn errors_have_their_envelope() {
    let server = filled().await;
    let long = "1".repeat(9_000);
    for (path, expected) in [
        ("/api/traces/abc", 404),
        ("/api/traces/xyz", 400),
        ("/api/traces/%FF", 400),
        ("/api/traces/0", 400),
        (&format!("/api/traces/{long}"), 400),
        ("/api/traces?traceID=xyz", 400),
        ("/api/traces?start=2026-01-01", 400),
        ("/api/traces?limit=-1", 400),
        ("/api/traces?minDuration=2s&maxDuration=1s", 400),
        ("/api/traces?minDuration=5", 400),
        ("/api/traces?tags=a%3Db", 400),
        ("/api/traces?tag=a", 400),
        ("/api/operations", 400),
        ("/api/operations?service=a&spanKind=boss", 400),
        ("/api/dependencies?endTs=now", 400),
        ("/api/dependencies?lookback=-1", 400),
        ("/api/services/agents", 404),
        ("/api/services/%FF/operations", 400),
        ("/api/quality-metrics", 404),
        ("/api/deep-dependencies", 404),
        ("/api/otlp/v1/traces", 404),
    ] {
        let (status, json) = server.get(path).await;
        assert_eq!(status, expected, "{path}: {json}");
        jaeger_ui::legacy_error(status, &json);
    }
    for (method, path, expected) in [
        ("POST", "/api/traces", 405),
        ("GET", "/api/transform", 405),
        ("POST", "/api/archive/abc", 404),
        ("POST", "/api/ai/chat", 404),
    ] {
        let answer = server.ask(method, path, "").await;
        assert_eq!(answer.status, expected, "{path}");
        let json = serde_json::from_str(&answer.body).expect("JSON");
        jaeger_ui::legacy_error(expected, &json);
    }
}

#[tokio::test]
async fn a_file_is_shown_and_not_stored() {
    let server = Server::start().await;
    let span = |trace: &str, id: &str, name: &str| {
        json!({"traceId": trace, "spanId": id, "name": name, "kind": 5, "startTimeUnixNano": "1767225600000001999",
            "endTimeUnixNano": "1767225600000004000"})
    };
    let (one, two) = ("1".repeat(32), "2".repeat(32));
    let spans = [
        span(&two, "0000000000000001", "a"),
        span(&one, "0000000000000002", "b"),
        span(&two, "0000000000000003", "c"),
        span("", "0000000000000004", "d"),
    ];
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "file"}}]});
    let file = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    let (status, json) = server.post_json("/api/transform", &file.to_string()).await;
    assert_eq!(status, 200, "{json}");
    jaeger_ui::envelope(&json);
    jaeger_ui::legacy_traces(&json["data"]);
    let names: Vec<Vec<_>> = json["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|trace| {
            let spans = trace["spans"].as_array().expect("a list").iter();
            spans.map(|span| span["operationName"].clone()).collect()
        })
        .collect();
    assert_eq!(names, [vec!["a", "c"], vec!["b"]]);
    assert_eq!(json["data"][0]["spans"][0]["duration"], 2);
    let said = json["errors"][0]["msg"].as_str().expect("text");
    assert!(said.contains("1 with a trace id"), "{said}");
    assert_eq!(server.get(&format!("/api/traces/{one}")).await.0, 404);
    assert_eq!(server.store.counters().accepted, 0);

    let (status, json) = server.post_json("/api/transform", "{}").await;
    assert_eq!((status, &json["data"]), (200, &json!([])));
    let large = " ".repeat((16 << 20) + 1);
    for (body, expected) in [
        ("", 400),
        ("[]", 400),
        ("{\"resourceSpans\": 1}", 400),
        (
            "{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{\"traceId\": \"xyz\"}]}]}]}",
            400,
        ),
        (&"{\"resourceSpans\":[".repeat(1_000), 400),
        (&large, 413),
    ] {
        let (status, json) = server.post_json("/api/transform", body).await;
        assert_eq!(status, expected, "{json}");
        jaeger_ui::legacy_error(status, &json);
    }
}
