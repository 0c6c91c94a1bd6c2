//! Capability calls continue the trace of their caller, whoever calls and however it ends.

use loom_proto::trace_context::TraceContext;
use loom_proto::v1::action_reply::Outcome;
use loom_proto::{Code, v1};
use loom_tests::agent::{RawAgent, hello};
use loom_tests::cli::run;
use loom_tests::python::PythonAgent;
use loom_tests::server::TestServer;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn provider(agent_id: &str) -> v1::Hello {
    let capability = v1::Capability {
        name: "calc.double".to_owned(),
        ..Default::default()
    };
    v1::Hello {
        capabilities: vec![capability],
        ..hello(agent_id, &[])
    }
}

fn call(call_id: u64, capability: &str, timeout_ms: u32) -> v1::ActionCall {
    v1::ActionCall {
        call_id,
        capability: capability.to_owned(),
        args: b"21".to_vec().into(),
        headers: [("traceparent".to_owned(), TRACEPARENT.to_owned())].into(),
        timeout_ms,
        ..Default::default()
    }
}

fn error(reply: v1::ActionReply) -> (Code, String) {
    match reply.outcome {
        Some(Outcome::Error(error)) => (error.code(), error.message),
        other => panic!("no error: {other:?}"),
    }
}

#[tokio::test]
async fn a_call_continues_the_trace_up_to_the_provider() {
    let server = TestServer::start();
    let mut provider = RawAgent::connect(server.bridge_addr(), provider("provider")).await;
    let mut caller = RawAgent::connect(server.bridge_addr(), hello("caller", &[])).await;
    caller
        .send(v1::ClientEvent {
            call: vec![call(7, "calc.double", 0)],
            ..Default::default()
        })
        .await;

    let served = provider.call().await;
    assert_eq!(
        (served.caller.as_str(), &*served.args),
        ("caller", b"21".as_slice())
    );
    let context =
        TraceContext::parse(served.headers["traceparent"].as_bytes()).expect("a good context");
    assert_eq!(context.trace_id.to_string(), TRACE);
    let reply = v1::ActionReply {
        call_id: served.call_id,
        outcome: Some(Outcome::Result(b"42".to_vec().into())),
        ..Default::default()
    };
    provider
        .send(v1::ClientEvent {
            reply: vec![reply],
            ..Default::default()
        })
        .await;

    let reply = caller.reply().await;
    assert_eq!(reply.call_id, 7);
    assert_eq!(reply.outcome, Some(Outcome::Result(b"42".to_vec().into())));
    let trace = server.trace(TRACE, 1).await;
    let invoke = trace.only("broker.invoke");
    assert_eq!(
        invoke.span_id,
        context.span_id.to_string(),
        "what the provider continues"
    );
    assert_eq!(invoke.tags["loom.broker.capability"], "calc.double");
    assert_eq!(invoke.tags["loom.broker.provider"], "provider");
}

#[tokio::test]
async fn each_way_to_fail_has_its_code_and_leaves_a_failed_span() {
    let server = TestServer::start();
    let mut caller = RawAgent::connect(server.bridge_addr(), hello("caller", &[])).await;
    let ask = |call| v1::ClientEvent {
        call: vec![call],
        ..Default::default()
    };

    caller.send(ask(call(1, "nobody.knows", 0))).await;
    let (code, message) = error(caller.reply().await);
    assert_eq!(code, Code::UnknownCapability);
    assert!(message.contains("nobody.knows"), "{message}");

    let mut lost = RawAgent::connect(server.bridge_addr(), provider("provider")).await;
    caller.send(ask(call(2, "calc.double", 50))).await;
    let _served = lost.call().await;
    assert_eq!(error(caller.reply().await).0, Code::DeadlineExceeded);

    caller.send(ask(call(3, "calc.double", 0))).await;
    let _served = lost.call().await;
    drop(lost);
    assert_eq!(error(caller.reply().await).0, Code::ProviderGone);

    let trace = server.trace(TRACE, 3).await;
    let mut errors: Vec<_> = trace
        .spans
        .iter()
        .map(|span| span.tags["error.type"].as_str())
        .collect();
    errors.sort_unstable();
    assert_eq!(
        errors,
        ["deadline_exceeded", "provider_gone", "unknown_capability"]
    );
    assert!(
        trace
            .spans
            .iter()
            .all(|span| span.tags["otel.status_code"] == "ERROR")
    );
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_its_provider() {
    let server = TestServer::start();
    let mut provider = RawAgent::connect(server.bridge_addr(), provider("provider")).await;
    let caller = RawAgent::connect(server.bridge_addr(), hello("caller", &[])).await;
    caller
        .send(v1::ClientEvent {
            call: vec![call(1, "calc.double", 0)],
            ..Default::default()
        })
        .await;
    let served = provider.call().await;
    let cancel = v1::ActionCancel {
        call_id: 1,
        ..v1::ActionCancel::default()
    };
    caller
        .send(v1::ClientEvent {
            cancel: vec![cancel],
            ..Default::default()
        })
        .await;
    assert_eq!(provider.cancelled().await, served.call_id);
}

#[tokio::test]
async fn python_agents_call_each_other_inside_one_trace() {
    let server = TestServer::start();
    let provider = PythonAgent::start("tests/agents/calculator.py", server.environment());
    server.has_agent("calculator").await;
    let caller = PythonAgent::start("tests/agents/customer.py", server.environment());
    server.has_agent("customer").await;

    let said = run(
        &["publish", "order.new", "{\"a\": 20, \"b\": 22}", "--json"],
        Some(&server),
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    let id = said.json()["trace_id"].as_str().expect("an id").to_owned();
    // publish, bus, forward, the handler, its call, the provider; then the request with its handler, and the reply, which
    // no handler takes.
    let trace = server.trace(&id, 13).await;
    let invoke = trace.only("broker.invoke");
    let action = trace.only("agent.on_action");
    assert_eq!(action.parent.as_ref(), Some(&invoke.span_id));
    assert_eq!(action.service, "agent-calculator");
    let caller_span = trace
        .spans
        .iter()
        .find(|span| Some(&span.span_id) == invoke.parent.as_ref());
    let caller_span = caller_span.expect("the call has a parent in the trace");
    assert_eq!(
        (caller_span.name.as_str(), caller_span.service.as_str()),
        ("agent.on_event", "agent-customer")
    );
    assert!(caller.log().contains("sum 42"), "{}", caller.log());
    caller.stop();
    provider.stop();
}

#[tokio::test]
async fn the_command_line_can_call() {
    let server = TestServer::start();
    let _provider = PythonAgent::start("tests/agents/calculator.py", server.environment());
    server.has_agent("calculator").await;
    let good = run(
        &["invoke", "calc.add", "{\"a\": 1, \"b\": 2}", "--json"],
        Some(&server),
    );
    assert_eq!(
        (good.code, good.out.trim()),
        (Some(0), "{\"sum\":3}"),
        "{good:?}"
    );
    let failed = run(&["invoke", "calc.add", "{\"a\": 1}"], Some(&server));
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.err.contains("'b'"), "{failed:?}");
    let unknown = run(&["invoke", "calc.nothing"], Some(&server));
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
    let wrong = run(&["invoke", "calc.add", "{a}"], Some(&server));
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}
