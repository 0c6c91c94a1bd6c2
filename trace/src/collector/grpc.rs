//! OTLP/gRPC: `opentelemetry.proto.collector.trace.v1.TraceService/Export` on raw bytes.
//!
//! Written by hand beside tonic's generated services, because a generated one would decode each request with prost
//! before anybody could look at it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::body::Body;
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EnabledCompressionEncodings,
    EncodeBuf, Encoder,
};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{accept, response};
use crate::config::CollectorConfig;
use crate::error::{IngestError, SpoolError};
use crate::trace_store::Ingest;

/// Read and decompress in steps of this size; requests are usually larger than tonic's default of 8 KiB.
const BUFFER: usize = 64 << 10;

/// The service to mount on a tonic listener. Takes gzip.
pub fn service(ingest: Ingest, config: CollectorConfig) -> TraceService {
    TraceService { ingest, config }
}

/// OTLP/gRPC receiver for traces.
#[derive(Debug, Clone)]
pub struct TraceService {
    ingest: Ingest,
    config: CollectorConfig,
}

impl NamedService for TraceService {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<B> tonic::codegen::Service<http::Request<B>> for TraceService
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT {
                return Ok(
                    Status::unimplemented("the trace service has one method, Export").into_http(),
                );
            }
            let mut gzip = EnabledCompressionEncodings::default();
            gzip.enable(CompressionEncoding::Gzip);
            let limit = service.config.max_request_bytes;
            let mut grpc = Grpc::new(RawCodec)
                .apply_compression_config(gzip, EnabledCompressionEncodings::default())
                .apply_max_message_size_config(Some(limit), None);
            let answer = grpc.unary(service, request).await;
            Ok(no_retry_of_oversized(answer))
        })
    }
}

impl UnaryService<Bytes> for TraceService {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            match accept(&service.ingest, request.into_inner()).await {
                Ok(accepted) => Ok(Response::new(response(&accepted).encode_to_vec().into())),
                Err(error) => Err(status(&error, &service.config)),
            }
        })
    }
}

/// The statuses that the OTLP specification asks for: what may be retried, and after what time.
fn status(error: &IngestError, config: &CollectorConfig) -> Status {
    let message = error.to_string();
    match error {
        IngestError::Malformed(_) => Status::invalid_argument(message),
        IngestError::Spool(SpoolError::TooLarge { .. }) => Status::resource_exhausted(message),
        IngestError::Spool(SpoolError::Full { .. }) => {
            Status::with_error_details(Code::ResourceExhausted, message, retry_info(config))
        }
        IngestError::Spool(SpoolError::Io { .. }) => {
            // The path is nobody's business outside.
            Status::with_error_details(
                Code::Unavailable,
                "spans cannot be written to disk, send again later",
                retry_info(config),
            )
        }
        IngestError::Closed => Status::unavailable(message),
    }
}

fn retry_info(config: &CollectorConfig) -> ErrorDetails {
    ErrorDetails::with_retry_info(Some(Duration::from_millis(config.retry_after_ms)))
}

/// tonic reports a message above the limit as `OUT_OF_RANGE`, which OTLP clients take as a reason to send the same
/// message again. `RESOURCE_EXHAUSTED` without retry information is the status that says "do not".
fn no_retry_of_oversized(mut answer: http::Response<Body>) -> http::Response<Body> {
    const STATUS: &str = "grpc-status";
    let out_of_range = http::HeaderValue::from(Code::OutOfRange as i32);
    if answer.headers().get(STATUS) == Some(&out_of_range) {
        answer.headers_mut().insert(
            STATUS,
            http::HeaderValue::from(Code::ResourceExhausted as i32),
        );
    }
    answer
}

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BUFFER)
    }
}
