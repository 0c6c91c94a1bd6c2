//! Where a server listens.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::reachable;

/// The addresses of the doors that are open. Its JSON is the line that `loom up --json` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Where agents connect.
    pub bridge: Option<SocketAddr>,
    /// OTLP over gRPC.
    pub otlp_grpc: Option<SocketAddr>,
    /// OTLP over HTTP.
    pub otlp_http: Option<SocketAddr>,
    /// The HTTP API.
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
