//! The HTTP API, over a connection for each request: commands ask once or twice.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ClientError;
use crate::config::Token;
use crate::env;

const PATIENCE: Duration = Duration::from_secs(30);
/// A trace of 100,000 spans is about this large.
const MAX_ANSWER: usize = 256 << 20;

/// A handle on the API of one server.
#[derive(Clone, Debug)]
pub struct HttpClient {
    address: String,
    token: Option<Token>,
    patience: Duration,
}

impl HttpClient {
    /// A client of the API at `host:port`; nothing is connected yet.
    ///
    /// # Errors
    /// The text is no address.
    pub fn new(address: &str, token: Option<Token>) -> Result<Self, ClientError> {
        let bare = address
            .strip_prefix("http://")
            .unwrap_or(address)
            .trim_end_matches('/');
        let is_address = bare
            .parse::<http::uri::Authority>()
            .is_ok_and(|authority| authority.port_u16().is_some_and(|port| port != 0));
        if !is_address {
            return Err(ClientError::Address {
                address: address.to_owned(),
            });
        }
        Ok(Self {
            address: bare.to_owned(),
            token,
            patience: PATIENCE,
        })
    }

    /// One that waits so long for an answer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// `http://host:port`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// Nobody answers, there is no such thing, or the answer is no such JSON.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        path_and_query: &str,
    ) -> Result<T, ClientError> {
        let body = self.get(path_and_query).await?;
        serde_json::from_slice(&body).map_err(|error| self.protocol(error.to_string()))
    }

    /// Asks for text.
    ///
    /// # Errors
    /// Nobody answers, or there is no such thing.
    pub async fn get_text(&self, path_and_query: &str) -> Result<String, ClientError> {
        let body = self.get(path_and_query).await?;
        String::from_utf8(body.into()).map_err(|error| self.protocol(error.to_string()))
    }

    async fn get(&self, path_and_query: &str) -> Result<Bytes, ClientError> {
        let exchange = timeout(self.patience, self.exchange(path_and_query)).await;
        let late = || self.unreachable(&format!("no answer in {} s", self.patience.as_secs()));
        let (status, body) = exchange.map_err(|_| late())??;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::NOT_FOUND => Err(ClientError::NotFound {
                detail: message(&body, "there is no such thing"),
            }),
            StatusCode::UNAUTHORIZED => Err(ClientError::Refused {
                detail: format!(
                    "the server wants a token: set {} or --token-file",
                    env::LOOM_TOKEN
                ),
            }),
            _ => Err(ClientError::Refused {
                detail: message(&body, status.as_str()),
            }),
        }
    }

    async fn exchange(&self, path_and_query: &str) -> Result<(StatusCode, Bytes), ClientError> {
        let lost = |error: &dyn std::error::Error| self.unreachable(&innermost(error));
        let stream = TcpStream::connect(&self.address)
            .await
            .map_err(|error| lost(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| lost(&error))?;
        let mut request = Request::get(path_and_query).header(header::HOST, &self.address);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let request =
            request
                .body(Empty::<Bytes>::new())
                .map_err(|error| ClientError::Refused {
                    detail: format!("cannot ask for {path_and_query}: {error}"),
                })?;
        let answer = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| self.protocol(innermost(&error)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| self.protocol(error.to_string()))?;
            Ok((status, body.to_bytes()))
        };
        // The connection ends when the sender is dropped, which is when the answer is there.
        tokio::pin!(connection);
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(self.protocol(innermost(&error))),
            },
        }
    }

    fn unreachable(&self, detail: &str) -> ClientError {
        ClientError::Unreachable {
            address: self.address.clone(),
            detail: detail.to_owned(),
            flag: "--http",
            variable: env::LOOM_HTTP,
        }
    }

    fn protocol(&self, detail: String) -> ClientError {
        ClientError::Protocol {
            address: self.address.clone(),
            detail,
        }
    }
}

/// The text of an error in either shape of the API.
fn message(body: &[u8], otherwise: &str) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = json["errors"][0]["msg"]
        .as_str()
        .or(json["detail"].as_str())
        .or(json["title"].as_str());
    text.unwrap_or(otherwise).to_owned()
}

/// The cause of all causes says what happened; the others say where.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_are_addresses() {
        for good in [
            "127.0.0.1:8080",
            "http://localhost:1/",
            "[::1]:8080",
            "loom.example:80",
        ] {
            assert!(HttpClient::new(good, None).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1", "https://x:1", "a b:1", "x:0", "x:99999"] {
            assert!(
                matches!(HttpClient::new(bad, None), Err(ClientError::Address { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_reason_is_found_in_either_shape() {
        assert_eq!(
            message(br#"{"errors":[{"code":404,"msg":"trace not found"}]}"#, ""),
            "trace not found"
        );
        assert_eq!(message(br#"{"title":"t","detail":"d"}"#, ""), "d");
        assert_eq!(message(b"<html>", "500"), "500");
    }
}
