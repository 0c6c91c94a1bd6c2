//! What the bus has done, over HTTP: topology, dependencies, names.

use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Value, json};

use crate::support::{Server, attribute, encode, request, span, string};

const MS: u64 = 1_000_000;
const EVENT: &str = "0190d0c2-5b6a-7c52-9d61-0f3b2a4f5e6d";

/// A span of trace 1 that began `ago_ms` before now.
fn at(id: u64, parent: u64, name: &str, ago_ms: u64, ms: u64, said: &[(&str, &str)]) -> Span {
    let mut span = span(1, id, parent);
    name.clone_into(&mut span.name);
    span.start_time_unix_nano -= ago_ms * MS;
    span.end_time_unix_nano = span.start_time_unix_nano + ms * MS;
    span.attributes = said.iter().map(|(key, value)| string(key, value)).collect();
    span
}

/// One event from a sensor to a processor, which fails once and then handles it.
async fn filled() -> Server {
    let server = Server::start().await;
    let hop = |agent| {
        [
            ("topic", "sensor.data"),
            ("agent_id", agent),
            ("event_id", EVENT),
            ("messaging.destination.subscription.name", "sensor.*"),
            ("messaging.consumer.group.name", "workers"),
        ]
    };
    let handled = [
        ("topic", "sensor.data"),
        ("agent.id", "processor"),
        ("event.id", EVENT),
        ("workflow.id", "analysis"),
    ];
    // Who has sent it, and how large it is, says the bridge alone.
    let mut taken = at(7, 1, "bridge.publish", 901, 3, &hop("sensor")[..3]);
    let size = attribute("messaging.message.body.size", OtlpValue::IntValue(42));
    taken.attributes.push(size);
    let said = [("topic", "sensor.data"), ("event_id", EVENT)];
    let mut publish = at(2, 7, "EventBus.publish", 900, 1, &said);
    let matched = attribute("loom.bus.matched", OtlpValue::IntValue(1));
    publish.attributes.push(matched);
    let forward = |id, ago_ms, attempt, wait_us| {
        let mut forward = at(id, 2, "bridge.forward", ago_ms, 1, &hop("processor"));
        forward.attributes.extend([
            attribute(
                "messaging.message.delivery_attempt",
                OtlpValue::IntValue(attempt),
            ),
            attribute("loom.queue.wait_us", OtlpValue::IntValue(wait_us)),
        ]);
        forward
    };
    let mut failed = at(4, 3, "agent.on_event", 850, 50, &handled);
    failed.status = Some(Status {
        code: 2,
        message: "bad reading".to_owned(),
    });
    let root = at(
        1,
        0,
        "sensor.emit_data",
        1_000,
        150,
        &[("agent.id", "sensor")],
    );
    let again = at(6, 5, "agent.on_event", 700, 30, &handled);
    for (service, spans) in [
        ("sensor", vec![root]),
        (
            "loom",
            vec![
                taken,
                publish,
                forward(3, 860, 1, 40_000),
                forward(5, 710, 2, 190_000),
            ],
        ),
        ("processor", vec![failed, again]),
    ] {
        let request = encode(&request(service, spans));
        server.store.ingest().append(request).expect("taken");
    }
    server.flush().await;
    server
}

#[tokio::test]
async fn topology() {
    let server = filled().await;
    let (status, found) = server.get("/api/v1/topology").await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["window_s"], 60.0);
    assert!(
        found["seq"]
            .as_str()
            .is_some_and(|seq| seq.parse::<u64>().is_ok())
    );
    let agents = found["agents"].as_array().expect("agents");
    let ids: Vec<_> = agents.iter().map(|agent| &agent["agent_id"]).collect();
    assert_eq!(ids, ["processor", "sensor"]);
    assert_eq!(agents[0]["p95_ms"], 50.0);
    // Only who knows the bus can say it.
    assert_eq!(agents[0]["state"], Value::Null);
    let topic = |kind: &str, id: &str| json!({ "kind": kind, "id": id });
    let edges = found["edges"].as_array().expect("edges");
    assert_eq!(edges.len(), 2, "{found}");
    assert_eq!(
        (
            &edges[0]["from"],
            &edges[0]["to"],
            &edges[0]["kind"],
            &edges[0]["p50_ms"]
        ),
        (
            &topic("agent", "sensor"),
            &topic("topic", "sensor.data"),
            &json!("publish"),
            &Value::Null
        )
    );
    assert_eq!(
        (&edges[1]["to"], &edges[1]["count"], &edges[1]["errors"]),
        (&topic("agent", "processor"), &json!(2), &json!(1))
    );
    let ms = |key: &str| edges[1][key].as_f64().expect("ms").round();
    assert_eq!((ms("p50_ms"), ms("p95_ms")), (50.0, 200.0));

    for (query, edges) in [
        ("workflow=analysis", 2),
        ("workflow=none", 0),
        ("window=7d", 2),
    ] {
        let (_, found) = server.get(&format!("/api/v1/topology?{query}")).await;
        assert_eq!(
            found["edges"].as_array().map(Vec::len),
            Some(edges),
            "{query}"
        );
    }
    for window in ["", "0s", "60", "-1s", "1e9d", "%27"] {
        let (status, problem) = server
            .get(&format!("/api/v1/topology?window={window}"))
            .await;
        let pointer = &problem["errors"][0]["pointer"];
        if window.is_empty() {
            assert_eq!(status, 200, "as if it did not stand there");
        } else {
            assert_eq!(
                (status, pointer),
                (400, &json!("/query/window")),
                "{window}"
            );
        }
    }
}

#[tokio::test]
async fn dependencies_as_jaeger_has_them() {
    let server = filled().await;
    let (status, found) = server.get("/api/dependencies?lookback=604800000").await;
    let edge = |parent: &str, child: &str, calls: u64| json!({ "parent": parent, "child": child, "callCount": calls });
    let both = [edge("loom", "processor", 2), edge("sensor", "loom", 1)];
    assert_eq!((status, &found["data"]), (200, &json!(both)));
    assert_eq!(
        (&found["total"], &found["errors"]),
        (&json!(0), &Value::Null)
    );
    let (_, found) = server.get("/api/dependencies?service=sensor").await;
    assert_eq!(found["data"], json!([edge("sensor", "loom", 1)]));
    let (_, found) = server.get("/api/dependencies?endTs=1000").await;
    assert_eq!(found["data"], json!([]));
    let (status, problem) = server.get("/api/dependencies?endTs=now").await;
    assert_eq!((status, &problem["data"]), (400, &Value::Null));
}

#[tokio::test]
async fn names_to_choose_from() {
    let server = filled().await;
    let (_, services) = server.get("/api/v1/services").await;
    let expected = json!({
        "items": [
            { "name": "loom", "operations": 3 },
            { "name": "processor", "operations": 1 },
            { "name": "sensor", "operations": 1 },
        ],
        "next_cursor": null, "truncated": false,
    });
    assert_eq!(services, expected);
    for (query, expected) in [
        ("field=agent", &["processor", "sensor"][..]),
        ("field=agent&prefix=S", &["sensor"]),
        ("field=service&prefix=lo", &["loom"]),
        ("field=operation&prefix=agent.", &["agent.on_event"]),
        ("field=topic&prefix=sensor", &["sensor.data"]),
        ("field=workflow", &["analysis"]),
        ("field=workflow&prefix=%25", &[]),
        ("field=agent&prefix=%27%3BDROP", &[]),
    ] {
        let (status, found) = server.get(&format!("/api/v1/suggest?{query}")).await;
        assert_eq!(
            (status, &found),
            (200, &json!({ "values": expected })),
            "{query}"
        );
    }
    for query in ["", "field=colour"] {
        let (status, problem) = server.get(&format!("/api/v1/suggest?{query}")).await;
        let pointer = &problem["errors"][0]["pointer"];
        assert_eq!((status, pointer), (400, &json!("/query/field")), "{query}");
    }
}

#[tokio::test]
async fn events_and_what_became_of_one() {
    let server = filled().await;
    let get = async |query: &str| {
        let (status, list) = server.get(&format!("/api/v1/events?{query}")).await;
        assert_eq!(status, 200, "{query}: {list}");
        list
    };
    for (query, count) in [
        ("", 1),
        ("topic=sensor.data&sender=sensor&workflow=analysis", 1),
        (&format!("event_id={EVENT}"), 1),
        (&format!("event_id={}", EVENT.to_uppercase()), 0),
        ("event_id=%27%20OR%201", 0),
        ("topic=other", 0),
        ("sender=processor", 0),
        ("workflow=none", 0),
        ("to=now-1h", 0),
        ("time_range=1h&limit=1&unknown=1", 1),
    ] {
        let list = get(query).await;
        let items = list["items"].as_array().expect("a list");
        assert_eq!(items.len(), count, "{query}");
        assert_eq!(
            (&list["next_cursor"], &list["truncated"]),
            (&Value::Null, &json!(false))
        );
    }
    let list = get("").await;
    let event = &list["items"][0];
    for (key, expected) in [
        ("event_id", json!(EVENT)),
        ("topic", json!("sensor.data")),
        ("sender", json!("sensor")),
        ("span_id", json!("0000000000000002")),
        ("size", json!(42)),
        ("matched", json!(1)),
        ("workflow_id", json!("analysis")),
        ("event_type", Value::Null),
        ("status", json!("ok")),
    ] {
        assert_eq!(event[key], expected, "{key}");
    }

    let (status, story) = server.get(&format!("/api/v1/events/{EVENT}")).await;
    assert_eq!(
        (status, &story["time_ns"]),
        (200, &event["time_ns"]),
        "{story}"
    );
    let delivery = |attempt: u64, span: &str, state: &str, wait_ms: f64, ms: f64, error: Value| {
        json!({
            "subscriber": "processor", "subscription": "sensor.*", "group": "workers",
            "attempt": attempt, "span_id": span, "state": state, "wait_ms": wait_ms,
            "duration_ms": ms, "error_message": error,
        })
    };
    let expected = [
        delivery(
            1,
            "0000000000000003",
            "FAILED",
            40.0,
            50.0,
            json!("bad reading"),
        ),
        delivery(2, "0000000000000005", "COMPLETED", 190.0, 30.0, Value::Null),
    ];
    assert_eq!(story["deliveries"], json!(expected));
    // Only who knows the bus can say it.
    assert_eq!(story["kept"], Value::Null);

    for id in ["0190d0c2-5b6a-7c52-9d61-0f3b2a4f5e6e", "x", "%27"] {
        let (status, problem) = server.get(&format!("/api/v1/events/{id}")).await;
        assert_eq!(
            (status, &problem["code"]),
            (404, &json!("not_found")),
            "{id}"
        );
    }
    for (query, name) in [
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("cursor=1-2", "cursor"),
        ("from=soon", "from"),
        ("time_range=1", "time_range"),
    ] {
        let (status, problem) = server.get(&format!("/api/v1/events?{query}")).await;
        let pointer = format!("/query/{name}");
        assert_eq!(
            (status, &problem["errors"][0]["pointer"]),
            (400, &json!(pointer)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn workflows() {
    let server = filled().await;
    let (status, list) = server.get("/api/v1/workflows").await;
    assert_eq!((status, &list["truncated"]), (200, &json!(false)), "{list}");
    let items = list["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1);
    for (key, expected) in [
        ("workflow_id", json!("analysis")),
        ("traces", json!(1)),
        ("executions", json!(2)),
        ("errors", json!(1)),
        ("error_rate", json!(0.5)),
        ("p50_ms", json!(30.0)),
        ("p95_ms", json!(50.0)),
        ("agents", json!(["processor"])),
    ] {
        assert_eq!(items[0][key], expected, "{key}");
    }
    let (status, one) = server.get("/api/v1/workflows/analysis?time_range=1h").await;
    assert_eq!((status, &one["executions"]), (200, &json!(2)), "{one}");
    let steps = one["steps"].as_array().expect("steps");
    let kinds: Vec<_> = steps.iter().map(|step| &step["kind"]).collect();
    assert_eq!(kinds, ["publish", "deliver"]);

    let (_, earlier) = server.get("/api/v1/workflows?to=now-1h").await;
    assert_eq!(earlier["items"], json!([]));
    for path in ["none", "analysis?to=now-1h", "%27%20OR%201"] {
        let (status, problem) = server.get(&format!("/api/v1/workflows/{path}")).await;
        assert_eq!(
            (status, &problem["code"]),
            (404, &json!("not_found")),
            "{path}"
        );
    }
    let (status, problem) = server.get("/api/v1/workflows?from=soon").await;
    let pointer = &problem["errors"][0]["pointer"];
    assert_eq!((status, pointer), (400, &json!("/query/from")));
    // Under both names.
    for path in ["agents/processor", "workflows/analysis"] {
        let (_, short) = server.get(&format!("/api/v1/{path}/metrics")).await;
        let long = format!("/api/v1/observability/{path}/metrics");
        let (_, long) = server.get(&long).await;
        assert_eq!(short["executions"]["count"], 2, "{short}");
        assert_eq!(short["executions"], long["executions"]);
    }
}
