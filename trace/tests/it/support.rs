//! A running store with all its listeners, and the clients to talk to it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use loom_trace::api::rpc;
use loom_trace::collector::{grpc, http};
use loom_trace::{ApiConfig, CollectorConfig, Config, TraceStore, api};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::service::Routes;

/// No wait in these tests is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A store with its doors on free ports of the loopback interface.
pub(crate) struct Server {
    pub(crate) store: TraceStore,
    pub(crate) grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(ephemeral(), CollectorConfig::default()).await
    }

    pub(crate) async fn with(config: Config, collector: CollectorConfig) -> Self {
        let store = TraceStore::open(config).expect("the store opens");
        let grpc_door = listen().await;
        let http_door = listen().await;
        let http_api = listen().await;
        let server = Self {
            store: store.clone(),
            grpc: grpc_door.local_addr().expect("bound"),
            otlp_http: http_door.local_addr().expect("bound"),
            http: http_api.local_addr().expect("bound"),
        };
        let service = grpc::service(store.ingest(), collector.clone());
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(grpc_door);
        // All three end with the test's runtime.
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_routes(rpc::add_to(
                    Routes::new(service),
                    &store,
                    &ApiConfig::default(),
                ))
                .serve_with_incoming(incoming),
        );
        let router = http::router(store.ingest(), collector);
        tokio::spawn(axum::serve(http_door, router).into_future());
        let router = api::router(store, ApiConfig::default());
        tokio::spawn(axum::serve(http_api, router).into_future());
        server
    }

    pub(crate) async fn flush(&self) {
        self.store.flush(PATIENCE).await.expect("indexed in time");
    }

    /// Status and JSON body of a GET on the API.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.get_text(path).await;
        let json = serde_json::from_str(&answer.body)
            .unwrap_or_else(|e| panic!("{path}: {e}: {}", answer.body));
        (answer.status, json)
    }

    pub(crate) async fn get_text(&self, path: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", self.http);
        exchange(self.http, &head, b"").await
    }

    /// Status and JSON body of a POST of JSON to the API.
    pub(crate) async fn post_json(&self, path: &str, body: &str) -> (u16, Value) {
        let answer = self.ask("POST", path, body).await;
        let json = serde_json::from_str(&answer.body)
            .unwrap_or_else(|e| panic!("{path}: {e}: {}", answer.body));
        (answer.status, json)
    }

    /// A request to the API.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n",
            self.http
        );
        exchange(self.http, &head, body.as_bytes()).await
    }

    /// POST to the OTLP/HTTP door; `headers` are whole lines.
    pub(crate) async fn post(&self, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("POST /v1/traces HTTP/1.1\r\nHost: {}\r\n", self.otlp_http);
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        exchange(self.otlp_http, &head, body).await
    }

    /// Span ids of a trace as the API shows them, sorted.
    pub(crate) async fn span_ids(&self, trace: &str) -> Vec<String> {
        let (status, json) = self.get(&format!("/api/traces/{trace}")).await;
        if status == 404 {
            return Vec::new();
        }
        let spans = json["data"][0]["spans"].as_array().expect("spans");
        let mut ids: Vec<_> = spans
            .iter()
            .map(|span| span["spanID"].as_str().expect("an id").to_owned())
            .collect();
        ids.sort();
        ids
    }
}

pub(crate) fn ephemeral() -> Config {
    Config {
        ephemeral: true,
        ..Config::default()
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// One HTTP/1.1 request and its answer, byte by byte as any client would send it.
pub(crate) async fn exchange(to: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let work = async {
        let mut stream = TcpStream::connect(to).await.expect("connects");
        let head = format!(
            "{head}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .await
            .expect("head is sent");
        // A door may answer before it has read all of a body that it refuses.
        _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, work)
        .await
        .expect("an answer in time");
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(&answer)));
    let head = String::from_utf8(answer[..end].to_vec()).expect("a text head");
    let bytes = answer[end + 4..].to_vec();
    Answer {
        status: head[9..12].parse().expect("a status"),
        body: String::from_utf8_lossy(&bytes).into_owned(),
        head,
        bytes,
    }
}

pub(crate) fn string(key: &str, text: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(text.to_owned()))
}

pub(crate) fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A span of trace `[trace; 16]` that starts now.
pub(crate) fn span(trace: u8, id: u64, parent: u64) -> Span {
    let start = now_ns();
    Span {
        trace_id: vec![trace; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 {
            Vec::new()
        } else {
            parent.to_be_bytes().to_vec()
        },
        name: format!("span {id}"),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5_000_000,
        ..Span::default()
    }
}

pub(crate) fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![string("service.name", service)],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            schema_url: String::new(),
        }],
    }
}

pub(crate) fn encode(request: &ExportTraceServiceRequest) -> Bytes {
    request.encode_to_vec().into()
}

pub(crate) fn now_ns() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos() as u64
}

/// 32 hex digits of trace `[trace; 16]`.
pub(crate) fn trace_hex(trace: u8) -> String {
    format!("{trace:02x}").repeat(16)
}
