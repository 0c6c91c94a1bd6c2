//! A stock Jaeger beside Loom: its services on the door for spans, its UI under `/jaeger/`, and links to one that runs elsewhere.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use loom_tests::cli::run_in;
use loom_tests::python::variables;
use loom_tests::server::{Options, TestServer};
use loom_trace::api::rpc::proto::jaeger::{api_v3, storage::v2};
use serde_json::Value;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Head and body of an answer.
fn get(server: &TestServer, path: &str, headers: &str) -> (String, String) {
    let address = server.addresses().http.expect("it is on");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

fn json(server: &TestServer, path: &str) -> Value {
    let (head, body) = get(server, path, "");
    assert!(head.contains(" 200 "), "{path}: {head}");
    serde_json::from_str(&body).expect("JSON")
}

/// Calls a method without parameters; `A` is what it answers.
async fn call<Q, A>(server: &TestServer, path: &'static str, token: &str) -> Result<A, Status>
where
    Q: prost::Message + Default + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let endpoint = format!("http://{}", server.addresses().otlp_grpc.expect("open"));
    let channel = Channel::from_shared(endpoint).expect("an address");
    let channel = channel.connect().await.expect("connects");
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("ready");
    let mut request = Request::new(Q::default());
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().expect("a value");
        request.metadata_mut().insert("authorization", value);
    }
    let path = PathAndQuery::from_static(path);
    let answer = grpc.unary(request, path, ProstCodec::default()).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn its_services_stand_beside_the_receiver_and_want_the_token() {
    let server = TestServer::with(Options {
        environment: variables([("LOOM_TOKEN", TOKEN)]),
        ..Options::default()
    });
    let services = "/jaeger.api_v3.QueryService/GetServices";
    let wrong = "x".repeat(32);
    for token in ["", &wrong] {
        let refused = call::<api_v3::GetServicesRequest, api_v3::GetServicesResponse>(
            &server, services, token,
        );
        let refused = refused.await.expect_err("refused");
        assert_eq!(refused.code(), Code::Unauthenticated);
    }
    let answer: api_v3::GetServicesResponse =
        call::<api_v3::GetServicesRequest, _>(&server, services, TOKEN)
            .await
            .expect("answered");
    assert_eq!(answer.services, [""; 0]);
    let answer: v2::GetCapabilitiesResponse = call::<v2::GetCapabilitiesRequest, _>(
        &server,
        "/jaeger.storage.v2.Capabilities/GetCapabilities",
        TOKEN,
    )
    .await
    .expect("answered");
    assert!(answer.search.expect("said").without_service_name);
    // Its answer has a state first of all: 1 is "serving".
    let health: v2::SearchCapabilities =
        call::<v2::GetCapabilitiesRequest, _>(&server, "/grpc.health.v1.Health/Check", TOKEN)
            .await
            .expect("answered");
    assert!(health.without_service_name);
}

#[test]
fn who_shows_no_token_is_told_in_the_shape_of_the_family() {
    let server = TestServer::with(Options {
        environment: variables([("LOOM_TOKEN", TOKEN)]),
        ..Options::default()
    });
    let told = |path: &str| {
        let (head, body) = get(&server, path, "");
        assert!(head.contains(" 401 "), "{path}: {head}");
        assert!(head.contains("www-authenticate: Bearer"), "{path}: {head}");
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    for path in ["/api/services", "/api/traces/1", "/jaeger/api/services"] {
        let told = told(path);
        assert_eq!(told["data"], Value::Null, "{path}");
        assert_eq!(told["errors"][0]["code"], 401, "{path}");
        assert!(told["errors"][0]["msg"].is_string(), "{path}: {told}");
    }
    for path in ["/api/v3/services", "/jaeger/api/v3/traces/1"] {
        let told = told(path);
        assert_eq!(told["error"]["httpCode"], 401, "{path}");
        assert!(told["error"]["message"].is_string(), "{path}: {told}");
    }
    for path in ["/api/v1/info", "/metrics"] {
        assert_eq!(told(path)["code"], "unauthorized", "{path}");
    }
}

#[test]
fn an_official_ui_is_served_on_the_store() {
    // A stand-in: only the markers of its page matter here.
    let bundle = tempfile::tempdir().expect("a folder");
    let page = "<head><script>JAEGER_CONFIG = DEFAULT_CONFIG; JAEGER_VERSION = DEFAULT_VERSION; \
                JAEGER_BACKEND_CAPABILITIES = DEFAULT_BACKEND_CAPABILITIES;</script></head>";
    fs::write(bundle.path().join("index.html"), page).expect("written");
    fs::create_dir(bundle.path().join("static")).expect("made");
    fs::write(bundle.path().join("static/app.js"), "run()").expect("written");
    let dir = bundle.path().display().to_string();
    let server = TestServer::with(Options {
        arguments: ["--jaeger-ui-dir", &dir].map(str::to_owned).to_vec(),
        environment: variables([("LOOM_TOKEN", TOKEN)]),
        ..Options::default()
    });
    let authorized = format!("authorization: Bearer {TOKEN}\r\n");
    for (path, status, found) in [
        ("/jaeger", " 308 ", ""),
        ("/jaeger/", " 200 ", "\"metricsStorage\":true"),
        (
            "/jaeger/trace/abc?uiFind=x",
            " 200 ",
            "\"metricsStorage\":true",
        ),
        ("/jaeger/static/app.js", " 200 ", "run()"),
        ("/jaeger/static/%2E%2E/%2E%2E/etc/passwd", " 404 ", ""),
        ("/jaeger/../../etc/passwd", " 404 ", ""),
        ("/jaeger/api/v3/services", " 401 ", ""),
        ("/jaeger/api/traces/abc", " 401 ", ""),
    ] {
        let (head, body) = get(&server, path, "");
        assert!(
            head.contains(status) && body.contains(found),
            "{path}: {head}\n{body}"
        );
    }
    let (head, _) = get(&server, "/jaeger/", "");
    assert!(head.contains("script-src 'self' 'unsafe-inline'"), "{head}");
    let (head, _) = get(&server, "/", "");
    assert!(!head.contains("unsafe-inline"), "only there: {head}");
    let (head, body) = get(&server, "/jaeger/api/v3/services", &authorized);
    assert!(
        head.contains(" 200 ") && body == "{\"services\":[]}",
        "{head}\n{body}"
    );
    let (head, body) = get(&server, "/jaeger/api/traces/abc", &authorized);
    assert!(
        head.contains(" 404 ") && body.contains("trace not found"),
        "{body}"
    );
    let (_, info) = get(&server, "/api/v1/info", &authorized);
    let info: Value = serde_json::from_str(&info).expect("JSON");
    let address = server.addresses().http.expect("open");
    assert_eq!(
        info["links"]["jaeger_trace"],
        format!("http://{address}/jaeger/trace/{{trace_id}}?uiFind={{span_id}}")
    );
}

#[test]
fn a_directory_without_its_ui_is_refused_at_the_start() {
    let empty = tempfile::tempdir().expect("a folder");
    let dir = empty.path().display().to_string();
    let any = "127.0.0.1:0";
    let said = run_in(
        Path::new("."),
        &[
            "up",
            "--ephemeral",
            "--bridge-addr",
            any,
            "--otlp-grpc-addr",
            any,
            "--otlp-http-addr",
            any,
            "--http-addr",
            any,
            "--jaeger-ui-dir",
            &dir,
        ],
        Vec::new(),
    );
    assert_ne!(said.code, Some(0));
    assert!(said.err.contains("index.html"), "{said:?}");
}

#[test]
fn info_tells_links_and_what_the_store_holds() {
    let server = TestServer::start();
    let info = json(&server, "/api/v1/info");
    assert_eq!(info["links"]["jaeger_trace"], Value::Null);
    assert_eq!(info["capabilities"]["redrive"], true);
    assert!(
        info["store"]["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0)
    );
    assert_eq!(info["store"]["retention"]["max_age_s"], 7 * 24 * 3600);
    assert_eq!(info["store"]["retention"]["max_bytes"], Value::Null);

    let server = TestServer::with(Options {
        arguments: ["--jaeger-ui-url", "http://127.0.0.1:16686/"]
            .map(str::to_owned)
            .to_vec(),
        settings: "[links]\ngrafana_url = \"https://grafana.example/explore?left={trace_id}\"\n"
            .to_owned(),
        ..Options::default()
    });
    let links = &json(&server, "/api/v1/info")["links"];
    assert_eq!(
        links["jaeger_trace"],
        "http://127.0.0.1:16686/trace/{trace_id}?uiFind={span_id}"
    );
    assert_eq!(
        links["grafana_trace"],
        "https://grafana.example/explore?left={trace_id}"
    );
}
