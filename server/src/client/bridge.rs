//! The bridge: unary calls, and an event stream for `loom tail`.

mod streams;
mod tail;

pub use tail::{TailEvent, TailStream};

use std::time::Duration;

use loom_proto::v1;
use loom_proto::v1::bridge_client::BridgeClient as Stub;
use loom_proto::v1::streams_client::StreamsClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::ClientError;
use super::http::innermost;
use crate::config::Token;
use crate::env;

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Unary calls other than `Invoke` are answered at once, unless a mailbox is full.
const CALL_PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the bridge. Clones share it.
#[derive(Clone, Debug)]
pub struct BridgeClient {
    address: String,
    token: Option<Token>,
    stub: Stub<Channel>,
    streams: StreamsClient<Channel>,
}

impl BridgeClient {
    /// Connects to the bridge at `host:port`.
    ///
    /// # Errors
    /// Nobody answers, or the text is no address.
    pub async fn connect(address: &str, token: Option<Token>) -> Result<Self, ClientError> {
        let bare = address
            .strip_prefix("http://")
            .unwrap_or(address)
            .trim_end_matches('/');
        let wrong = || ClientError::Address {
            address: address.to_owned(),
        };
        if !bare.contains(':') {
            return Err(wrong());
        }
        let endpoint = Endpoint::from_shared(format!("http://{bare}"))
            .map_err(|_| wrong())?
            .connect_timeout(CONNECT_PATIENCE);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| unreachable(bare, innermost(&error)))?;
        Ok(Self {
            address: bare.to_owned(),
            token,
            stub: Stub::new(channel.clone()),
            // A page is bounded by the server, and one letter may be larger than tonic's default.
            streams: StreamsClient::new(channel).max_decoding_message_size(usize::MAX),
        })
    }

    /// Where it is connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Publishes one event.
    ///
    /// # Errors
    /// The bridge refused it, or is gone.
    pub async fn publish(&self, event: v1::Event) -> Result<v1::PublishResponse, ClientError> {
        let request = self.request(v1::PublishRequest { event: Some(event) }, CALL_PATIENCE);
        let answer = self.stub.clone().publish(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.refused(&status))
    }

    /// Calls a capability. The deadline of the call is part of `call`; the answer's wait is a little longer.
    ///
    /// # Errors
    /// The call failed, or the bridge is gone.
    pub async fn invoke(&self, call: v1::ActionCall) -> Result<v1::ActionReply, ClientError> {
        let patience = match call.timeout_ms {
            0 => Duration::from_secs(3600),
            millis => Duration::from_millis(millis.into()) + CONNECT_PATIENCE,
        };
        let request = self.request(v1::InvokeRequest { call: Some(call) }, patience);
        let answer = self
            .stub
            .clone()
            .invoke(request)
            .await
            .map_err(|status| self.refused(&status))?;
        answer
            .into_inner()
            .reply
            .ok_or_else(|| ClientError::Protocol {
                address: self.address.clone(),
                detail: "an answer without a reply".to_owned(),
            })
    }

    /// Who is connected.
    ///
    /// # Errors
    /// The bridge is gone, or wants a token.
    pub async fn agents(&self) -> Result<Vec<v1::AgentInfo>, ClientError> {
        let request = self.request(v1::ListAgentsRequest {}, CALL_PATIENCE);
        let answer = self.stub.clone().list_agents(request).await;
        answer
            .map(|answer| answer.into_inner().agents)
            .map_err(|status| self.refused(&status))
    }

    /// The counters.
    ///
    /// # Errors
    /// The bridge is gone, or wants a token.
    pub async fn stats(&self) -> Result<v1::GetStatsResponse, ClientError> {
        let request = self.request(v1::GetStatsRequest {}, CALL_PATIENCE);
        let answer = self.stub.clone().get_stats(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.refused(&status))
    }

    fn request<T>(&self, message: T, patience: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(patience);
        if let Some(bearer) = self.bearer() {
            request.metadata_mut().insert("authorization", bearer);
        }
        request
    }

    fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        let token = self.token.as_ref()?;
        let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", token.expose()).parse().ok()?;
        bearer.set_sensitive(true);
        Some(bearer)
    }

    fn refused(&self, status: &Status) -> ClientError {
        let detail = status.message().to_owned();
        match status.code() {
            Code::Unavailable => unreachable(&self.address, detail),
            Code::NotFound => ClientError::NotFound { detail },
            Code::Unauthenticated => ClientError::Refused {
                detail: format!("{detail} (set {} or --token-file)", env::LOOM_TOKEN),
            },
            Code::Unimplemented | Code::Unknown if detail.is_empty() => ClientError::Protocol {
                address: self.address.clone(),
                detail: format!("gRPC status {:?}", status.code()),
            },
            _ => ClientError::Refused { detail },
        }
    }
}

fn unreachable(address: &str, detail: String) -> ClientError {
    ClientError::Unreachable {
        address: address.to_owned(),
        detail,
        flag: "--address",
        variable: env::LOOM_ADDRESS,
    }
}
