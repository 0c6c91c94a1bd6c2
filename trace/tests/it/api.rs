//! The routes against a filled store.

use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::trace::v1::{Status, span::SpanKind};
use serde_json::{Value, json};

use crate::support::{Server, attribute, encode, exchange, request, span, string, trace_hex};

/// Three traces: 1 is whole, 2 has an error and an orphan, 3 is another service's.
async fn filled() -> Server {
    let server = Server::start().await;
    let mut root = span(1, 1, 0);
    root.name = "sensor.emit_data".into();
    root.kind = SpanKind::Producer as i32;
    root.attributes = vec![
        string("agent.id", "sensor-agent"),
        string("topic", "sensor.data"),
    ];
    let mut child = span(1, 2, 1);
    child.name = "agent.on_event".into();
    child.kind = SpanKind::Consumer as i32;
    let mut failed = span(2, 3, 99);
    failed.name = "agent.on_event".into();
    failed.end_time_unix_nano = failed.start_time_unix_nano + 2_000_000_000;
    failed.attributes = vec![attribute("retries", OtlpValue::IntValue(3))];
    failed.status = Some(Status {
        code: 2,
        message: "bad reading".to_owned(),
    });
    for request in [
        request("agents", vec![root, child]),
        request("agents", vec![failed]),
        request("other/service", vec![span(3, 4, 0)]),
    ] {
        server
            .store
            .ingest()
            .append(encode(&request))
            .expect("taken");
    }
    server.flush().await;
    server
}

/// Trace ids that a search finds, as they come.
async fn found(server: &Server, query: &str) -> Vec<String> {
    let (status, json) = server.get(&format!("/api/traces?{query}")).await;
    assert_eq!(status, 200, "{query}: {json}");
    assert_eq!(json["errors"], Value::Null);
    let traces = json["data"].as_array().expect("a list");
    traces
        .iter()
        .map(|t| t["traceID"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn services_and_operations() {
    let server = filled().await;
    let (_, json) = server.get("/api/services").await;
    let expected = json!({"data": ["agents", "other/service"], "total": 2, "limit": 0, "offset": 0, "errors": null});
    assert_eq!(json, expected);
    let (_, json) = server.get("/api/services/agents/operations").await;
    assert_eq!(json["data"], json!(["agent.on_event", "sensor.emit_data"]));
    for path in [
        "/api/services/other/service/operations",
        "/api/services/other%2Fservice/operations",
    ] {
        let (_, json) = server.get(path).await;
        assert_eq!(json["data"], json!(["span 4"]), "{path}");
    }
    let (_, json) = server
        .get("/api/operations?service=agents&spanKind=Consumer")
        .await;
    assert_eq!(
        json["data"],
        json!([{"name": "agent.on_event", "spanKind": "consumer"}])
    );
    let (status, _) = server.get("/api/operations").await;
    assert_eq!(status, 400);
    let (status, json) = server.get("/api/services/unknown/operations").await;
    assert_eq!((status, &json["data"]), (200, &json!([])));
}

#[tokio::test]
async fn search_by_each_condition() {
    let server = filled().await;
    let [one, two, three] = [1, 2, 3].map(trace_hex);
    let agents = vec![two.clone(), one.clone()];
    let cases = [
        ("", vec![three.clone(), two.clone(), one.clone()]),
        ("limit=1", vec![three.clone()]),
        ("service=agents", agents.clone()),
        ("service=agents&lookback=1h&unknown=x", agents),
        ("service=nobody", vec![]),
        (
            "service=agents&operation=sensor.emit_data",
            vec![one.clone()],
        ),
        ("agent=sensor-agent", vec![one.clone()]),
        ("errors=true", vec![two.clone()]),
        ("tags=%7B%22error%22%3A%22true%22%7D", vec![two.clone()]),
        ("tag=retries:3", vec![two.clone()]),
        ("tag=retries:4", vec![]),
        (
            "tag=span.kind:producer&tag=topic:sensor.data",
            vec![one.clone()],
        ),
        ("tag=service.name:other/service", vec![three]),
        ("minDuration=1s", vec![two.clone()]),
        ("maxDuration=1s&service=agents", vec![one.clone()]),
        ("end=1000000", vec![]),
        ("start=4102444800000000", vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&server, query).await, expected, "{query}");
    }
    for query in ["limit=x", "minDuration=2s&maxDuration=1s", "start=now"] {
        let (status, json) = server.get(&format!("/api/traces?{query}")).await;
        assert_eq!((status, &json["data"]), (400, &Value::Null), "{query}");
        assert_eq!(json["errors"][0]["code"], 400);
    }
}

#[tokio::test]
async fn traces_by_id() {
    let server = filled().await;
    let (status, json) = server.get(&format!("/api/traces/{}", trace_hex(1))).await;
    assert_eq!(status, 200);
    assert_eq!(json["data"][0]["spans"].as_array().map(Vec::len), Some(2));
    // Grafana sends hints in its own unit, and shorter ids are padded.
    let (status, _) = server
        .get(&format!(
            "/api/traces/{}?start=1700000000000&end=1",
            trace_hex(1).to_uppercase()
        ))
        .await;
    assert_eq!(status, 200);
    let (status, json) = server.get("/api/traces/abc").await;
    assert_eq!(
        (status, &json["errors"][0]["msg"]),
        (404, &json!("trace not found"))
    );
    for bad in [
        "xyz",
        "00000000000000000000000000000000",
        "111111111111111111111111111111111",
    ] {
        let (status, _) = server.get(&format!("/api/traces/{bad}")).await;
        assert_eq!(status, 400, "{bad}");
    }
    let path = format!("/api/traces?traceID={}&traceID=abc", trace_hex(2));
    let (_, json) = server.get(&path).await;
    assert_eq!(json["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        json["errors"][0]["traceID"],
        "00000000000000000000000000000abc"
    );
}

#[tokio::test]
async fn loom_routes() {
    let server = filled().await;
    let (_, json) = server.get("/api/v1/traces?service=agents&limit=1").await;
    assert_eq!(json["truncated"], true);
    let item = &json["items"][0];
    assert_eq!(item["trace_id"], trace_hex(2).as_str());
    assert_eq!(
        (&item["errors"], &item["orphans"], &item["spans"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(item["duration_ns"], "2000000000");

    let (_, json) = server
        .get(&format!("/api/v1/traces/{}/check", trace_hex(1)))
        .await;
    assert_eq!((&json["ok"], &json["findings"]), (&json!(true), &json!([])));
    let (_, json) = server
        .get(&format!("/api/v1/traces/{}/check", trace_hex(2)))
        .await;
    assert_eq!(json["ok"], false);
    assert_eq!(json["findings"][0]["kind"], "orphan");
    assert_eq!(json["findings"][0]["parent_span_id"], "0000000000000063");
    let (status, json) = server.get("/api/v1/traces/abc/check").await;
    assert_eq!((status, &json["code"]), (404, &json!("not_found")));

    let counters = server.store.counters();
    assert_eq!(
        (counters.accepted, counters.stored, counters.lag),
        (4, 4, 0)
    );
}

#[tokio::test]
async fn the_waterfall_as_text() {
    let server = filled().await;
    let path = format!("/api/v1/traces/{}/waterfall", trace_hex(2));
    let plain = server.get_text(&format!("{path}?width=80")).await;
    assert_eq!(plain.status, 200);
    assert!(plain.body.contains("error: bad reading"), "{}", plain.body);
    assert!(!plain.body.contains('\u{1b}'));
    let coloured = server
        .get_text(&format!("{path}?width=80&color=true"))
        .await;
    assert!(coloured.body.contains("\u{1b}[31m"));
    let wide = server.get_text(&format!("{path}?width=1000000000")).await;
    assert!(wide.body.len() < 100_000, "{} bytes", wide.body.len());
    assert_eq!(
        server.get_text(&format!("{path}?width=wide")).await.status,
        400
    );
}

#[tokio::test]
async fn probes_metrics_and_headers() {
    let server = filled().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(server.get_text(path).await.status, 200, "{path}");
    }
    let metrics = server.get_text("/metrics").await;
    assert!(
        metrics
            .body
            .contains("\nloom_store_spans_accepted_total 4\n"),
        "{}",
        metrics.body
    );
    let page = server.get_text("/livez").await;
    assert!(
        page.header("content-security-policy")
            .is_some_and(|p| p.contains("default-src 'self'"))
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn unknown_routes_have_the_shape_of_their_family() {
    let server = Server::start().await;
    let (status, json) = server.get("/api/quality-metrics").await;
    assert_eq!((status, &json["errors"][0]["code"]), (404, &json!(404)));
    let (status, json) = server.get("/api/v1/nothing").await;
    assert_eq!((status, &json["status"]), (404, &json!(404)));
    assert_eq!(server.get_text("/nothing").await.status, 404);
}

#[tokio::test]
async fn another_host_name_is_refused() {
    let server = Server::start().await;
    let head = "GET /api/services HTTP/1.1\r\nHost: evil.example\r\n";
    let answer = exchange(server.http, head, b"").await;
    assert_eq!(answer.status, 421);
    let port = server.http.port();
    let head = format!("GET /api/services HTTP/1.1\r\nHost: localhost:{port}\r\n");
    assert_eq!(exchange(server.http, &head, b"").await.status, 200);
}

#[tokio::test]
async fn metrics_of_agents_and_workflows() {
    let server = Server::start().await;
    let now_ns = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos() as u64;
    let mut handler = span(1, 1, 0);
    handler.name = "agent.on_event".into();
    handler.start_time_unix_nano = now_ns - 3_600_000_000_000;
    handler.end_time_unix_nano = handler.start_time_unix_nano + 250_000_000;
    handler.attributes = vec![
        string("agent.id", "a/1"),
        string("workflow.id", "analysis"),
        attribute(
            "loom.phase.llm_processing_ms",
            OtlpValue::DoubleValue(200.5),
        ),
    ];
    // As OpenLLMetry names it; nothing but its trace says which workflow it belongs to.
    let mut call = span(1, 2, 1);
    call.start_time_unix_nano = handler.start_time_unix_nano;
    call.end_time_unix_nano = call.start_time_unix_nano + 200_000_000;
    call.attributes = vec![
        string("agent.id", "a/1"),
        string("gen_ai.system", "openai"),
        string("llm.request.type", "chat"),
        string("gen_ai.request.model", "gpt-4o-mini"),
        attribute("gen_ai.usage.prompt_tokens", OtlpValue::IntValue(1_000)),
        attribute("gen_ai.usage.completion_tokens", OtlpValue::IntValue(500)),
    ];
    for span in [call, handler] {
        let request = encode(&request("agents", vec![span]));
        server.store.ingest().append(request).expect("taken");
    }
    server.flush().await;

    let base = "/api/v1/observability";
    let same = |ms: f64| json!({ "p50": ms, "p95": ms, "p99": ms });
    for (path, key, id) in [
        ("agents/a%2F1", "agent_id", "a/1"),
        ("workflows/analysis", "workflow_id", "analysis"),
    ] {
        let (status, answer) = server
            .get(&format!("{base}/{path}/metrics?time_range=24h"))
            .await;
        assert_eq!((status, &answer[key]), (200, &json!(id)));
        assert_eq!(answer["time_range"], "24h");
        let executions =
            json!({ "count": 1, "errors": 0, "error_rate": 0.0, "duration_ms": same(250.0) });
        assert_eq!(answer["executions"], executions, "{path}");
        assert_eq!(answer["phases"], json!({ "llm_processing_ms": 200.5 }));
        let calls = json!({
            "count": 1, "errors": 0, "error_rate": 0.0, "duration_ms": same(200.0), "ttft_ms": null,
            "prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500,
            "cost_usd": 0.00045, "without_cost": 0,
        });
        assert_eq!(answer["model_calls"], calls, "{path}");
    }

    let (_, short) = server
        .get(&format!("{base}/agents/a%2F1/metrics?time_range=30m"))
        .await;
    assert_eq!(short["executions"]["count"], 0, "it began before");
    let (status, nobody) = server.get(&format!("{base}/workflows/none/metrics")).await;
    let nothing = json!({ "count": 0, "errors": 0, "error_rate": null, "duration_ms": null });
    assert_eq!((status, &nobody["executions"]), (200, &nothing));
    assert_eq!(
        (&nobody["time_range"], &nobody["model_calls"]["cost_usd"]),
        (&json!("24h"), &Value::Null)
    );

    for range in [
        "0h",
        "24",
        "-1h",
        "1y",
        "1h30m",
        "367d",
        "9999999999999999999999d",
    ] {
        let (status, problem) = server
            .get(&format!("{base}/agents/a/metrics?time_range={range}"))
            .await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("bad_request")),
            "{range}"
        );
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.starts_with("time_range: "), "{detail}");
    }
}
