//! One trace over HTTP: in columns, span by span, by words, and where its time went.

use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Value, json};

use crate::support::{Server, attribute, encode, request, span, string, trace_hex};

const MS: u64 = 1_000_000;

/// A span of trace 1 with times in ms after `base`.
fn at(base: u64, id: u64, parent: u64, name: &str, times_ms: (u64, u64)) -> Span {
    let mut span = span(1, id, parent);
    name.clone_into(&mut span.name);
    span.start_time_unix_nano = base + times_ms.0 * MS;
    span.end_time_unix_nano = base + times_ms.1 * MS;
    span.kind = SpanKind::Internal as i32;
    span
}

fn id(number: u64) -> String {
    format!("{number:016x}")
}

/// One event that waited for 20 ms, its handler with a call of a model and a tool, an orphan, and links from and to
/// trace 2. Returns when trace 1 began.
async fn filled() -> (Server, u64) {
    let server = Server::start().await;
    let base = span(1, 1, 0).start_time_unix_nano;
    let mut publish = at(base, 2, 1, "EventBus.publish", (10, 12));
    publish.kind = SpanKind::Producer as i32;
    publish.attributes = vec![
        string("topic", "sensor.data"),
        string("agent_id", "sensor"),
        string("event_id", "e-1"),
    ];
    let mut forward = at(base, 3, 2, "bridge.forward", (32, 33));
    forward.kind = SpanKind::Producer as i32;
    forward.attributes = vec![
        string("topic", "sensor.data"),
        string("agent_id", "processor"),
        attribute("loom.queue.wait_us", OtlpValue::IntValue(20_000)),
    ];
    let mut handler = at(base, 4, 3, "agent.on_event", (35, 100));
    handler.kind = SpanKind::Consumer as i32;
    handler.attributes = vec![
        string("agent.id", "processor"),
        string("event.id", "e-1"),
        string("topic", "sensor.data"),
        string("workflow.id", "analysis"),
        string("note", "<script>alert('1');DROP TABLE spans</script>"),
        attribute("large", OtlpValue::IntValue(i64::MAX)),
    ];
    handler.events = vec![Event {
        time_unix_nano: base + 40 * MS,
        name: "agent_thinking".to_owned(),
        ..Event::default()
    }];
    handler.links = vec![link(2, 20)];
    handler.status = Some(Status {
        code: 2,
        message: "bad reading".to_owned(),
    });
    let mut call = at(base, 5, 4, "chat gpt-4o-mini", (40, 70));
    call.attributes = vec![
        string("gen_ai.operation.name", "chat"),
        string("gen_ai.provider.name", "openai"),
        string("gen_ai.request.model", "gpt-4o-mini"),
        attribute("gen_ai.usage.input_tokens", OtlpValue::IntValue(10)),
        attribute("gen_ai.usage.output_tokens", OtlpValue::IntValue(5)),
    ];
    let mut tool = at(base, 6, 4, "execute_tool search", (75, 90));
    tool.attributes = vec![string("gen_ai.operation.name", "execute_tool")];
    let mut orphan = at(base, 7, 99, "orphan", (50, 60));
    orphan.attributes = vec![attribute("loom.stand_in", OtlpValue::BoolValue(true))];
    let mut other = span(2, 20, 0);
    other.name = "later".into();
    other.links = vec![link(1, 4)];
    let mut own = vec![at(base, 1, 0, "emit", (0, 11)), publish, forward];
    own.extend([handler, call, tool, orphan]);
    for (service, spans) in [("agents", own), ("others", vec![other])] {
        let request = encode(&request(service, spans));
        server.store.ingest().append(request).expect("taken");
    }
    server.flush().await;
    (server, base)
}

fn link(trace: u8, span: u64) -> Link {
    Link {
        trace_id: vec![trace; 16],
        span_id: span.to_be_bytes().to_vec(),
        attributes: vec![string("why", "joined")],
        ..Link::default()
    }
}

#[tokio::test]
async fn a_trace_in_columns() {
    let (server, base) = filled().await;
    let (status, trace) = server
        .get(&format!("/api/v1/traces/{}", trace_hex(1)))
        .await;
    assert_eq!(status, 200, "{trace}");
    let head = json!({
        "trace_id": trace_hex(1), "truncated": false, "start_ns": base.to_string(),
        "duration_ns": (100 * MS).to_string(), "spans": 7, "errors": 1, "orphans": 1, "roots": 1,
        "services": ["agents"], "scopes": [""], "topics": ["sensor.data"],
    });
    for (key, expected) in head.as_object().expect("an object") {
        assert_eq!(&trace[key], expected, "{key}");
    }
    let columns = &trace["columns"];
    let number = |column: &str| -> Vec<Option<u64>> {
        let values = columns[column].as_array().expect("a column");
        values.iter().map(Value::as_u64).collect()
    };
    let text = |column: &str, table: &str| -> Vec<Option<&str>> {
        let places = number(column).into_iter();
        places
            .map(|place| trace[table][usize::try_from(place?).expect("small")].as_str())
            .collect()
    };
    let ids = [1, 2, 3, 4, 5, 7, 6].map(id);
    assert_eq!(columns["span_id"], json!(ids), "by start");
    let parents = [None, Some(1), Some(2), Some(3), Some(4), Some(99), Some(4)];
    assert_eq!(
        columns["parent_span_id"],
        json!(parents.map(|parent| parent.map(id)))
    );
    let names = [
        "emit",
        "EventBus.publish",
        "bridge.forward",
        "agent.on_event",
        "chat gpt-4o-mini",
        "orphan",
        "execute_tool search",
    ];
    assert_eq!(text("name", "names"), names.map(Some));
    assert_eq!(text("service", "services"), [Some("agents"); 7]);
    assert_eq!(
        text("agent", "agents")[..5],
        [
            None,
            Some("sensor"),
            Some("processor"),
            Some("processor"),
            None
        ]
    );
    assert_eq!(
        text("topic", "topics")[..5],
        [
            None,
            Some("sensor.data"),
            Some("sensor.data"),
            Some("sensor.data"),
            None
        ]
    );
    let column = |name: &str, expected: [u64; 7]| {
        assert_eq!(number(name), expected.map(Some), "{name}");
    };
    column("kind", [1, 4, 4, 5, 1, 1, 1]);
    column("start", [0, 10, 32, 35, 40, 50, 75].map(|ms| ms * MS));
    column("duration", [11, 2, 1, 65, 30, 10, 15].map(|ms| ms * MS));
    column("status", [0, 0, 0, 2, 0, 0, 0]);
    column("events", [0, 0, 0, 1, 0, 0, 0]);
    column("links", [0, 0, 0, 1, 0, 0, 0]);
    column("flags", [0, 0, 0, 0, 4, 3, 8]);
    let wait = Some(20 * MS);
    assert_eq!(number("wait"), [None, None, wait, None, None, None, None]);
    assert_eq!(
        trace["linked_from"],
        json!([{ "trace_id": trace_hex(2), "span_id": id(20), "name": "later", "to_span_id": id(4) }])
    );
    assert_eq!(
        trace["linked_to"],
        json!([{ "trace_id": trace_hex(2), "span_id": id(20), "from_span_id": id(4), "attributes": { "why": "joined" } }])
    );
    let summary = json!({
        "work_ns": 30 * MS, "bus_wait_ns": 20 * MS, "delivery_ns": 5 * MS, "llm_ns": 30 * MS,
        "tool_ns": 15 * MS, "other_ns": 0,
    });
    assert_eq!(trace["summary"], summary);
}

#[tokio::test]
async fn the_critical_path() {
    let (server, _) = filled().await;
    let (status, path) = server
        .get(&format!("/api/v1/traces/{}/critical-path", trace_hex(1)))
        .await;
    assert_eq!(status, 200, "{path}");
    let segments: Vec<_> = path["segments"]
        .as_array()
        .expect("segments")
        .iter()
        .map(|segment| {
            let ms = |key: &str| segment[key].as_u64().expect("ns") / MS;
            let span = segment["span_id"].as_str().expect("an id").to_owned();
            (span, ms("from"), ms("to"), segment["kind"].clone())
        })
        .collect();
    let expected = [
        (1, 0, 10, "work"),
        (2, 10, 12, "delivery"),
        (3, 12, 32, "bus_wait"),
        (3, 32, 33, "delivery"),
        (4, 33, 35, "delivery"),
        (4, 35, 40, "work"),
        (5, 40, 70, "llm"),
        (4, 70, 75, "work"),
        (6, 75, 90, "tool"),
        (4, 90, 100, "work"),
    ];
    let expected = expected.map(|(span, from, to, kind)| (id(span), from, to, json!(kind)));
    assert_eq!(segments, expected);
    assert_eq!(path["summary"]["bus_wait_ns"], 20 * MS);
}

#[tokio::test]
async fn one_span_with_everything() {
    let (server, base) = filled().await;
    let get = async |number: u64| {
        let path = format!("/api/v1/traces/{}/spans/{}", trace_hex(1), id(number));
        let (status, span) = server.get(&path).await;
        assert_eq!(status, 200, "{span}");
        span
    };
    let handler = get(4).await;
    let expected = json!({
        "trace_id": trace_hex(1), "span_id": id(4), "parent_span_id": id(3),
        "name": "agent.on_event", "kind": "consumer", "service": "agents",
        "start_ns": (base + 35 * MS).to_string(), "end_ns": (base + 100 * MS).to_string(),
        "duration_ns": (65 * MS).to_string(), "status": "error", "status_message": "bad reading",
        "resource": { "service.name": "agents" },
        "events": [{ "name": "agent_thinking", "time_ns": (base + 40 * MS).to_string(), "attributes": {} }],
        "links": [{ "trace_id": trace_hex(2), "span_id": id(20), "attributes": { "why": "joined" } }],
        "linked_from": [{ "trace_id": trace_hex(2), "span_id": id(20), "name": "later" }],
        "agent_id": "processor", "workflow_id": "analysis", "session_id": null, "user_id": null,
        "tenant_id": null, "thread_id": null, "event_id": "e-1", "execution_id": id(3),
    });
    for (key, expected) in expected.as_object().expect("an object") {
        assert_eq!(&handler[key], expected, "{key}");
    }
    // Hostile text is text, and what a browser would round is text too.
    assert_eq!(
        handler["attributes"]["note"],
        "<script>alert('1');DROP TABLE spans</script>"
    );
    assert_eq!(handler["attributes"]["large"], i64::MAX.to_string());
    let call = get(5).await;
    let performance = &call["performance"];
    assert_eq!(
        (
            &performance["prompt_tokens"],
            &performance["total_tokens"],
            &performance["model"],
            &performance["ttft_ms"]
        ),
        (&json!(10), &json!(15), &json!("gpt-4o-mini"), &Value::Null)
    );
    let root = get(1).await;
    assert_eq!(
        (&root["performance"], &root["parent_span_id"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn spans_of_a_trace_by_words() {
    let (server, _) = filled().await;
    let find = async |query: &str| {
        let path = format!("/api/v1/traces/{}/find?{query}", trace_hex(1));
        let (status, found) = server.get(&path).await;
        assert_eq!(status, 200, "{query}: {found}");
        found
    };
    let all = |ids: &[u64]| json!(ids.iter().copied().map(id).collect::<Vec<_>>());
    for (query, expected) in [
        ("q=sensor.data", &[2, 3, 4][..]),
        ("q=SENSOR.data%20bad", &[4]),
        ("q=%3Cscript%3E", &[4]),
        ("q=0000000000000007", &[7]),
        ("q=%27%20OR%201%3D1", &[]),
        ("q=%25", &[]),
    ] {
        let found = find(query).await;
        assert_eq!(found["span_ids"], all(expected), "{query}");
        assert_eq!(found["truncated"], false);
    }
    let few = find("q=sensor.data&limit=2").await;
    assert_eq!(
        (&few["span_ids"], &few["truncated"]),
        (&all(&[2, 3]), &json!(true))
    );
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (server, _) = filled().await;
    let trace = trace_hex(1);
    let long = "w%20".repeat(17);
    for (path, pointer) in [
        ("zzz".to_owned(), "/path/id"),
        ("0".repeat(32), "/path/id"),
        (format!("{trace}/spans/x"), "/path/span_id"),
        (format!("{trace}/spans/{}", "0".repeat(16)), "/path/span_id"),
        (format!("zzz/spans/{}", id(1)), "/path/id"),
        (format!("{trace}/find"), "/query/q"),
        (format!("{trace}/find?q={long}"), "/query/q"),
        (format!("{trace}/find?q=a&limit=0"), "/query/limit"),
        (format!("{trace}/find?q=a&limit=-1"), "/query/limit"),
        (
            format!("{trace}/find?q=a&limit=99999999999999999999"),
            "/query/limit",
        ),
        ("zzz/find?q=a".to_owned(), "/path/id"),
        ("zzz/critical-path".to_owned(), "/path/id"),
        ("zzz/check".to_owned(), "/path/id"),
        (format!("{trace}/waterfall?width=wide"), "/query/width"),
    ] {
        let path = format!("/api/v1/traces/{path}");
        let answer = server.get_text(&path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(problem["code"], "bad_request", "{path}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{path}");
        let instance = path.split('?').next();
        assert_eq!(problem["instance"].as_str(), instance);
    }
    for path in [
        trace_hex(9),
        format!("{}/find?q=a", trace_hex(9)),
        format!("{}/critical-path", trace_hex(9)),
        format!("{}/spans/{}", trace_hex(9), id(1)),
        format!("{trace}/spans/{}", id(77)),
    ] {
        let (status, problem) = server.get(&format!("/api/v1/traces/{path}")).await;
        assert_eq!(
            (status, &problem["code"]),
            (404, &json!("not_found")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn two_traces_side_by_side() {
    let (server, base) = filled().await;
    // As trace 1, without its handler.
    let mut spans = vec![
        at(base, 11, 0, "sensor.emit_data", (0, 50)),
        at(base, 12, 11, "EventBus.publish", (10, 15)),
        at(base, 13, 11, "log", (20, 21)),
    ];
    for span in &mut spans {
        span.trace_id = vec![9; 16];
    }
    let sent = encode(&request("agents", spans));
    server.store.ingest().append(sent).expect("taken");
    server.flush().await;

    let of = async |a: u8, b: u8| {
        let path = format!("/api/v1/traces/{}/compare/{}", trace_hex(a), trace_hex(b));
        let (status, found) = server.get(&path).await;
        assert_eq!(
            (status, &found["truncated"]),
            (200, &json!(false)),
            "{found}"
        );
        found["nodes"].as_array().expect("nodes").clone()
    };
    let same = of(1, 1).await;
    assert!(!same.is_empty() && same.iter().all(|node| node["a"] == node["b"]));
    let (there, back) = (of(1, 9).await, of(9, 1).await);
    let swapped = back.iter().map(|node| {
        let mut node = node.clone();
        (node["a"], node["b"]) = (node["b"].clone(), node["a"].clone());
        node
    });
    assert_eq!(there, swapped.collect::<Vec<_>>());
    let log = there.iter().find(|node| node["path"][1] == "agents: log");
    let log = log.expect("it is in one of them");
    assert_eq!(
        (&log["a"], &log["b"]),
        (&Value::Null, &json!({ "count": 1, "duration_ns": MS }))
    );

    let (one, nobody) = (trace_hex(1), trace_hex(7));
    for (path, status, pointer) in [
        (format!("x/compare/{one}"), 400, json!("/path/a")),
        (format!("{one}/compare/%27"), 400, json!("/path/b")),
        (format!("{nobody}/compare/{one}"), 404, Value::Null),
        (format!("{one}/compare/{nobody}"), 404, Value::Null),
    ] {
        let (answered, problem) = server.get(&format!("/api/v1/traces/{path}")).await;
        assert_eq!(
            (answered, &problem["errors"][0]["pointer"]),
            (status, &pointer),
            "{path}"
        );
    }
}
