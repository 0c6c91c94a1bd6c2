//! The trace store from its doors to its answers, over real sockets and real files.

mod api;
mod bus_api;
mod crash;
mod doors;
mod generated;
mod jaeger_json;
mod jaeger_ui;
mod legacy_api;
mod metrics_api;
mod monitor_api;
mod otlp_json;
mod otlp_roundtrip;
mod recovery;
mod rpc_api;
mod search_api;
mod support;
mod trace_api;
mod v3_api;
