//! The doors: four listeners, each with what answers behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use loom_trace::api::{Extension, router_with, rpc};
use loom_trace::{ApiConfig, collector};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use super::about::About;
use super::deliveries::LostDeliveries;
use super::http1::{self, HEAD_TIMEOUT};
use super::jaeger_ui::Bundle;
use super::mending::Mending;
use super::{
    Addresses, Doors, Listeners, Parts, auth, dashboard, http, jaeger_ui, kept, live, metrics,
    origin, retelling, session,
};
use crate::config::{LoomConfig, Token};

/// Room for what is on the way on one stream and one connection; events are bounded by credit, bytes by this.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// A peer that vanished without a word is found by it.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(10);

/// Serves every listener that is open.
pub(super) fn open(
    listeners: Listeners,
    parts: &Parts,
    config: &LoomConfig,
    token: Option<&Arc<Token>>,
    addresses: &Addresses,
    lost: LostDeliveries,
    jaeger_ui: Option<Bundle>,
) -> Doors {
    let bridge = CancellationToken::new();
    let others = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let ingest = || parts.store.ingest();
    let collector_config = loom_trace::CollectorConfig::from(&config.collector);
    let mut api_config = ApiConfig::from(&config.api);
    api_config.allowed_hosts.extend(bound_host(addresses.http));

    if let Some(listener) = listeners.bridge {
        tasks.spawn(serve_grpc(
            "bridge",
            listener,
            bridge_routes(parts),
            bridge.clone(),
        ));
    }
    if let Some(listener) = listeners.otlp_grpc {
        let receiver = collector::grpc::service(ingest(), collector_config.clone());
        let mut routes = otlp_routes(receiver, parts, &api_config);
        if let Some(token) = token {
            let guard = axum::middleware::from_fn_with_state(Arc::clone(token), auth::grpc);
            routes = Routes::from(routes.into_axum_router().layer(guard));
        }
        tasks.spawn(serve_grpc(
            "OTLP/gRPC receiver",
            listener,
            routes,
            others.clone(),
        ));
    }
    if let Some(listener) = listeners.otlp_http {
        let router = guarded(collector::http::router(ingest(), collector_config), token);
        tasks.spawn(http1::serve(listener, router, HEAD_TIMEOUT, others.clone()));
    }
    if let Some(listener) = listeners.http {
        let counters = parts.clone();
        let (live_routes, producer) = live::open(parts.clone(), others.clone());
        tasks.spawn(producer);
        let directory = parts.directory.clone();
        let jaeger_ui = jaeger_ui.map_or_else(Router::new, |bundle| {
            jaeger_ui::routes(bundle, parts.store.clone(), api_config.clone())
        });
        let bus = parts.bus.clone();
        let extension = Extension {
            routes: http::routes(parts.clone(), *addresses, About::of(config))
                .merge(live_routes)
                .merge(jaeger_ui.into())
                .merge(session::routes().with_state(token.cloned())),
            pages: Some(dashboard::serve),
            metrics: Some(Arc::new(move || metrics::families(&counters))),
            connected: Some(Arc::new(move || {
                let agents = directory.list();
                agents.iter().map(|agent| agent.agent_id.clone()).collect()
            })),
            kept: Some(Arc::new(move |event| kept::find(&bus, event))),
        };
        let router = guarded(
            router_with(parts.store.clone(), api_config, extension),
            token,
        )
        .layer(axum::middleware::from_fn(origin::guard));
        tasks.spawn(http1::serve(listener, router, HEAD_TIMEOUT, others.clone()));
    }
    tasks.spawn(parts.journals.clone().retain(others.clone()));
    let marks = retelling::run(parts.clone(), bridge.clone());
    tasks.spawn(marks);
    if config.telemetry.record {
        let mending = Mending::new(parts, lost, config.telemetry.mend_after.0);
        tasks.spawn(mending.run(bridge.clone()));
    }
    Doors {
        bridge,
        others,
        tasks,
    }
}

fn bridge_routes(parts: &Parts) -> Routes {
    let routes = Routes::new(parts.bridge.service()).add_service(parts.streams.service());
    with_tools(routes, loom_proto::FILE_DESCRIPTOR_SET, &["loom.v1.Bridge"])
}

/// The receiver, and who reads over the same door: a stock Jaeger writes and reads at one address.
fn otlp_routes(receiver: collector::grpc::TraceService, parts: &Parts, api: &ApiConfig) -> Routes {
    let routes = rpc::add_to(Routes::new(receiver), &parts.store, api);
    with_tools(routes, rpc::FILE_DESCRIPTOR_SET, &rpc::SERVICES)
}

/// Adds the services that other languages' tools expect: health, and reflection of what `descriptors` describe.
fn with_tools(
    routes: Routes,
    descriptors: &'static [u8],
    services: &'static [&'static str],
) -> Routes {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = routes.add_service(health);
    // Two versions of the protocol are in use; grpcurl speaks either.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes = routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "reflection is not offered"),
    }
    tokio::spawn(async move {
        for service in services {
            reporter
                .set_service_status(service, ServingStatus::Serving)
                .await;
        }
    });
    routes
}

async fn serve_grpc(
    name: &'static str,
    listener: TcpListener,
    routes: Routes,
    end: CancellationToken,
) {
    // Latency, not packets: what goes together is batched above.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_PATIENCE))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, end.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the {name} has ended");
    }
}

fn guarded(router: Router, token: Option<&Arc<Token>>) -> Router {
    match token {
        Some(token) => router.layer(axum::middleware::from_fn_with_state(
            Arc::clone(token),
            auth::http,
        )),
        None => router,
    }
}

/// Who bound an address of this machine may also call it by that address.
fn bound_host(address: Option<SocketAddr>) -> Option<String> {
    address
        .map(|address| address.ip())
        .filter(|ip| !ip.is_unspecified())
        .map(|ip| ip.to_string())
}
