//! The action broker: one call, one provider, one deadline, one answer.
//!
//! A call is cancelled by dropping the future of [`ActionBroker::invoke`]; that drops the provider's future, which tells
//! the provider. A provider that leaves fails its open calls at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use loom_proto::semconv::{attribute, header, span};
use loom_proto::trace_context::TraceContext;
use loom_telemetry::{FreeDetail, SpanDetail, SpanKind, SpanStatus, Value};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use tokio::time::timeout;

use crate::config::BrokerConfig;
use crate::envelope::read_traceparent;
use crate::error::InvokeError;
use crate::execution::{OpenExecution, Signal, State};
use crate::instrument::{HopSpan, Tracer, current_context};

/// Capabilities whose names begin so are the server's own; no agent provides them.
pub const OWN_PREFIX: &str = "_loom.";

/// Something that an agent can do for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// `calc.add`.
    pub name: String,
    /// For people and models.
    pub description: String,
    /// JSON Schema of the arguments; empty where none was declared.
    pub input_schema: String,
}

/// A call of a capability.
#[derive(Clone, Debug, Default)]
pub struct ActionCall {
    /// What is called.
    pub capability: String,
    /// The arguments, which the broker never reads.
    pub args: Bytes,
    /// Media type of the arguments.
    pub content_type: String,
    /// Trace context, baggage, and the user's own.
    pub headers: BTreeMap<String, String>,
    /// How long the caller waits; zero means the broker's default.
    pub timeout: Duration,
    /// Who calls; empty for callers that are no agents.
    pub caller: String,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionOutput {
    /// The result, which the broker never reads.
    pub result: Bytes,
    /// Its media type.
    pub content_type: String,
}

/// The future of an answer. Dropping it cancels the call.
pub type Answer = Pin<Box<dyn Future<Output = Result<ActionOutput, InvokeError>> + Send>>;

/// Whoever serves calls: an agent's session, or Rust code.
pub trait Provider: Send + Sync {
    /// Agent id, for spans and messages.
    fn agent_id(&self) -> &str;

    /// Begins to serve a call. The call's headers carry the context of `broker.invoke`.
    fn call(&self, call: ActionCall) -> Answer;
}

/// A handle on the broker; clones are the same broker.
#[derive(Clone)]
pub struct ActionBroker {
    shared: Arc<Shared>,
}

struct Shared {
    config: BrokerConfig,
    tracer: Tracer,
    providers: RwLock<FxHashMap<String, Vec<Registered>>>,
    next_registration: AtomicU64,
    next_provider: AtomicUsize,
    open_calls: AtomicUsize,
    /// Those of them that are recorded, by the number of the call.
    executions: Mutex<FxHashMap<u64, OpenExecution>>,
    next_call: AtomicU64,
}

#[derive(Clone)]
struct Registered {
    registration: u64,
    provider: Arc<dyn Provider>,
}

/// Keeps capabilities registered for as long as it lives.
pub struct Registration {
    broker: ActionBroker,
    number: u64,
    names: Vec<String>,
}

impl ActionBroker {
    /// A broker that records its spans with `tracer`.
    pub fn new(config: BrokerConfig, tracer: Tracer) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                tracer,
                providers: RwLock::default(),
                next_registration: AtomicU64::new(0),
                next_provider: AtomicUsize::new(0),
                open_calls: AtomicUsize::new(0),
                executions: Mutex::default(),
                next_call: AtomicU64::new(0),
            }),
        }
    }

    /// Makes capabilities known. Several providers of one capability take turns.
    pub fn register(&self, names: Vec<String>, provider: &Arc<dyn Provider>) -> Registration {
        let number = self
            .shared
            .next_registration
            .fetch_add(1, Ordering::Relaxed);
        let mut providers = self.shared.providers.write();
        for name in &names {
            let registered = Registered {
                registration: number,
                provider: Arc::clone(provider),
            };
            providers.entry(name.clone()).or_default().push(registered);
        }
        drop(providers);
        Registration {
            broker: self.clone(),
            number,
            names,
        }
    }

    /// Calls a capability. The parent of the span `broker.invoke` is the context in the call's headers, else the span
    /// that the calling code runs in; the headers that the provider gets carry the context of `broker.invoke`.
    ///
    /// # Errors
    /// Nobody provides it, the provider left, failed or was too slow, or too many calls are open.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call.
    pub async fn invoke(&self, mut call: ActionCall) -> Result<ActionOutput, InvokeError> {
        self.shared.tracer.room().await;
        let parent = parent(&call);
        let mut open = OpenCall {
            broker: self,
            number: self.shared.next_call.fetch_add(1, Ordering::Relaxed),
            span: self.shared.tracer.start(parent, false),
            outcome: None,
        };
        open.capability_is(&call);
        let result = self.serve(&mut call, &mut open).await;
        open.finish(&result);
        result
    }

    /// The calls that wait for their answer, in no order. One that is not recorded has no id, and is not among them.
    pub fn open_executions(&self) -> Vec<OpenExecution> {
        self.shared.executions.lock().values().cloned().collect()
    }

    async fn serve(
        &self,
        call: &mut ActionCall,
        open: &mut OpenCall<'_>,
    ) -> Result<ActionOutput, InvokeError> {
        let shared = &*self.shared;
        let limit = shared.config.max_open_calls;
        let _slot =
            Slot::take(&shared.open_calls, limit).ok_or(InvokeError::Overloaded { open: limit })?;

        let provider = self.pick(&call.capability)?;
        open.provider_is(provider.agent_id());
        if let Some(context) = open.span.context() {
            call.headers
                .insert(header::TRACEPARENT.to_owned(), context.to_string());
        }
        if call.timeout.is_zero() {
            call.timeout = shared.config.default_timeout_ms;
        }
        call.timeout = call.timeout.min(shared.config.max_timeout_ms);

        let deadline = call.timeout;
        let capability = call.capability.clone();
        match timeout(deadline, provider.call(std::mem::take(call))).await {
            Ok(answer) => answer,
            Err(_) => Err(InvokeError::Deadline {
                capability,
                timeout: deadline,
            }),
        }
    }

    fn pick(&self, capability: &str) -> Result<Arc<dyn Provider>, InvokeError> {
        let providers = self.shared.providers.read();
        let registered = providers.get(capability).filter(|list| !list.is_empty());
        let registered =
            registered.ok_or_else(|| InvokeError::UnknownCapability(capability.to_owned()))?;
        let turn = self.shared.next_provider.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::clone(&registered[turn % registered.len()].provider))
    }
}

/// A malformed context is dropped; the call goes on.
fn parent(call: &ActionCall) -> Option<TraceContext> {
    let traceparent = call
        .headers
        .get(header::TRACEPARENT)
        .map_or("", String::as_str);
    read_traceparent(traceparent)
        .ok()
        .flatten()
        .or_else(current_context)
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut providers = self.broker.shared.providers.write();
        for name in &self.names {
            if let Some(list) = providers.get_mut(name) {
                list.retain(|registered| registered.registration != self.number);
                if list.is_empty() {
                    providers.remove(name);
                }
            }
        }
    }
}

/// The span of a call that is open. Dropped before its end, it says that the call was cancelled.
struct OpenCall<'a> {
    broker: &'a ActionBroker,
    number: u64,
    span: HopSpan,
    outcome: Option<FreeDetail>,
}

impl OpenCall<'_> {
    fn capability_is(&mut self, call: &ActionCall) {
        if !self.span.is_recording() {
            return;
        }
        if let Some(context) = self.span.context() {
            let execution = OpenExecution {
                context,
                state: State::Pending,
                agent: String::new(),
                operation: call.capability.clone(),
                attempt: 1,
                since_unix_nano: self.span.start_unix_nano(),
            };
            let mut executions = self.broker.shared.executions.lock();
            executions.insert(self.number, execution);
        }
        let capability: Value = call.capability.clone().into();
        let mut attributes: Vec<(Value, Value)> = vec![
            (attribute::CAPABILITY.into(), capability.clone()),
            (
                attribute::GEN_AI_OPERATION_NAME.into(),
                "execute_tool".into(),
            ),
            (attribute::GEN_AI_TOOL_NAME.into(), capability),
        ];
        if !call.caller.is_empty() {
            attributes.push((attribute::AGENT_ID.into(), call.caller.clone().into()));
        }
        self.outcome = Some(FreeDetail {
            name: span::BROKER_INVOKE.into(),
            attributes,
            ..FreeDetail::default()
        });
    }

    fn provider_is(&mut self, agent_id: &str) {
        if let Some(execution) = self.broker.shared.executions.lock().get_mut(&self.number)
            && let Ok(state) = execution.state.on(Signal::Start)
        {
            execution.state = state;
            agent_id.clone_into(&mut execution.agent);
        }
        if let Some(detail) = &mut self.outcome {
            detail
                .attributes
                .push((attribute::PROVIDER.into(), agent_id.to_owned().into()));
        }
    }

    fn finish(mut self, result: &Result<ActionOutput, InvokeError>) {
        match result {
            Ok(_) => self.end(SpanStatus::Unset, None),
            Err(error) => self.end(
                SpanStatus::Error,
                Some((error.code().name(), error.to_string())),
            ),
        }
    }

    fn end(&mut self, status: SpanStatus, error: Option<(&'static str, String)>) {
        let Some(mut detail) = self.outcome.take() else {
            return;
        };
        self.broker.shared.executions.lock().remove(&self.number);
        if let Some((code, message)) = error {
            detail
                .attributes
                .push((attribute::ERROR_TYPE.into(), code.into()));
            detail.status_message = message;
        }
        self.broker
            .shared
            .tracer
            .end(self.span, SpanKind::Client, status, || {
                SpanDetail::Free(Arc::new(detail))
            });
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        let cancelled = (
            loom_proto::Code::Cancelled.name(),
            "the caller did not wait for the answer".to_owned(),
        );
        self.end(SpanStatus::Error, Some(cancelled));
    }
}

/// One of the calls that may be open at once.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(open: &'a AtomicUsize, limit: usize) -> Option<Self> {
        open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            (open < limit).then_some(open + 1)
        })
        .ok()?;
        Some(Self(open))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
