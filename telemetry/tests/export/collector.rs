//! A collector that answers as it is told, over gRPC and over HTTP.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use loom_telemetry::export::Protocol;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Status};

/// One answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Accept,
    /// Partial success.
    Reject(i64),
    /// A status of gRPC or of HTTP, whichever is asked for.
    Refuse(Code, StatusCode),
    /// The status that asks for another attempt, and when.
    Throttle(std::time::Duration),
    /// The connection stays open and nothing comes.
    Silence,
}

/// One request.
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) names: Vec<String>,
}

/// A handle; clones share what they have seen. Answers [`Reply::Accept`] when it was told nothing.
#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Inner>);

#[derive(Default)]
struct Inner {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
}

impl Collector {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let collector = Self::default();
        collector.0.replies.lock().extend(replies);
        collector
    }

    pub(crate) fn serve(&self, runtime: &Runtime, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::Grpc => self.serve_grpc(runtime),
            Protocol::HttpProtobuf => self.serve_http(runtime),
        }
    }

    pub(crate) fn serve_grpc(&self, runtime: &Runtime) -> SocketAddr {
        let (listener, address) = listen(runtime);
        self.serve_grpc_on(runtime, listener);
        address
    }

    pub(crate) fn serve_grpc_on(&self, runtime: &Runtime, listener: TcpListener) {
        let server = Server::builder().add_service(self.service());
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    }

    pub(crate) fn serve_grpc_by_tls(
        &self,
        runtime: &Runtime,
        listener: TcpListener,
        tls: ServerTlsConfig,
    ) {
        let builder = Server::builder().tls_config(tls);
        let server = builder.expect("a certificate").add_service(self.service());
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    }

    fn service(&self) -> TraceServiceServer<Self> {
        TraceServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip)
    }

    fn serve_http(&self, runtime: &Runtime) -> SocketAddr {
        let (listener, address) = listen(runtime);
        let collector = self.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(collector.clone().serve_http_on(stream));
            }
        });
        address
    }

    pub(crate) async fn serve_http_on(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = hyper::service::service_fn(|request| self.answer_http(request));
        // The client leaves when it likes.
        let _ended = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    /// Names of all spans that came, as often as they came.
    pub(crate) fn names(&self) -> Vec<String> {
        let received = self.0.received.lock();
        let names = received.iter().flat_map(|request| request.names.clone());
        names.collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.received.lock().len()
    }

    pub(crate) fn last(&self) -> Received {
        self.0.received.lock().pop().expect("a request")
    }

    fn next(&self, path: &str, headers: HeaderMap, request: ExportTraceServiceRequest) -> Reply {
        let resources = request.resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        self.0.received.lock().push(Received {
            path: path.to_owned(),
            headers,
            names: spans.map(|span| span.name).collect(),
        });
        let reply = self.0.replies.lock().pop_front();
        reply.unwrap_or(Reply::Accept)
    }

    async fn answer_http(
        &self,
        request: http::Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let mut body = body.collect().await.expect("a whole body").to_bytes();
        if head.headers.get(CONTENT_ENCODING).is_some() {
            body = gunzip(&body);
        }
        let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
        let mut response = Response::new(Full::default());
        match self.next(head.uri.path(), head.headers, request) {
            Reply::Accept => {}
            Reply::Reject(spans) => {
                *response.body_mut() = Full::from(partial(spans).encode_to_vec());
            }
            Reply::Refuse(_, status) => *response.status_mut() = status,
            Reply::Throttle(pause) => {
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, pause.as_secs().into());
            }
            Reply::Silence => std::future::pending().await,
        }
        Ok(response)
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        match self.next("", metadata.into_headers(), request) {
            Reply::Accept => Ok(tonic::Response::new(ExportTraceServiceResponse::default())),
            Reply::Reject(spans) => Ok(tonic::Response::new(partial(spans))),
            Reply::Refuse(code, _) => Err(Status::new(code, "told to refuse")),
            Reply::Throttle(pause) => {
                use tonic_types::{ErrorDetails, StatusExt};
                let details = ErrorDetails::with_retry_info(Some(pause));
                let code = Code::ResourceExhausted;
                Err(Status::with_error_details(code, "told to wait", details))
            }
            Reply::Silence => std::future::pending().await,
        }
    }
}

pub(crate) fn listen(runtime: &Runtime) -> (TcpListener, SocketAddr) {
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn partial(rejected_spans: i64) -> ExportTraceServiceResponse {
    ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "told to reject".to_owned(),
        }),
    }
}

fn gunzip(body: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(body);
    std::io::Read::read_to_end(&mut decoder, &mut plain).expect("gzip");
    plain.into()
}
