//! OTLP over gRPC.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use loom_proto::frame::{Frame, FrameCodec};
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Extensions, Request, Status};
use tonic_types::StatusExt;

use super::config::{Compression, ExporterConfig, ExporterConfigError};
use super::outcome::{Accepted, Refusal, Retry, printable};
use super::tls;
use super::{MAX_RESPONSE_BYTES, USER_AGENT};
use crate::otlp::EXPORT_PATH;

#[derive(Clone)]
pub(super) struct GrpcTransport {
    channel: Channel,
    headers: MetadataMap,
    compression: Compression,
}

/// Asked only while a request is under way; servers resent being asked often.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

impl GrpcTransport {
    /// Connects when the first request is sent, and again whenever the connection is lost. Needs a runtime's context.
    pub(super) fn new(config: &ExporterConfig) -> Result<Self, ExporterConfigError> {
        let fault = |error: tonic::transport::Error| ExporterConfigError::Tls(error.to_string());
        let mut endpoint = Endpoint::from(config.endpoint.clone())
            .connect_timeout(config.timeout)
            // A peer that vanished without a word would otherwise be waited for until TCP gives up, a quarter of an hour.
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(config.timeout)
            .user_agent(USER_AGENT)
            .map_err(fault)?;
        if config.endpoint.scheme_str() == Some("https") {
            endpoint = endpoint
                .tls_config(tls::grpc(&config.tls)?)
                .map_err(|error| ExporterConfigError::Tls(Refusal::transport(&error).message))?;
        }
        Ok(Self {
            channel: endpoint.connect_lazy(),
            headers: MetadataMap::from_headers(config.headers.clone()),
            compression: config.compression,
        })
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<Accepted, Refusal> {
        let mut client =
            Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_RESPONSE_BYTES);
        if self.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client
            .ready()
            .await
            .map_err(|error| Refusal::transport(&error))?;
        let request =
            Request::from_parts(self.headers.clone(), Extensions::default(), Frame(request));
        let path = PathAndQuery::from_static(EXPORT_PATH);
        match client.unary(request, path, FrameCodec).await {
            Ok(answer) => Ok(Accepted::from_response(&answer.get_ref().0)),
            Err(status) => Err(refusal(&status)),
        }
    }
}

/// OTLP's list of codes that are worth another attempt (specification, "OTLP/gRPC Response", failures).
fn refusal(status: &Status) -> Refusal {
    if status.source().is_some() {
        // Made on this side, because the connection failed: no collector has said this.
        return Refusal::transport(status);
    }
    let asked = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    let retry = match (status.code(), asked) {
        (
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted,
            Some(pause),
        ) => Retry::After(pause),
        (
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss,
            None,
        ) => Retry::WithBackoff,
        _ => Retry::Never,
    };
    let code = status.code();
    Refusal::new(retry, printable(&format!("{code:?}: {}", status.message())))
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_what_the_specification_lists_is_sent_again() {
        for code in (1..=16).map(Code::from) {
            let retryable = matches!(
                code,
                Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Aborted
                    | Code::OutOfRange
                    | Code::Unavailable
                    | Code::DataLoss
            );
            let expected = if retryable {
                Retry::WithBackoff
            } else {
                Retry::Never
            };
            assert_eq!(
                refusal(&Status::new(code, "no")).retry,
                expected,
                "{code:?}"
            );
        }
    }

    #[test]
    fn an_exhausted_collector_is_asked_again_when_it_says_when() {
        let pause = Duration::from_millis(1500);
        let details = ErrorDetails::with_retry_info(Some(pause));
        let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        assert_eq!(refusal(&status).retry, Retry::After(pause));
    }
}
