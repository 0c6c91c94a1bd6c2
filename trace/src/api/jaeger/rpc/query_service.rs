//! `jaeger.api_v3.QueryService`.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use tonic::{Request, Response, Status};

use super::super::find::FoundIds;
use super::super::id::trace_id;
use super::chunks::{self, Messages};
use super::proto::jaeger::api_v3;
use super::proto::jaeger::api_v3::query_service_server;
use super::search::{Asked, time};
use super::status::status;
use super::{Reader, answer, summaries};
use crate::model::SpanKind;
use crate::query::{ServicePart, Summary};

#[derive(Debug, Clone)]
pub(super) struct QueryService(pub(super) Reader);

#[tonic::async_trait]
impl query_service_server::QueryService for QueryService {
    type GetTraceStream = Messages<TracesData>;
    type FindTracesStream = Messages<TracesData>;
    type FindTraceSummariesStream = Messages<api_v3::FindTraceSummariesResponse>;

    /// The times are hints for back ends that cannot find a trace without.
    async fn get_trace(
        &self,
        request: Request<api_v3::GetTraceRequest>,
    ) -> Result<Response<Self::GetTraceStream>, Status> {
        let request = request.into_inner();
        let id = trace_id(&request.trace_id).map_err(Status::invalid_argument)?;
        let reader = self.0.clone();
        let trace = reader.query.trace(id, reader.max_spans).await;
        let trace = trace.map_err(status)?;
        let trace = trace.ok_or_else(|| Status::not_found("trace not found"))?;
        let is_cut = trace.truncated;
        let messages = chunks::of_trace(reader, trace, request.raw_traces);
        Ok(answer(messages, is_cut))
    }

    async fn find_traces(
        &self,
        request: Request<api_v3::FindTracesRequest>,
    ) -> Result<Response<Self::FindTracesStream>, Status> {
        let query = request.into_inner().query;
        let raw = query.as_ref().is_some_and(|query| query.raw_traces);
        let FoundIds { ids, is_cut } = self.0.found(asked(query)?.search()?).await?;
        let messages = chunks::of_traces(self.0.clone(), ids, raw);
        Ok(answer(messages, is_cut))
    }

    async fn find_trace_summaries(
        &self,
        request: Request<api_v3::FindTraceSummariesRequest>,
    ) -> Result<Response<Self::FindTraceSummariesStream>, Status> {
        let query = request.into_inner().query;
        let FoundIds { ids, is_cut } = self.0.found(asked(query)?.search()?).await?;
        let messages = summaries(self.0.clone(), ids, summary, |summaries| {
            api_v3::FindTraceSummariesResponse { summaries }
        });
        Ok(answer(Box::pin(messages), is_cut))
    }

    async fn get_services(
        &self,
        _: Request<api_v3::GetServicesRequest>,
    ) -> Result<Response<api_v3::GetServicesResponse>, Status> {
        let services = self.0.query.services().await.map_err(status)?;
        Ok(Response::new(api_v3::GetServicesResponse { services }))
    }

    async fn get_operations(
        &self,
        request: Request<api_v3::GetOperationsRequest>,
    ) -> Result<Response<api_v3::GetOperationsResponse>, Status> {
        let request = request.into_inner();
        let found = operations(&self.0, request.service, &request.span_kind).await?;
        let operations = found.map(|(name, kind)| api_v3::Operation {
            name,
            span_kind: kind.to_owned(),
        });
        let operations = operations.collect();
        Ok(Response::new(api_v3::GetOperationsResponse { operations }))
    }

    async fn get_dependencies(
        &self,
        request: Request<api_v3::GetDependenciesRequest>,
    ) -> Result<Response<api_v3::DependenciesResponse>, Status> {
        let request = request.into_inner();
        let (Some(start), Some(end)) = (time(request.start_time), time(request.end_time)) else {
            return Err(Status::invalid_argument(
                "start_time and end_time are required",
            ));
        };
        if end <= start {
            return Err(Status::invalid_argument(
                "end_time must be after start_time",
            ));
        }
        let found = self.0.query.dependencies(start, end - 1).await;
        let found = found.map_err(status)?.into_iter();
        let dependencies = found.map(|edge| api_v3::Dependency {
            parent: edge.parent,
            child: edge.child,
            call_count: edge.calls,
        });
        Ok(Response::new(api_v3::DependenciesResponse {
            dependencies: dependencies.collect(),
        }))
    }
}

fn asked(query: Option<api_v3::TraceQueryParameters>) -> Result<Asked, Status> {
    let query = query.ok_or_else(|| Status::invalid_argument("missing query"))?;
    let period = (time(query.start_time_min), time(query.start_time_max));
    if period.0.is_none() || period.1.is_none() {
        return Err(Status::invalid_argument(
            "start_time_min and start_time_max are required",
        ));
    }
    Ok(Asked {
        service: query.service_name,
        operation: query.operation_name,
        attributes: query.attributes.into_iter().collect(),
        period,
        duration_min: query.duration_min,
        duration_max: query.duration_max,
        depth: query.search_depth,
        has_filter: query.filter.is_some(),
    })
}

/// Names of operations with their kinds, of one kind where one is said. A kind that no span says stays empty, other than over HTTP.
pub(super) async fn operations(
    reader: &Reader,
    service: String,
    span_kind: &str,
) -> Result<impl Iterator<Item = (String, &'static str)> + use<>, Status> {
    if service.is_empty() {
        return Err(Status::invalid_argument("service is required"));
    }
    let wanted = match span_kind {
        "" => None,
        name => {
            let unknown = || Status::invalid_argument(format!("span_kind: unknown kind {name:?}"));
            Some(SpanKind::from_name(name).ok_or_else(unknown)?)
        }
    };
    let found = reader.query.operations(service).await.map_err(status)?;
    let found = found
        .into_iter()
        .filter(move |operation| wanted.is_none_or(|kind| operation.kind == kind));
    Ok(found.map(|operation| (operation.name, operation.kind.name().unwrap_or_default())))
}

fn summary(summary: Summary) -> api_v3::TraceSummary {
    let service = |(name, part): (String, ServicePart)| api_v3::ServiceSummary {
        name,
        span_count: count(part.spans),
        error_span_count: count(part.errors),
    };
    api_v3::TraceSummary {
        trace_id: summary.trace_id.to_string(),
        root_service_name: summary.root_service,
        root_operation_name: summary.root_name,
        min_start_time_unix_nano: summary.start_ns,
        max_end_time_unix_nano: summary.end_ns,
        span_count: count(summary.spans),
        error_span_count: count(summary.errors),
        orphan_span_count: count(summary.orphans),
        services: summary.services.into_iter().map(service).collect(),
    }
}

/// A count in the width that Jaeger has for it.
pub(super) fn count(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
