//! Where a server listens.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::reachable;

/// The addresses of the doors that are open. Its JSON is the line that `loom up --json` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Addresses {
    /// Where agents connect; null of a door that is closed, like the others.
    #[schema(value_type = Option<String>)]
    pub bridge: Option<SocketAddr>,
    /// OTLP over gRPC.
    #[schema(value_type = Option<String>)]
    pub otlp_grpc: Option<SocketAddr>,
    /// OTLP over HTTP.
    #[schema(value_type = Option<String>)]
    pub otlp_http: Option<SocketAddr>,
    /// The HTTP API.
    #[schema(value_type = Option<String>)]
    pub http: Option<SocketAddr>,
}

impl Addresses {
    /// The page of a trace.
    pub fn trace_url(&self, trace_id: &str) -> Option<String> {
        self.http
            .map(|address| format!("http://{}/trace/{trace_id}", reachable(address)))
    }

    /// What an agent on this machine sets as its OTLP endpoint.
    pub fn otlp_endpoint(&self) -> Option<String> {
        self.otlp_grpc
            .map(|address| format!("http://{}", reachable(address)))
    }
}
