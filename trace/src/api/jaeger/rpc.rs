//! Jaeger over gRPC: its query service, and the services by which a stock Jaeger reads a remote storage.
//!
//! | service | for |
//! | --- | --- |
//! | `jaeger.api_v3.QueryService` | clients of Jaeger's API |
//! | `jaeger.storage.v2.TraceReader`, `DependencyReader`, `Capabilities` | a Jaeger whose storage is Loom |
//!
//! Answers are streamed in messages of bounded size, made when the client takes them: a client that is slow holds one trace and no thread.

mod chunks;
pub mod proto;
mod query_service;
mod search;
mod status;
mod storage;

use futures_util::{Stream, stream};
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::{Response, Status};

use super::INCOMPLETE;
use super::find::{self, FoundIds};
use crate::config::ApiConfig;
use crate::model::TraceId;
use crate::query::{Query, Search, Summary};
use crate::trace_store::TraceStore;

use proto::jaeger::api_v3::query_service_server::QueryServiceServer;
use proto::jaeger::storage::v2::capabilities_server::CapabilitiesServer;
use proto::jaeger::storage::v2::dependency_reader_server::DependencyReaderServer;
use proto::jaeger::storage::v2::trace_reader_server::TraceReaderServer;
use query_service::QueryService;
use status::status;
use storage::Storage;

/// The compiled `.proto` files, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("../../generated/jaeger.bin");

/// Names of the services, for health checks.
pub const SERVICES: [&str; 4] = [
    "jaeger.api_v3.QueryService",
    "jaeger.storage.v2.TraceReader",
    "jaeger.storage.v2.DependencyReader",
    "jaeger.storage.v2.Capabilities",
];

/// Summaries of one message.
const SUMMARIES: usize = 100;

/// Puts the services beside others of a listener.
pub fn add_to(routes: Routes, store: &TraceStore, config: &ApiConfig) -> Routes {
    let reader = Reader {
        query: store.query(),
        max_spans: config.max_spans,
    };
    let storage = Storage(reader.clone());
    routes
        .add_service(QueryServiceServer::new(QueryService(reader)))
        .add_service(TraceReaderServer::new(storage.clone()))
        .add_service(DependencyReaderServer::new(storage.clone()))
        .add_service(CapabilitiesServer::new(storage))
}

/// What both families ask.
#[derive(Debug, Clone)]
struct Reader {
    query: Query,
    /// Spans of one trace.
    max_spans: usize,
}

/// Messages of the lines about these traces, as one of the families writes a line and a message.
fn summaries<L: 'static, M: 'static>(
    reader: Reader,
    ids: Vec<TraceId>,
    line: fn(Summary) -> L,
    message: fn(Vec<L>) -> M,
) -> impl Stream<Item = Result<M, Status>> {
    stream::try_unfold((reader, ids), move |(reader, mut ids)| async move {
        let found = reader.some_summaries(&mut ids).await?;
        let message = found.map(|found| message(found.into_iter().map(line).collect()));
        Ok(message.map(|message| (message, (reader, ids))))
    })
}

impl Reader {
    async fn found(&self, search: Search) -> Result<FoundIds, Status> {
        find::ids(&self.query, search).await.map_err(status)
    }

    /// Lines about the first of these traces, which are taken away from them; `None` of none.
    async fn some_summaries(&self, ids: &mut Vec<TraceId>) -> Result<Option<Vec<Summary>>, Status> {
        if ids.is_empty() {
            return Ok(None);
        }
        let some = ids.drain(..ids.len().min(SUMMARIES)).collect();
        let summaries = self.query.summaries(some).await.map_err(status)?;
        Ok(Some(summaries))
    }
}

/// An answer which may hold less than was asked for, and then says so as the HTTP routes do.
fn answer<T>(message: T, is_cut: bool) -> Response<T> {
    let mut response = Response::new(message);
    if is_cut {
        let said = MetadataValue::from_static("true");
        response.metadata_mut().insert(INCOMPLETE, said);
    }
    response
}
