//! The trace store from its doors to its answers, over real sockets and real files.

mod api;
mod bus_api;
mod crash;
mod doors;
mod metrics_api;
mod recovery;
mod search_api;
mod support;
mod trace_api;
