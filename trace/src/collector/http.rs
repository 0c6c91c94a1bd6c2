//! OTLP/HTTP: `POST /v1/traces`, protobuf or JSON, plain or gzip.

use std::io::Read;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost::Message;

use super::{accept, response};
use crate::config::CollectorConfig;
use crate::error::{DecodeError, IngestError, SpoolError};
use crate::otlp::json;
use crate::trace_store::{Accepted, Ingest};

/// The router to serve on the OTLP/HTTP listener.
pub fn router(ingest: Ingest, config: CollectorConfig) -> axum::Router {
    axum::Router::new()
        .route("/v1/traces", post(export).fallback(not_post))
        .fallback(not_found)
        .with_state(Door { ingest, config })
}

#[derive(Debug, Clone)]
struct Door {
    ingest: Ingest,
    config: CollectorConfig,
}

/// Encoding of a request; the answer, good or bad, has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Protobuf,
    Json,
}

impl Format {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next()?.trim();
        if essence.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }
}

async fn export(State(door): State<Door>, request: Request) -> Response {
    let Some(format) = Format::of(request.headers()) else {
        return Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content type must be application/x-protobuf or application/json",
        )
        .respond(Format::Json, &door.config);
    };
    match door.take(format, request).await {
        Ok(accepted) => success(format, &accepted),
        Err(refusal) => {
            if refusal.status.is_client_error() && refusal.status != StatusCode::TOO_MANY_REQUESTS {
                tracing::debug!(status = %refusal.status, reason = refusal.message, "otlp request refused");
            }
            refusal.respond(format, &door.config)
        }
    }
}

impl Door {
    async fn take(&self, format: Format, request: Request) -> Result<Accepted, Refusal> {
        let gzip = match request
            .headers()
            .get(CONTENT_ENCODING)
            .map(HeaderValue::as_bytes)
        {
            None | Some(b"" | b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => {
                return Err(Refusal::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "content encoding must be gzip or identity",
                ));
            }
        };
        let limit = self.config.max_request_bytes;
        let body = read(request.into_body(), limit).await?;
        // The usual request is protobuf as it is; the others cost time that no async thread has.
        let body = if gzip || format == Format::Json {
            let prepare = move || {
                let plain = if gzip { gunzip(&body, limit)? } else { body };
                match format {
                    Format::Protobuf => Ok(plain),
                    Format::Json => json::to_protobuf(&plain).map_err(Refusal::from),
                }
            };
            tokio::task::spawn_blocking(prepare)
                .await
                .unwrap_or_else(|_| Err(IngestError::Closed.into()))
                .inspect_err(|_| self.ingest.count_malformed())?
        } else {
            body
        };
        Ok(accept(&self.ingest, body).await?)
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::too_large(limit)),
        Err(_) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "the request ended too early",
        )),
    }
}

/// Stops one byte after the limit, whatever the stream claims to hold.
fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(body)
        .take(limit as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("malformed gzip: {error}"))
        })?;
    if plain.len() > limit {
        return Err(Refusal::too_large(limit));
    }
    Ok(plain.into())
}

fn success(format: Format, accepted: &Accepted) -> Response {
    let body = match format {
        Format::Protobuf => response(accepted).encode_to_vec(),
        Format::Json if accepted.rejected.total() == 0 => b"{}".to_vec(),
        Format::Json => serde_json::json!({
            "partialSuccess": {
                // 64-bit integers are text in proto3's JSON.
                "rejectedSpans": accepted.rejected.total().to_string(),
                "errorMessage": accepted.rejected.message(),
            }
        })
        .to_string()
        .into_bytes(),
    };
    ([(CONTENT_TYPE, format.content_type())], body).into_response()
}

/// Why a request was not taken.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

/// `google.rpc.Status`, the body that OTLP/HTTP asks for in every error.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("request is larger than {limit} bytes, send smaller batches"),
        )
    }

    fn respond(self, format: Format, config: &CollectorConfig) -> Response {
        let code = match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => {
                tonic::Code::ResourceExhausted
            }
            StatusCode::SERVICE_UNAVAILABLE => tonic::Code::Unavailable,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => tonic::Code::Unimplemented,
            _ => tonic::Code::InvalidArgument,
        } as i32;
        let body = match format {
            Format::Protobuf => RpcStatus {
                code,
                message: self.message,
            }
            .encode_to_vec(),
            Format::Json => serde_json::json!({ "code": code, "message": self.message })
                .to_string()
                .into_bytes(),
        };
        let mut response =
            (self.status, [(CONTENT_TYPE, format.content_type())], body).into_response();
        if matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let seconds = config.retry_after_ms.div_ceil(1000);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        let status = match &error {
            IngestError::Malformed(_) => StatusCode::BAD_REQUEST,
            IngestError::Spool(SpoolError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            IngestError::Spool(SpoolError::Full { .. }) => StatusCode::TOO_MANY_REQUESTS,
            // The path is nobody's business outside.
            IngestError::Spool(SpoolError::Io { .. }) => {
                return Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "spans cannot be written to disk, send again later",
                );
            }
            IngestError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

async fn not_post(State(door): State<Door>) -> Response {
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "use POST");
    let mut response = refusal.respond(Format::Json, &door.config);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn not_found(State(door): State<Door>) -> Response {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "this is an OTLP receiver: POST traces to /v1/traces",
    )
    .respond(Format::Json, &door.config)
}
