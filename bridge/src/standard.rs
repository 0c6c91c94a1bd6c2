//! The services that every gRPC tool expects: `grpc.health.v1` and server reflection.

use loom_proto::v1::bridge_server::BridgeServer;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

use crate::service::Bridge;

/// The health service, and the handle with which the server says that it drains.
pub async fn health() -> (HealthReporter, HealthServer<impl Health>) {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_serving::<BridgeServer<Bridge>>().await;
    (reporter, service)
}

/// Tells the health service that no new agents are taken.
pub async fn set_draining(reporter: &HealthReporter) {
    reporter.set_not_serving::<BridgeServer<Bridge>>().await;
}

/// Reflection of `loom.v1` and of the health service.
///
/// # Errors
/// The committed descriptor set cannot be read; a test keeps it readable.
pub fn reflection()
-> Result<ServerReflectionServer<impl ServerReflection>, tonic_reflection::server::Error> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(loom_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
}
