//! The list of traces: conditions, pages, and what is refused.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Value, json};

use crate::support::{Server, encode, request, span, string, trace_hex};

const S: u64 = 1_000_000_000;

/// A root of a trace with attributes; `ago_s` before now, for `ms`.
fn root(trace: u8, ago_s: u64, ms: u64, said: &[(&str, &str)]) -> Span {
    let mut root = span(trace, 1, 0);
    root.start_time_unix_nano -= ago_s * S;
    root.end_time_unix_nano = root.start_time_unix_nano + ms * 1_000_000;
    root.attributes = said.iter().map(|(key, value)| string(key, value)).collect();
    root
}

/// Five traces, the first one the newest and the fourth one the slowest; trace 3 has an error.
async fn filled() -> Server {
    let server = Server::start().await;
    let who = [
        ("agent.id", "sensor"),
        ("workflow.id", "analysis"),
        ("session.id", "s-1"),
        ("user.id", "u-1"),
        ("tenant.id", "t-1"),
        ("thread_id", "th-1"),
        ("topic", "sensor.data"),
        ("note", "<b>' OR 1=1 --</b>"),
    ];
    let mut failed = root(3, 300, 30, &[("topic", "sensor.data")]);
    failed.status = Some(Status {
        code: 2,
        message: "bad reading".to_owned(),
    });
    let spans = vec![
        root(1, 100, 10, &who),
        root(2, 200, 20, &[]),
        failed,
        root(4, 400, 4_000, &[]),
        root(5, 7_200, 50, &[("agent.id", "sensor")]),
    ];
    let request = encode(&request("agents", spans));
    server.store.ingest().append(request).expect("taken");
    server.flush().await;
    server
}

async fn get(server: &Server, query: &str) -> Value {
    let (status, list) = server.get(&format!("/api/v1/traces?{query}")).await;
    assert_eq!(status, 200, "{query}: {list}");
    list
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    let ids = items.iter().map(|item| item["trace_id"].as_str());
    ids.map(|id| id.expect("an id")).collect()
}

#[tokio::test]
async fn an_attribute_is_found_wherever_it_stands() {
    let server = Server::start().await;
    let mut failed = root(1, 100, 10, &[("retry", "true")]);
    failed.events = vec![Event {
        name: "exception".to_owned(),
        attributes: vec![string("exception.type", "ValueError")],
        ..Event::default()
    }];
    failed.links = vec![Link {
        trace_id: vec![9; 16],
        span_id: vec![9; 8],
        attributes: vec![string("why", "batch")],
        ..Link::default()
    }];
    let mut spans = request("agents", vec![failed, root(2, 200, 10, &[])]);
    let of_resource = &mut spans.resource_spans[0];
    of_resource.scope_spans[0].scope = Some(InstrumentationScope {
        name: "library".to_owned(),
        attributes: vec![string("scoped", "s")],
        ..InstrumentationScope::default()
    });
    let taken = server.store.ingest().append(encode(&spans));
    taken.expect("taken");
    server.flush().await;
    let (one, both, none) = (&[1][..], &[1, 2][..], &[][..]);
    for (tags, expected) in [
        (json!({"exception.type": "ValueError"}), one),
        (json!({"why": "batch"}), one),
        // In four places of one span.
        (
            json!({"retry": "true", "exception.type": "ValueError", "why": "batch", "scope.name": "library"}),
            one,
        ),
        (json!({"scoped": "s"}), both),
        (json!({"resource.service.name": "agents"}), both),
        (json!({"error": "false"}), both),
        (json!({"error": "true"}), none),
        (json!({"exception.type": "KeyError"}), none),
    ] {
        let expected: Vec<_> = expected.iter().map(|&trace| trace_hex(trace)).collect();
        let bytes = tags.to_string().into_bytes();
        let encoded = bytes
            .iter()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<Vec<_>>()
            .concat();
        let list = get(&server, &format!("tags={encoded}")).await;
        assert_eq!(ids(&list), expected, "{tags}");
        // Jaeger's clients ask the same.
        let path = format!(
            "/api/v3/trace-summaries?query.startTimeMin=2000-01-01T00:00:00Z&query.startTimeMax=2200-01-01T00:00:00Z\
             &query.attributes={encoded}"
        );
        let (status, found) = server.get(&path).await;
        assert_eq!(status, 200, "{found}");
        let summaries = found["summaries"].as_array().expect("a list").iter();
        let found: Vec<_> = summaries.map(|one| one["traceId"].as_str()).collect();
        let expected: Vec<_> = expected.iter().map(|id| Some(id.as_str())).collect();
        assert_eq!(found, expected, "{tags}");
    }
    // And so are words.
    let list = get(&server, "q=valueerror%20BATCH%20exception").await;
    assert_eq!(ids(&list), [trace_hex(1)]);
}

#[tokio::test]
async fn each_condition() {
    let server = filled().await;
    for (query, expected) in [
        ("", &[1, 2, 3, 4, 5][..]),
        ("unknown=x&lookback=1h", &[1, 2, 3, 4, 5]),
        ("agent=sensor", &[1, 5]),
        ("workflow=analysis", &[1]),
        ("session=s-1", &[1]),
        ("user=u-1&tenant=t-1", &[1]),
        ("thread=th-1", &[1]),
        ("topic=sensor.data", &[1, 3]),
        ("topic=sensor.data&agent=sensor", &[1]),
        ("service=agents&operation=span%201", &[1, 2, 3, 4, 5]),
        ("service=nobody", &[]),
        ("status=error", &[3]),
        ("status=ok", &[1, 2, 4, 5]),
        ("tag=topic:sensor.data&errors=true", &[3]),
        ("tags=%7B%22topic%22%3A%22sensor.data%22%7D", &[1, 3]),
        ("q=BAD%20reading", &[3]),
        ("q=%3Cb%3E%27%20OR%201%3D1", &[1]),
        ("q=nothing", &[]),
        ("agent=%27%20OR%20%271%27%3D%271", &[]),
        ("min_duration=40ms", &[4, 5]),
        ("min_duration=40ms&max_duration=1s", &[5]),
        ("minDuration=40ms&maxDuration=1s", &[5]),
        ("time_range=1h", &[1, 2, 3, 4]),
        ("from=now-250s", &[1, 2]),
        ("from=now-350s&to=now-150s", &[2, 3]),
        ("to=now-1h", &[5]),
        ("start=0&end=1", &[]),
        ("sort=slowest", &[4, 5, 3, 2, 1]),
        ("sort=slowest&status=ok&time_range=1h", &[4, 2, 1]),
    ] {
        let list = get(&server, query).await;
        let expected: Vec<_> = expected.iter().map(|&trace| trace_hex(trace)).collect();
        assert_eq!(ids(&list), expected, "{query}");
        assert_eq!(
            (&list["next_cursor"], &list["truncated"]),
            (&Value::Null, &json!(false)),
            "{query}"
        );
    }
    let list = get(&server, "workflow=analysis").await;
    let item = &list["items"][0];
    assert_eq!(
        (&item["agents"], &item["workflow_id"], &item["duration_ns"]),
        (&json!(["sensor"]), &json!("analysis"), &json!("10000000"))
    );
    let none = get(&server, "status=error").await;
    assert_eq!(
        (
            &none["items"][0]["agents"],
            &none["items"][0]["workflow_id"]
        ),
        (&json!([]), &Value::Null)
    );
}

#[tokio::test]
async fn pages() {
    let server = filled().await;
    for (query, expected) in [
        ("from=now-1d", [1, 2, 3, 4, 5]),
        ("sort=slowest&time_range=1d", [4, 5, 3, 2, 1]),
        ("q=agents", [1, 2, 3, 4, 5]),
    ] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        for page in 0.. {
            assert!(page < 5, "{query} does not end");
            let list = get(&server, &format!("{query}&limit=2{cursor}")).await;
            found.extend(ids(&list).into_iter().map(str::to_owned));
            assert_eq!(list["truncated"], !list["next_cursor"].is_null());
            match list["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, expected.map(trace_hex), "{query}");
        // Of another list; how many a page has does not matter.
        let cursor = cursor.trim_start_matches('&');
        for other in ["agent=sensor", "sort=newest", "from=now-2d"] {
            let path = format!("/api/v1/traces?{other}&{cursor}");
            let (status, problem) = server.get(&path).await;
            assert_eq!(
                (status, &problem["code"], &problem["errors"][0]["pointer"]),
                (400, &json!("cursor_mismatch"), &json!("/query/cursor")),
                "{path}"
            );
        }
        get(&server, &format!("{query}&limit=4&{cursor}")).await;
    }
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let server = filled().await;
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1001", "limit"),
        ("limit=1e3", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=00000000.n1", "cursor"),
        ("cursor=zzzzzzzz.n1-2", "cursor"),
        ("cursor=%27%3B--", "cursor"),
        ("status=good", "status"),
        ("sort=fastest", "sort"),
        ("time_range=forever", "time_range"),
        ("time_range=1h&from=now", "time_range"),
        ("from=yesterday", "from"),
        ("from=now&to=now-1h", "to"),
        ("min_duration=5", "min_duration"),
        ("min_duration=2s&max_duration=1s", "max_duration"),
        ("tags=%5B%5D", "tags"),
        ("tag=nocolon", "tag"),
        ("start=now", "start"),
    ] {
        let (status, problem) = server.get(&format!("/api/v1/traces?{query}")).await;
        assert_eq!(status, 400, "{query}: {problem}");
        let pointer = format!("/query/{name}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{query}");
    }
}
