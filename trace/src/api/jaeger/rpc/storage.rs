//! `jaeger.storage.v2`: what a stock Jaeger asks of a storage that is another process. It writes there by OTLP.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use tonic::{Request, Response, Status};

use super::super::find::FoundIds;
use super::chunks::{self, Messages};
use super::proto::jaeger::storage::v2;
use super::proto::jaeger::storage::v2::any_value::Value as AnyValue;
use super::proto::jaeger::storage::v2::{
    capabilities_server, dependency_reader_server, trace_reader_server,
};
use super::query_service::{count, operations};
use super::search::{Asked, time};
use super::status::status;
use super::{Reader, answer, summaries};
use crate::model::{TraceId, Value};
use crate::query::{ServicePart, Summary};

#[derive(Debug, Clone)]
pub(super) struct Storage(pub(super) Reader);

#[tonic::async_trait]
impl trace_reader_server::TraceReader for Storage {
    type GetTracesStream = Messages<TracesData>;
    type FindTracesStream = Messages<TracesData>;
    type FindTraceSummariesStream = Messages<v2::FindTraceSummariesResponse>;

    async fn get_traces(
        &self,
        request: Request<v2::GetTracesRequest>,
    ) -> Result<Response<Self::GetTracesStream>, Status> {
        let wanted = request.into_inner().query.into_iter();
        let id = |one: v2::GetTraceParams| {
            TraceId::from_bytes(&one.trace_id)
                .ok_or_else(|| Status::invalid_argument("trace_id must be 16 bytes, not all zero"))
        };
        let ids = wanted.map(id).collect::<Result<_, _>>()?;
        let messages = chunks::of_traces(self.0.clone(), ids, false);
        Ok(Response::new(messages))
    }

    async fn get_services(
        &self,
        _: Request<v2::GetServicesRequest>,
    ) -> Result<Response<v2::GetServicesResponse>, Status> {
        let services = self.0.query.services().await.map_err(status)?;
        Ok(Response::new(v2::GetServicesResponse { services }))
    }

    async fn get_operations(
        &self,
        request: Request<v2::GetOperationsRequest>,
    ) -> Result<Response<v2::GetOperationsResponse>, Status> {
        let request = request.into_inner();
        let found = operations(&self.0, request.service, &request.span_kind).await?;
        let operations = found.map(|(name, kind)| v2::Operation {
            name,
            span_kind: kind.to_owned(),
        });
        Ok(Response::new(v2::GetOperationsResponse {
            operations: operations.collect(),
        }))
    }

    async fn find_traces(
        &self,
        request: Request<v2::FindTracesRequest>,
    ) -> Result<Response<Self::FindTracesStream>, Status> {
        let FoundIds { ids, is_cut } = self.found(request.into_inner().query).await?;
        let messages = chunks::of_traces(self.0.clone(), ids, false);
        Ok(answer(messages, is_cut))
    }

    async fn find_trace_i_ds(
        &self,
        request: Request<v2::FindTraceIDsRequest>,
    ) -> Result<Response<v2::FindTraceIDsResponse>, Status> {
        let FoundIds { ids, is_cut } = self.found(request.into_inner().query).await?;
        let found = ids.iter().map(|id| v2::FoundTraceId {
            trace_id: id.as_bytes().to_vec(),
            // A hint for back ends that cannot find a trace without.
            start: None,
            end: None,
        });
        let trace_ids = found.collect();
        Ok(answer(v2::FindTraceIDsResponse { trace_ids }, is_cut))
    }

    async fn find_trace_summaries(
        &self,
        request: Request<v2::FindTraceSummariesRequest>,
    ) -> Result<Response<Self::FindTraceSummariesStream>, Status> {
        let FoundIds { ids, is_cut } = self.found(request.into_inner().query).await?;
        let messages = summaries(self.0.clone(), ids, summary, |summaries| {
            v2::FindTraceSummariesResponse { summaries }
        });
        Ok(answer(Box::pin(messages), is_cut))
    }
}

#[tonic::async_trait]
impl dependency_reader_server::DependencyReader for Storage {
    async fn get_dependencies(
        &self,
        request: Request<v2::GetDependenciesRequest>,
    ) -> Result<Response<v2::GetDependenciesResponse>, Status> {
        let request = request.into_inner();
        let start = time(request.start_time).unwrap_or(0);
        let end = time(request.end_time).unwrap_or(u64::MAX);
        let found = self.0.query.dependencies(start, end).await;
        let found = found.map_err(status)?.into_iter();
        let dependencies = found.map(|edge| v2::Dependency {
            parent: edge.parent,
            child: edge.child,
            call_count: edge.calls,
            source: "loom".to_owned(),
        });
        Ok(Response::new(v2::GetDependenciesResponse {
            dependencies: dependencies.collect(),
        }))
    }
}

#[tonic::async_trait]
impl capabilities_server::Capabilities for Storage {
    async fn get_capabilities(
        &self,
        _: Request<v2::GetCapabilitiesRequest>,
    ) -> Result<Response<v2::GetCapabilitiesResponse>, Status> {
        Ok(Response::new(v2::GetCapabilitiesResponse {
            search: Some(v2::SearchCapabilities {
                without_service_name: true,
                same_span_conjunction: true,
                filter: None,
            }),
        }))
    }
}

impl Storage {
    async fn found(&self, query: Option<v2::TraceQueryParameters>) -> Result<FoundIds, Status> {
        let query = query.ok_or_else(|| Status::invalid_argument("missing query"))?;
        let attributes = query.attributes.into_iter();
        let asked = Asked {
            service: query.service_name,
            operation: query.operation_name,
            attributes: attributes
                .map(|pair| (pair.key, value(pair.value).to_text()))
                .collect(),
            period: (time(query.start_time_min), time(query.start_time_max)),
            duration_min: query.duration_min,
            duration_max: query.duration_max,
            depth: query.search_depth,
            has_filter: query.filter.is_some(),
        };
        self.0.found(asked.search()?).await
    }
}

fn value(value: Option<v2::AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        None => Value::String(String::new()),
        Some(AnyValue::StringValue(text)) => Value::String(text),
        Some(AnyValue::BoolValue(flag)) => Value::Bool(flag),
        Some(AnyValue::IntValue(number)) => Value::Int(number),
        Some(AnyValue::DoubleValue(number)) => Value::Double(number),
        Some(AnyValue::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(AnyValue::ArrayValue(array)) => {
            let values = array.values.into_iter();
            Value::Array(values.map(|one| self::value(Some(one))).collect())
        }
        Some(AnyValue::KvlistValue(list)) => {
            let pairs = list.values.into_iter();
            Value::Map(
                pairs
                    .map(|pair| (pair.key, self::value(pair.value)))
                    .collect(),
            )
        }
    }
}

fn summary(summary: Summary) -> v2::TraceSummary {
    let service = |(name, part): (String, ServicePart)| v2::ServiceSummary {
        name,
        span_count: count(part.spans),
        error_span_count: count(part.errors),
    };
    v2::TraceSummary {
        trace_id: summary.trace_id.as_bytes().to_vec(),
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
