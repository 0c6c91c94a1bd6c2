//! Who may speak with a server: the token at every door, and no web page through the browser.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use loom_proto::v1;
use loom_server::client::BridgeClient;
use loom_tests::agent::{RawAgent, hello};
use loom_tests::cli::run_in;
use loom_tests::eventually::PATIENCE;
use loom_tests::python::{PythonAgent, variables};
use loom_tests::server::{Options, TestServer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::{Code, Request};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn guarded() -> TestServer {
    TestServer::with(Options {
        environment: variables([("LOOM_TOKEN", TOKEN)]),
        ..Options::default()
    })
}

/// The status line of a plain HTTP request.
fn ask(address: Option<SocketAddr>, head: &str) -> String {
    let mut stream = TcpStream::connect(address.expect("the door is open")).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
        .write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes())
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_door_wants_the_token() {
    let server = guarded();
    let addresses = *server.addresses();

    let refused = RawAgent::try_connect(server.bridge_addr(), hello("a", &[]))
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let wrong = v1::Hello {
        token: TOKEN.replace('0', "1"),
        ..hello("a", &[])
    };
    let refused = RawAgent::try_connect(server.bridge_addr(), wrong)
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let stranger = BridgeClient::connect(&server.bridge_addr().to_string(), None)
        .await
        .expect("connected");
    let error = stranger.agents().await.expect_err("refused").to_string();
    assert!(error.contains("LOOM_TOKEN"), "{error}");

    let endpoint = format!("http://{}", addresses.otlp_grpc.expect("open"));
    let mut otlp = TraceServiceClient::connect(endpoint)
        .await
        .expect("connected");
    let refused = otlp
        .export(ExportTraceServiceRequest::default())
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut with_token = Request::new(ExportTraceServiceRequest::default());
    with_token.metadata_mut().insert(
        "authorization",
        format!("Bearer {TOKEN}").parse().expect("a value"),
    );
    otlp.export(with_token).await.expect("taken");

    let export = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0";
    assert!(ask(addresses.otlp_http, export).contains("401"));
    assert!(
        ask(
            addresses.otlp_http,
            &format!("{export}\r\nauthorization: Bearer {TOKEN}")
        )
        .contains("200")
    );

    let list = "GET /api/services HTTP/1.1\r\nhost: localhost";
    assert!(ask(addresses.http, list).contains("401"));
    assert!(
        ask(
            addresses.http,
            &format!("{list}\r\nauthorization: Bearer {TOKEN}x")
        )
        .contains("401")
    );
    assert!(
        ask(
            addresses.http,
            &format!("{list}\r\nauthorization: Bearer {TOKEN}")
        )
        .contains("200")
    );
    assert!(
        ask(addresses.http, "GET /livez HTTP/1.1\r\nhost: localhost").contains("200"),
        "a probe has no token"
    );
}

#[tokio::test]
async fn with_the_token_everything_works_and_it_is_never_logged() {
    let server = guarded();
    let mut environment = server.environment();
    let header = format!("authorization=Bearer%20{TOKEN}");
    environment.extend(variables([("OTEL_EXPORTER_OTLP_HEADERS", header.as_str())]));
    let agent = PythonAgent::start("demo/trace-test/agents/output.py", environment.clone());
    server.has_agent("output-agent").await;
    let publish = [
        "publish",
        "processed.data",
        "{\"number\": 1, \"value\": 2}",
        "--json",
    ];
    let said = run_in(std::path::Path::new("."), &publish, environment);
    assert_eq!(said.code, Some(0), "{said:?}");
    let id = said.json()["trace_id"].as_str().expect("an id").to_owned();
    let trace = server.trace(&id, 4).await;
    assert_eq!(trace.only("agent.on_event").service, "agent-output-agent");
    assert!(!agent.log().contains(TOKEN));
    agent.stop();
    let (_, log) = server.stop();
    assert!(!log.contains(TOKEN), "the token is in the log");
}

#[tokio::test]
async fn a_web_page_cannot_reach_the_api_under_a_name_of_its_own() {
    let server = TestServer::start();
    let http = server.addresses().http;
    let port = http.expect("open").port();
    let get = |host: &str| ask(http, &format!("GET /api/services HTTP/1.1\r\nhost: {host}"));
    assert!(get(&format!("localhost:{port}")).contains("200"));
    assert!(get(&format!("127.0.0.1:{port}")).contains("200"));
    assert!(!get("evil.example").contains("200"));
    // The server's own routes are under the same guard.
    let info = ask(http, "GET /api/v1/info HTTP/1.1\r\nhost: evil.example");
    assert!(!info.contains("200"), "{info}");
}
