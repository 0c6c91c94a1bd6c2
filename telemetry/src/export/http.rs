//! OTLP over HTTP/1.1 with protobuf bodies.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::config::{Compression, ExporterConfig, ExporterConfigError};
use super::outcome::{Accepted, Refusal, Retry, printable};
use super::tls;
use super::{MAX_RESPONSE_BYTES, USER_AGENT};

#[derive(Clone)]
pub(super) struct HttpTransport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Uri,
    headers: HeaderMap,
    compression: Compression,
}

/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(90);

impl HttpTransport {
    pub(super) fn new(config: &ExporterConfig) -> Result<Self, ExporterConfigError> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.timeout));
        let is_https = config.endpoint.scheme_str() == Some("https");
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::http(&config.tls, is_https)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);

        let mut headers = config.headers.clone();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        headers.insert(
            http::header::USER_AGENT,
            HeaderValue::from_static(USER_AGENT),
        );
        if config.compression == Compression::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self {
            client,
            endpoint: config.endpoint.clone(),
            headers,
            compression: config.compression,
        })
    }

    pub(super) async fn send(&self, request: Bytes) -> Result<Accepted, Refusal> {
        let body = match self.compression {
            Compression::None => request,
            Compression::Gzip => gzip(request).await?,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| Refusal::transport(&error))?;
        if !response.status().is_success() {
            return Err(refusal(response.status(), response.headers()));
        }
        Ok(Accepted::from_response(&body_of(response).await))
    }
}

/// An answer that breaks off, or does not end, is as good as an empty one: its head has said that the spans arrived.
async fn body_of(response: Response<Incoming>) -> Bytes {
    Limited::new(response.into_body(), MAX_RESPONSE_BYTES)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default()
}

/// OTLP's list of statuses that are worth another attempt (specification, "OTLP/HTTP Response", failures).
fn refusal(status: StatusCode, headers: &HeaderMap) -> Refusal {
    let retry = match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let seconds = headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok());
            // The other form, a date, needs two clocks that agree: our own backoff does as well.
            seconds.map_or(Retry::WithBackoff, |seconds| {
                Retry::After(Duration::from_secs(seconds))
            })
        }
        _ => Retry::Never,
    };
    Refusal::new(retry, printable(&format!("HTTP status {status}")))
}

/// Off the runtime's own threads: a full request takes tens of milliseconds.
async fn gzip(request: Bytes) -> Result<Bytes, Refusal> {
    let packed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(
            Vec::with_capacity(request.len() / 8),
            flate2::Compression::fast(),
        );
        encoder.write_all(&request)?;
        encoder.finish()
    });
    match packed.await {
        Ok(Ok(packed)) => Ok(Bytes::from(packed)),
        Ok(Err(error)) => Err(Refusal::transport(&error)),
        Err(error) => Err(Refusal::transport(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_specification_lists_is_sent_again() {
        for code in 300..600 {
            let status = StatusCode::from_u16(code).expect("a status");
            let expected = if [429, 502, 503, 504].contains(&code) {
                Retry::WithBackoff
            } else {
                Retry::Never
            };
            assert_eq!(
                refusal(status, &HeaderMap::new()).retry,
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_collector_may_say_when() {
        let retry = |value| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            refusal(StatusCode::SERVICE_UNAVAILABLE, &headers).retry
        };
        assert_eq!(retry("7"), Retry::After(Duration::from_secs(7)));
        assert_eq!(retry("Wed, 21 Oct 2015 07:28:00 GMT"), Retry::WithBackoff);
        assert_eq!(retry("-1"), Retry::WithBackoff);
    }
}
