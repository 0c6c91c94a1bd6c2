//! An OTLP receiver that has nothing of Loom in it: the service that `opentelemetry-proto` generates, on tonic.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A receiver; it ends when it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: Received,
    task: JoinHandle<()>,
}

/// A span with the service that made it.
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    /// `service.name`.
    pub service: String,
    /// As it came.
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
struct Received(Arc<Mutex<Vec<ReceivedSpan>>>);

impl Collector {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Received::default();
        let service = TraceServiceServer::new(received.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(64 << 20);
        let task = tokio::spawn(async move {
            let incoming = TcpIncoming::from(listener);
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .expect("the collector serves");
        });
        Self {
            address,
            received,
            task,
        }
    }

    /// `http://host:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far, in the order of their arrival.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.received
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ReceivedSpan {
    /// An attribute as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        let found = self.span.attributes.iter().find(|pair| pair.key == key)?;
        text(found.value.as_ref())
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.into_inner().resource_spans {
            let attributes = resource
                .resource
                .map(|resource| resource.attributes)
                .unwrap_or_default();
            let service = service_name(&attributes);
            let spans = resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            received.extend(spans.map(|span| ReceivedSpan {
                service: service.clone(),
                span,
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn service_name(attributes: &[KeyValue]) -> String {
    let name = attributes.iter().find(|pair| pair.key == "service.name");
    name.and_then(|pair| text(pair.value.as_ref()))
        .unwrap_or_default()
}

fn text(value: Option<&AnyValue>) -> Option<String> {
    match value?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        any_value::Value::BoolValue(truth) => Some(truth.to_string()),
        other => Some(format!("{other:?}")),
    }
}
