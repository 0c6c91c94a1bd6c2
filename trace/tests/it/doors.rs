//! Each door with each encoding, good and bad.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use loom_trace::CollectorConfig;
use loom_trace::spool::SpoolConfig;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::support::{Server, encode, ephemeral, request, span, trace_hex};

const PROTOBUF: &str = "Content-Type: application/x-protobuf";
const JSON: &str = "Content-Type: application/json";
const GZIP: &str = "Content-Encoding: gzip";

async fn client(server: &Server) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(format!("http://{}", server.grpc))
        .await
        .expect("connects")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

#[tokio::test]
async fn grpc_plain_and_gzip() {
    let server = Server::start().await;
    let mut plain = client(&server).await;
    let answer = plain
        .export(request("a", vec![span(1, 1, 0)]))
        .await
        .expect("taken");
    assert_eq!(answer.into_inner(), ExportTraceServiceResponse::default());
    let mut zipped = client(&server)
        .await
        .send_compressed(CompressionEncoding::Gzip);
    zipped
        .export(request("b", vec![span(1, 2, 1)]))
        .await
        .expect("taken");

    server.flush().await;
    let ids = server.span_ids(&trace_hex(1)).await;
    assert_eq!(ids, ["0000000000000001", "0000000000000002"]);
}

#[tokio::test]
async fn grpc_takes_the_good_spans_and_reports_the_bad_ones() {
    let server = Server::start().await;
    let mut zero = span(0, 2, 0);
    zero.trace_id = vec![0; 16];
    let mut short = span(1, 3, 0);
    short.span_id.pop();
    let all = request("a", vec![span(1, 1, 0), zero, short]);
    let answer = client(&server)
        .await
        .export(all)
        .await
        .expect("taken in part");
    let partial = answer.into_inner().partial_success.expect("a report");
    assert_eq!(partial.rejected_spans, 2);
    assert!(
        partial.error_message.contains("1 with a trace id"),
        "{}",
        partial.error_message
    );

    server.flush().await;
    assert_eq!(server.span_ids(&trace_hex(1)).await.len(), 1);
    let counters = server.store.counters();
    let counted = (
        counters.accepted,
        counters.rejected_trace_id,
        counters.rejected_span_id,
    );
    assert_eq!(counted, (1, 1, 1));
}

#[tokio::test]
async fn grpc_with_a_full_spool_says_when_to_come_again() {
    let mut config = ephemeral();
    config.spool = SpoolConfig {
        max_bytes: 300,
        ..SpoolConfig::default()
    };
    let server = Server::with(config, CollectorConfig::default()).await;
    let mut client = client(&server).await;
    let one = || request("a", vec![span(1, 1, 0)]);
    // The segment in use is not deleted, so the spool fills up even while the indexer follows.
    let mut refused = None;
    for _ in 0..10 {
        if let Err(status) = client.export(one()).await {
            refused = Some(status);
            break;
        }
    }
    let status = refused.expect("300 bytes do not hold ten requests");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert!(
        details
            .retry_info()
            .is_some_and(|info| info.retry_delay.is_some())
    );
    assert_eq!(server.store.counters().refused_spool_full, 1);

    let answer = server.post(&[PROTOBUF], &encode(&one())).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn grpc_refuses_what_is_too_large_once_and_for_all() {
    let collector = CollectorConfig {
        max_request_bytes: 1_000,
        ..CollectorConfig::default()
    };
    let server = Server::with(ephemeral(), collector).await;
    let mut large = span(1, 1, 0);
    large.name = "x".repeat(2_000);
    let large = request("a", vec![large]);
    let status = client(&server)
        .await
        .export(large.clone())
        .await
        .expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.get_error_details().retry_info().is_none(),
        "must not be sent again"
    );
    // Compressed it is small, unpacked it is not.
    let mut zipped = client(&server)
        .await
        .send_compressed(CompressionEncoding::Gzip);
    let status = zipped.export(large).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(server.store.counters().accepted, 0);
}

/// Any bytes where the request's first field should be a message.
#[derive(Clone, PartialEq, prost::Message)]
struct Nonsense {
    #[prost(bytes = "vec", tag = "1")]
    inside: Vec<u8>,
}

#[tokio::test]
async fn grpc_refuses_nonsense_and_other_methods_and_goes_on() {
    let server = Server::start().await;
    let channel = Channel::from_shared(format!("http://{}", server.grpc)).expect("an address");
    let mut raw = tonic::client::Grpc::new(channel.connect().await.expect("connects"));
    let service = "/opentelemetry.proto.collector.trace.v1.TraceService";
    for (method, code) in [
        ("Export", Code::InvalidArgument),
        ("Import", Code::Unimplemented),
    ] {
        raw.ready().await.expect("ready");
        let request = tonic::Request::new(Nonsense { inside: vec![0xff] });
        let path = format!("{service}/{method}").parse().expect("a path");
        let codec = tonic_prost::ProstCodec::<Nonsense, Nonsense>::default();
        let status = raw.unary(request, path, codec).await.expect_err("refused");
        assert_eq!(status.code(), code, "{status}");
    }
    assert_eq!(server.store.counters().malformed_requests, 1);
    let good = request("a", vec![span(1, 1, 0)]);
    client(&server).await.export(good).await.expect("taken");
}

#[tokio::test]
async fn http_takes_protobuf_and_json_plain_and_gzip() {
    let server = Server::start().await;
    let protobuf = |id| encode(&request("a", vec![span(1, id, 0)])).to_vec();
    let json = |id: u64| {
        serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": trace_hex(1), "spanId": format!("{id:016x}"), "name": "from json",
        }]}]}]})
        .to_string()
        .into_bytes()
    };
    let cases = [
        (vec![PROTOBUF], protobuf(1)),
        (vec![PROTOBUF, GZIP], gzip(&protobuf(2))),
        (vec![JSON], json(3)),
        (
            vec!["content-type: Application/JSON; charset=utf-8", GZIP],
            gzip(&json(4)),
        ),
    ];
    for (headers, body) in cases {
        let answer = server.post(&headers, &body).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.body);
        let expected = if headers[0] == PROTOBUF {
            "application/x-protobuf"
        } else {
            "application/json"
        };
        assert_eq!(answer.header("content-type"), Some(expected));
        assert_eq!(answer.body, if headers[0] == PROTOBUF { "" } else { "{}" });
    }
    server.flush().await;
    assert_eq!(server.span_ids(&trace_hex(1)).await.len(), 4);
}

#[tokio::test]
async fn http_reports_bad_spans_in_both_encodings() {
    let server = Server::start().await;
    let mut bad = span(1, 1, 0);
    bad.span_id = vec![0; 8];
    let answer = server
        .post(&[PROTOBUF], &encode(&request("a", vec![bad])))
        .await;
    let decoded = ExportTraceServiceResponse::decode(answer.bytes.as_slice()).expect("protobuf");
    assert_eq!(decoded.partial_success.expect("a report").rejected_spans, 1);

    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"","spanId":"0000000000000001"}]}]}]}"#;
    let answer = server.post(&[JSON], json.as_bytes()).await;
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["partialSuccess"]["rejectedSpans"], "1");
}

#[tokio::test]
async fn http_refuses_nonsense_and_goes_on() {
    let collector = CollectorConfig {
        max_request_bytes: 100_000,
        ..CollectorConfig::default()
    };
    let server = Server::with(ephemeral(), collector).await;
    let oversized = vec![0; 100_001];
    let bomb = gzip(&vec![0; 1_000_000]);
    let cases: [(&[&str], &[u8], u16); 9] = [
        (&[PROTOBUF], b"\xff\xff\xff", 400),
        (&[JSON], b"{", 400),
        (&[JSON], b"[]", 400),
        (&[PROTOBUF, GZIP], b"no gzip", 400),
        (&[PROTOBUF, GZIP], &bomb, 413),
        (&[PROTOBUF], &oversized, 413),
        (&[PROTOBUF, "Content-Encoding: br"], b"", 415),
        (&["Content-Type: text/plain"], b"", 415),
        (&[], b"", 415),
    ];
    for (headers, body, status) in cases {
        let answer = server.post(headers, body).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
    }
    let answer = server
        .post(&[PROTOBUF], &encode(&request("a", vec![span(1, 1, 0)])))
        .await;
    assert_eq!(answer.status, 200);
    server.flush().await;
    assert_eq!(server.store.counters().stored, 1);
}

#[tokio::test]
async fn http_other_paths_and_methods() {
    let server = Server::start().await;
    let head = format!("GET /v1/traces HTTP/1.1\r\nHost: {}\r\n", server.otlp_http);
    let answer = crate::support::exchange(server.otlp_http, &head, b"").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    let head = format!("POST /v1/logs HTTP/1.1\r\nHost: {}\r\n", server.otlp_http);
    let answer = crate::support::exchange(server.otlp_http, &head, b"").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn an_empty_request_is_fine() {
    let server = Server::start().await;
    client(&server)
        .await
        .export(ExportTraceServiceRequest::default())
        .await
        .expect("nothing is wrong with nothing");
    let answer = server.post(&[JSON], b"{}").await;
    assert_eq!(answer.status, 200);
    server.flush().await;
    assert_eq!(server.store.counters().stored, 0);
}

#[tokio::test]
async fn bytes_of_the_python_sdk() {
    let server = Server::start().await;
    let bytes = include_bytes!("../data/python_sdk.bin");
    let answer = server.post(&[PROTOBUF], bytes).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    server.flush().await;

    let (_, services) = server.get("/api/services").await;
    assert_eq!(services["data"], serde_json::json!(["agent-processor"]));
    let (_, found) = server
        .get("/api/traces?service=agent-processor&start=1")
        .await;
    let spans = found["data"][0]["spans"].as_array().expect("spans");
    let names: Vec<_> = spans
        .iter()
        .map(|s| s["operationName"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["sensor.emit_data", "agent.on_event", "chat gpt-4o"]);
    let llm = &spans[2];
    let tag = |key: &str| {
        let tags = llm["tags"].as_array().expect("tags");
        tags.iter()
            .find(|t| t["key"] == key)
            .map(|t| (t["type"].clone(), t["value"].clone()))
    };
    assert_eq!(
        tag("gen_ai.provider.name"),
        Some(("string".into(), "openai".into()))
    );
    assert_eq!(tag("gen_ai.system"), None);
    assert_eq!(
        tag("gen_ai.usage.input_tokens"),
        Some(("int64".into(), 12.into()))
    );
    assert_eq!(tag("error"), Some(("bool".into(), true.into())));
    assert_eq!(llm["logs"][0]["fields"][0]["value"], "exception");
    assert_eq!(spans[1]["references"][0]["refType"], "CHILD_OF");
    let (_, check) = server
        .get(&format!(
            "/api/v1/traces/{}/check",
            spans[0]["traceID"].as_str().expect("an id")
        ))
        .await;
    assert_eq!(check["ok"], true, "{check}");
}
