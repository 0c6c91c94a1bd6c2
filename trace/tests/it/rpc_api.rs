//! Jaeger's services over gRPC, called by tonic's client over a socket.

use std::collections::HashMap;

use loom_trace::api::rpc::proto::jaeger::{api_v3, expression, storage::v2};
use opentelemetry_proto::tonic::trace::v1::{
    Span, Status as SpanStatus, TracesData, span::SpanKind,
};
use prost::Message;
use prost_types::{Duration, Timestamp};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::support::{Server, encode, request, span, string};

/// A store, and a client of its gRPC door.
struct Client {
    server: Server,
    channel: Channel,
}

impl Client {
    /// Trace 1 is of two services, 2 has an error and an orphan.
    async fn start() -> Self {
        let server = Server::start().await;
        let mut root = span(1, 1, 0);
        root.kind = SpanKind::Producer as i32;
        root.attributes = vec![string("topic", "sensor.data")];
        let child = span(1, 2, 1);
        let mut failed = span(2, 3, 99);
        failed.end_time_unix_nano = failed.start_time_unix_nano + 2_000_000_000;
        failed.status = Some(SpanStatus {
            code: 2,
            message: "bad reading".to_owned(),
        });
        for request in [
            request("sensor", vec![root]),
            request("agents", vec![child]),
            request("agents", vec![failed]),
        ] {
            let ingest = server.store.ingest();
            ingest.append(encode(&request)).expect("taken");
        }
        server.flush().await;
        let channel = Channel::from_shared(format!("http://{}", server.grpc)).expect("an address");
        let channel = channel.connect().await.expect("connects");
        Self { server, channel }
    }

    async fn unary<Q, A>(&self, path: &'static str, message: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.expect("ready");
        let path = PathAndQuery::from_static(path);
        let answer = grpc.unary(Request::new(message), path, ProstCodec::default());
        answer.await.map(tonic::Response::into_inner)
    }

    /// All messages of a stream.
    async fn stream<Q, A>(&self, path: &'static str, message: Q) -> Result<Vec<A>, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.expect("ready");
        let path = PathAndQuery::from_static(path);
        let answer = grpc.server_streaming(Request::new(message), path, ProstCodec::default());
        let mut stream = answer.await?.into_inner();
        let mut messages = Vec::new();
        while let Some(message) = stream.message().await? {
            messages.push(message);
        }
        Ok(messages)
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 0 }
}

/// Any time that a test may run in.
fn any_time() -> (Option<Timestamp>, Option<Timestamp>) {
    (Some(at(1_577_836_800)), Some(at(4_102_444_800)))
}

fn query() -> api_v3::TraceQueryParameters {
    let (start_time_min, start_time_max) = any_time();
    api_v3::TraceQueryParameters {
        start_time_min,
        start_time_max,
        ..api_v3::TraceQueryParameters::default()
    }
}

fn spans(messages: &[TracesData]) -> Vec<&Span> {
    let groups = messages.iter().flat_map(|data| &data.resource_spans);
    let scopes = groups.flat_map(|group| &group.scope_spans);
    scopes.flat_map(|scope| &scope.spans).collect()
}

const GET_TRACE: &str = "/jaeger.api_v3.QueryService/GetTrace";
const FIND_TRACES: &str = "/jaeger.api_v3.QueryService/FindTraces";
const FIND_SUMMARIES: &str = "/jaeger.api_v3.QueryService/FindTraceSummaries";

#[tokio::test]
async fn names_and_dependencies() {
    let client = Client::start().await;
    let services: api_v3::GetServicesResponse = client
        .unary(
            "/jaeger.api_v3.QueryService/GetServices",
            api_v3::GetServicesRequest {},
        )
        .await
        .expect("answered");
    assert_eq!(services.services, ["agents", "sensor"]);
    let operations = async |service: &str, span_kind: &str| {
        let request = api_v3::GetOperationsRequest {
            service: service.to_owned(),
            span_kind: span_kind.to_owned(),
        };
        let path = "/jaeger.api_v3.QueryService/GetOperations";
        let answer = client.unary::<_, api_v3::GetOperationsResponse>(path, request);
        answer.await.map(|answer| answer.operations)
    };
    let named = |name: &str, kind: &str| api_v3::Operation {
        name: name.to_owned(),
        span_kind: kind.to_owned(),
    };
    let sensor = [named("span 1", "producer")];
    assert_eq!(operations("sensor", "").await.expect("answered"), sensor);
    // No span of these says its kind: over HTTP it is `internal`, here it stays empty, as in Jaeger.
    let agents = [named("span 2", ""), named("span 3", "")];
    assert_eq!(operations("agents", "").await.expect("answered"), agents);
    assert_eq!(
        operations("agents", "internal").await.expect("answered"),
        []
    );
    for (service, kind) in [("", ""), ("agents", "boss")] {
        let refused = operations(service, kind).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }

    let path = "/jaeger.api_v3.QueryService/GetDependencies";
    let (start_time, end_time) = any_time();
    let request = api_v3::GetDependenciesRequest {
        start_time,
        end_time,
    };
    let answer: api_v3::DependenciesResponse = client.unary(path, request).await.expect("answered");
    let edge = api_v3::Dependency {
        parent: "sensor".to_owned(),
        child: "agents".to_owned(),
        call_count: 1,
    };
    assert_eq!(answer.dependencies, [edge]);
    for (start_time, end_time) in [(None, end_time), (start_time, None), (end_time, start_time)] {
        let request = api_v3::GetDependenciesRequest {
            start_time,
            end_time,
        };
        let refused = client.unary::<_, api_v3::DependenciesResponse>(path, request);
        let refused = refused.await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn one_trace() {
    let client = Client::start().await;
    let get = async |trace_id: &str| {
        let request = api_v3::GetTraceRequest {
            trace_id: trace_id.to_owned(),
            ..api_v3::GetTraceRequest::default()
        };
        client.stream::<_, TracesData>(GET_TRACE, request).await
    };
    let messages = get(&"01".repeat(16)).await.expect("found");
    assert_eq!(spans(&messages).len(), 2);
    let missing = get("abc").await.expect_err("there is none");
    assert_eq!(missing.code(), Code::NotFound);
    for bad in ["", "xyz", "0"] {
        let refused = get(bad).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad:?}");
    }
}

#[tokio::test]
async fn searches() {
    let client = Client::start().await;
    let found = async |change: &dyn Fn(&mut api_v3::TraceQueryParameters)| {
        let mut query = query();
        change(&mut query);
        let request = api_v3::FindTracesRequest {
            query: Some(query.clone()),
        };
        let messages = client.stream::<_, TracesData>(FIND_TRACES, request).await?;
        let mut traces: Vec<_> = spans(&messages)
            .iter()
            .map(|span| span.trace_id[0])
            .collect();
        traces.dedup();
        let request = api_v3::FindTraceSummariesRequest { query: Some(query) };
        let summaries = client
            .stream::<_, api_v3::FindTraceSummariesResponse>(FIND_SUMMARIES, request)
            .await?;
        let summaries = summaries.iter().flat_map(|message| &message.summaries);
        let ids: Vec<_> = summaries.map(|summary| summary.trace_id.clone()).collect();
        let expected: Vec<_> = traces
            .iter()
            .map(|trace| format!("{trace:02x}").repeat(16))
            .collect();
        assert_eq!(ids, expected);
        Ok::<_, Status>(traces)
    };
    let second = |seconds| Some(Duration { seconds, nanos: 0 });
    assert_eq!(found(&|_| {}).await.expect("found"), [2, 1]);
    assert_eq!(
        found(&|query| query.search_depth = 1).await.expect("found"),
        [2]
    );
    assert_eq!(
        found(&|query| query.search_depth = -1)
            .await
            .expect("found"),
        [2, 1]
    );
    let found_sensor = found(&|query| query.service_name = "sensor".to_owned()).await;
    assert_eq!(found_sensor.expect("found"), [1]);
    let long = found(&|query| query.duration_min = second(1)).await;
    assert_eq!(long.expect("found"), [2]);
    // Some clients send an empty length where they mean none.
    let any = found(&|query| query.duration_max = second(0)).await;
    assert_eq!(any.expect("found"), [2, 1]);
    let failed = found(&|query| {
        query.attributes = HashMap::from([("error".to_owned(), "true".to_owned())]);
    });
    assert_eq!(failed.await.expect("found"), [2]);
    let nothing = found(&|query| query.operation_name = "none".to_owned()).await;
    assert_eq!(nothing.expect("no error"), [0; 0]);

    let refused: [&dyn Fn(&mut api_v3::TraceQueryParameters); 5] = [
        &|query| query.start_time_min = None,
        &|query| query.start_time_max = None,
        &|query| query.start_time_min = query.start_time_max,
        &|query| {
            query.duration_min = second(2);
            query.duration_max = second(1);
        },
        &|query| query.filter = Some(expression::v1::Call::default()),
    ];
    for change in refused {
        let error = found(change).await.expect_err("refused");
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    let request = api_v3::FindTracesRequest { query: None };
    let error = client.stream::<_, TracesData>(FIND_TRACES, request).await;
    assert_eq!(error.expect_err("refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_large_trace_comes_in_messages_that_every_client_takes() {
    let client = Client::start().await;
    let large = |id: u64| {
        let mut span = span(7, id, 0);
        span.start_time_unix_nano += id;
        span.attributes = vec![string("text", &"x".repeat(10_000))];
        span
    };
    for batch in 0..10 {
        let spans = (1..=100).map(|id| large(batch * 100 + id)).collect();
        let request = encode(&request("large", spans));
        client.server.store.ingest().append(request).expect("taken");
    }
    client.server.flush().await;
    let request = api_v3::GetTraceRequest {
        trace_id: "07".repeat(16),
        ..api_v3::GetTraceRequest::default()
    };
    let messages = client.stream::<_, TracesData>(GET_TRACE, request).await;
    let messages = messages.expect("found");
    assert!(messages.len() > 30, "{} messages of 10 MB", messages.len());
    for message in &messages {
        assert!(message.encoded_len() < 300 << 10);
        assert!(!spans(std::slice::from_ref(message)).is_empty());
    }
    assert_eq!(spans(&messages).len(), 1_000);
}

#[tokio::test]
async fn a_jaeger_whose_storage_this_is_knows_names() {
    let client = Client::start().await;
    let path = "/jaeger.storage.v2.Capabilities/GetCapabilities";
    let answer: v2::GetCapabilitiesResponse = client
        .unary(path, v2::GetCapabilitiesRequest {})
        .await
        .expect("answered");
    let search = answer.search.expect("said");
    assert!(search.without_service_name && search.same_span_conjunction);
    assert_eq!(search.filter, None);

    let services: v2::GetServicesResponse = client
        .unary(
            "/jaeger.storage.v2.TraceReader/GetServices",
            v2::GetServicesRequest {},
        )
        .await
        .expect("answered");
    assert_eq!(services.services, ["agents", "sensor"]);
    let request = v2::GetOperationsRequest {
        service: "sensor".to_owned(),
        span_kind: "producer".to_owned(),
    };
    let operations: v2::GetOperationsResponse = client
        .unary("/jaeger.storage.v2.TraceReader/GetOperations", request)
        .await
        .expect("answered");
    assert_eq!(operations.operations[0].name, "span 1");

    let (start_time, end_time) = any_time();
    let request = v2::GetDependenciesRequest {
        start_time,
        end_time,
    };
    let answer: v2::GetDependenciesResponse = client
        .unary(
            "/jaeger.storage.v2.DependencyReader/GetDependencies",
            request,
        )
        .await
        .expect("answered");
    assert_eq!(answer.dependencies.len(), 1);
}

/// A time that was never set, as Go sends it.
fn unset() -> Timestamp {
    at(-62_135_596_800)
}

#[tokio::test]
async fn a_jaeger_whose_storage_this_is_gets_traces() {
    let client = Client::start().await;
    // One of these ids is not there.
    let wanted = |trace: u8| v2::GetTraceParams {
        trace_id: vec![trace; 16],
        start_time: Some(unset()),
        end_time: Some(unset()),
    };
    let get = "/jaeger.storage.v2.TraceReader/GetTraces";
    let request = v2::GetTracesRequest {
        query: [2, 9, 1].map(wanted).to_vec(),
    };
    let messages: Vec<TracesData> = client.stream(get, request).await.expect("answered");
    let traces: Vec<_> = messages
        .iter()
        .map(|message| {
            let spans = spans(std::slice::from_ref(message));
            assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id));
            spans[0].trace_id[0]
        })
        .collect();
    assert_eq!(traces, [2, 1], "each in messages of its own");
    let request = v2::GetTracesRequest {
        query: vec![v2::GetTraceParams {
            trace_id: vec![1; 8],
            ..v2::GetTraceParams::default()
        }],
    };
    let refused = client.stream::<_, TracesData>(get, request).await;
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_jaeger_whose_storage_this_is_searches() {
    let client = Client::start().await;
    let topic = v2::KeyValue {
        key: "topic".to_owned(),
        value: Some(v2::AnyValue {
            value: Some(v2::any_value::Value::StringValue("sensor.data".to_owned())),
        }),
    };
    let query = v2::TraceQueryParameters {
        attributes: vec![topic],
        start_time_min: Some(unset()),
        start_time_max: Some(unset()),
        ..v2::TraceQueryParameters::default()
    };
    let request = v2::FindTracesRequest {
        query: Some(query.clone()),
    };
    let messages: Vec<TracesData> = client
        .stream("/jaeger.storage.v2.TraceReader/FindTraces", request)
        .await
        .expect("answered");
    assert_eq!(spans(&messages).len(), 2);
    let request = v2::FindTraceIDsRequest {
        query: Some(query.clone()),
    };
    let ids: v2::FindTraceIDsResponse = client
        .unary("/jaeger.storage.v2.TraceReader/FindTraceIDs", request)
        .await
        .expect("answered");
    let ids: Vec<_> = ids
        .trace_ids
        .into_iter()
        .map(|found| found.trace_id)
        .collect();
    assert_eq!(ids, [vec![1; 16]]);
    let request = v2::FindTraceSummariesRequest { query: Some(query) };
    let summaries: Vec<v2::FindTraceSummariesResponse> = client
        .stream("/jaeger.storage.v2.TraceReader/FindTraceSummaries", request)
        .await
        .expect("answered");
    let summary = &summaries[0].summaries[0];
    assert_eq!(summary.trace_id, [1; 16]);
    let services: Vec<_> = summary
        .services
        .iter()
        .map(|s| (s.name.as_str(), s.span_count))
        .collect();
    assert_eq!(services, [("agents", 1), ("sensor", 1)]);
}
