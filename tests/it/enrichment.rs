//! Spans that anybody sends, and what `loom verify --enrichment` and the metrics say of them.

use std::time::{SystemTime, UNIX_EPOCH};

use loom_tests::agent::{RawAgent, hello};
use loom_tests::cli::run;
use loom_tests::eventually;
use loom_tests::server::TestServer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::Value;

fn attribute(key: &str, value: OtlpValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, OtlpValue::StringValue(text.to_owned()))
}

/// A span of 200 ms that has just ended.
fn span(trace: u8, id: u8, parent: u8, name: &str, attributes: Vec<KeyValue>) -> Span {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ns = now.expect("after 1970").as_nanos() as u64;
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            vec![parent; 8]
        },
        name: name.to_owned(),
        start_time_unix_nano: now_ns - 200_000_000,
        end_time_unix_nano: now_ns,
        attributes,
        ..Span::default()
    }
}

async fn send(server: &TestServer, service: &str, scope: &str, spans: Vec<Span>) {
    let address = server.addresses().otlp_grpc.expect("it listens");
    let mut client = TraceServiceClient::connect(format!("http://{address}"))
        .await
        .expect("connects");
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", service)],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: scope.to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            schema_url: String::new(),
        }],
    };
    client.export(request).await.expect("taken");
}

#[tokio::test]
async fn spans_without_an_agent_or_a_workflow_are_counted_and_named() {
    let server = TestServer::start();
    let verify = |more: &[&str]| {
        let arguments = ["verify", "--enrichment", "--grace", "0s"];
        run(&[&arguments[..], more].concat(), Some(&server))
    };
    let who = || vec![text("agent.id", "planner"), text("workflow.id", "analysis")];
    let good = vec![
        span(1, 1, 0, "invoke_workflow analysis", who()),
        // Its trace says the workflow.
        span(1, 2, 1, "plan", vec![text("agent.id", "planner")]),
    ];
    send(&server, "agent-planner", "loom", good).await;
    let told = verify(&[]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(
        told.out
            .contains("2 spans of agents' processes: 2 have an agent, 2 a workflow"),
        "{told:?}"
    );
    assert!(
        told.out.contains("plan: agent planner, workflow analysis"),
        "{told:?}"
    );

    // An LLM call in a trace of its own, as a thread without a context makes it.
    let lost = (1..4)
        .map(|id| span(2, id, id - 1, "chat gpt-4o", Vec::new()))
        .collect();
    send(
        &server,
        "agent-planner",
        "opentelemetry.instrumentation.openai",
        lost,
    )
    .await;
    let told = verify(&[]);
    assert_eq!(told.code, Some(5), "{told:?}");
    let row = told
        .out
        .lines()
        .find(|line| line.contains("chat gpt-4o"))
        .expect("its row");
    let cells: Vec<_> = row.split_whitespace().collect();
    let expected = [
        "agent-planner",
        "opentelemetry.instrumentation.openai",
        "chat",
        "gpt-4o",
        "3",
        "3",
    ];
    assert_eq!(cells, expected);

    let told = verify(&["--json"]);
    assert_eq!(told.code, Some(5), "{told:?}");
    let report = told.json();
    assert_eq!(report["clean"], false);
    let counts =
        ["spans", "with_agent", "with_workflow"].map(|key| report["enrichment"][key].as_u64());
    assert_eq!(counts, [5, 2, 2].map(Some));
    assert_eq!(
        report["enrichment"]["without"][0]["scope"],
        "opentelemetry.instrumentation.openai"
    );
    // It is no fault unless one asks for it, and none of the first trace.
    let told = run(&["verify", "--grace", "0s"], Some(&server));
    assert_eq!(told.code, Some(0), "{told:?}");
    let first = "01".repeat(16);
    let told = run(
        &["verify", "--enrichment", "--grace", "0s", "--trace", &first],
        Some(&server),
    );
    assert_eq!(told.code, Some(0), "{told:?}");
}

#[tokio::test]
async fn a_call_of_a_model_is_priced_and_summed() {
    let server = TestServer::start();
    let call = |id, model: &str| {
        let attributes = vec![
            text("agent.id", "planner"),
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "openai"),
            text("gen_ai.request.model", model),
            attribute("gen_ai.usage.input_tokens", OtlpValue::IntValue(1_000)),
            attribute("gen_ai.usage.output_tokens", OtlpValue::IntValue(500)),
        ];
        span(1, id, id - 1, "chat", attributes)
    };
    let calls = vec![call(1, "gpt-4o-mini"), call(2, "model-of-mine")];
    send(&server, "agent-planner", "openai", calls).await;
    // It looks after everything that was sent is stored.
    assert_eq!(
        run(&["verify", "--grace", "0s"], Some(&server)).code,
        Some(0)
    );
    let path = "/api/v1/observability/agents/planner/metrics?time_range=1h";
    let metrics: serde_json::Value = server.http().get_json(path).await.expect("metrics");
    let calls = &metrics["model_calls"];
    assert_eq!(
        (&calls["count"], &calls["without_cost"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&calls["total_tokens"], &calls["cost_usd"]),
        (&3_000.into(), &0.00045.into())
    );
    assert_eq!(
        server.metric("loom_store_model_calls_unpriced_total").await,
        1
    );
}

#[tokio::test]
async fn agents_that_are_connected_and_agents_that_were() {
    let server = TestServer::start();
    let names = async |query: &str| -> Vec<(String, String)> {
        let path = format!("/api/v1/agents{query}");
        let agents: Value = server.http().get_json(&path).await.expect("agents");
        let items = agents["items"].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        items
            .map(|agent| (text(&agent["agent_id"]), text(&agent["state"])))
            .collect()
    };
    let handlers = vec![
        span(1, 1, 0, "agent.on_event", vec![text("agent.id", "old")]),
        span(1, 2, 0, "agent.on_event", vec![text("agent.id", "here")]),
    ];
    send(&server, "mine", "mine", handlers).await;
    let _here = RawAgent::connect(server.bridge_addr(), hello("here", &["a.*"])).await;
    let _idle = RawAgent::connect(server.bridge_addr(), hello("idle", &[])).await;
    let pair = |id: &str, state: &str| (id.to_owned(), state.to_owned());
    eventually("the spans are stored", async || {
        let found = names("?state=gone").await;
        (found == [pair("old", "gone")]).then_some(()).ok_or(found)
    })
    .await;
    let connected = [pair("here", "connected"), pair("idle", "connected")];
    assert_eq!(names("").await, connected);
    assert_eq!(names("?state=connected").await, connected);
    let all = names("?state=all").await;
    assert_eq!(all[..2], connected);
    assert_eq!(all[2..], [pair("old", "gone")]);

    let of = async |id: &str| -> Value {
        let path = format!("/api/v1/agents/{id}");
        server.http().get_json(&path).await.expect("an agent")
    };
    let here = of("here").await;
    assert_eq!(here["activity"]["executions"], 1);
    let p95 = here["activity"]["p95_ms"].as_f64().expect("a number");
    assert!((p95 - 200.0).abs() < 1.0, "{p95}");
    assert_eq!(here["subscriptions"][0]["pattern"], "a.*");
    let idle = of("idle").await;
    assert_eq!(
        (&idle["activity"]["executions"], &idle["activity"]["p95_ms"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(of("old").await["connected_at"], Value::Null);
    let nobody = server
        .http()
        .get_json::<Value>("/api/v1/agents/nobody")
        .await;
    assert!(nobody.is_err());
    let wrong = server
        .http()
        .get_json::<Value>("/api/v1/agents?state=lost")
        .await;
    assert!(wrong.expect_err("refused").to_string().contains("lost"));
}
