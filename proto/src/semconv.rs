//! Every span name, attribute key and metric name, once.
//!
//! Names follow OpenTelemetry's semantic conventions 1.44 for messaging (status: development) and the GenAI conventions;
//! what they do not name carries the prefix `loom.` or is a name that Loom promised to its users.
//! `docs/semconv.md` explains each; a test compares page and file. The Python package re-exports them.

/// The conventions that the attributes follow.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
/// Instrumentation scope of the spans that Loom itself records.
pub const SCOPE: &str = "loom";

/// One name and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The constant's identifier.
    pub constant: &'static str,
    /// The name on the wire.
    pub value: &'static str,
    /// Its meaning, in one sentence.
    pub meaning: &'static str,
}

macro_rules! names {
    ($(#[$doc:meta])* $module:ident { $($(#[doc = $meaning:literal])+ $constant:ident = $value:literal;)* }) => {
        $(#[$doc])*
        pub mod $module {
            $($(#[doc = $meaning])+ pub const $constant: &str = $value;)*
            /// All of this module, in the order of the page.
            pub const ALL: &[super::Name] = &[
                $(super::Name { constant: stringify!($constant), value: $value, meaning: concat!($($meaning),+) },)*
            ];
        }
    };
}

names! {
    /// Names of spans.
    span {
        /// The bridge takes an event from an agent's stream; child of the agent's span.
        BRIDGE_PUBLISH = "bridge.publish";
        /// The bus takes an event and routes it; child of `bridge.publish`, or of the caller in process.
        BUS_PUBLISH = "EventBus.publish";
        /// One attempt to hand one event to one subscription of an agent, from the mailbox to the stream.
        BRIDGE_FORWARD = "bridge.forward";
        /// The handler of an agent runs; child of `bridge.forward`.
        ON_EVENT = "agent.on_event";
        /// An agent emits where no span is current: the root of a new trace.
        EMIT = "agent.emit";
        /// Something that an agent did when its process was lost; only what it led to is known.
        LOST = "agent.lost";
        /// The broker takes a call, finds its provider and waits for the answer.
        BROKER_INVOKE = "broker.invoke";
        /// The provider of a capability serves a call; child of `broker.invoke`.
        ON_ACTION = "agent.on_action";
        /// A handler uses a tool; the name of the tool follows, as the GenAI convention has it.
        EXECUTE_TOOL = "execute_tool";
        /// The root of a run; the name of the workflow follows, as the GenAI convention has it.
        INVOKE_WORKFLOW = "invoke_workflow";
    }
}

names! {
    /// Names of events on the spans of handlers.
    event {
        /// The handler says that it thinks.
        AGENT_THINKING = "agent_thinking";
        /// The handler begins to use a tool.
        TOOL_EXECUTING = "tool_executing";
        /// The handler has used a tool.
        TOOL_COMPLETED = "tool_completed";
    }
}

names! {
    /// Keys of attributes.
    attribute {
        /// Agent at the other end of the bridge's stream (spans of the bridge and the broker).
        AGENT_ID = "agent_id";
        /// Topic of the event.
        TOPIC = "topic";
        /// Id of the event, a UUID as text.
        EVENT_ID = "event_id";
        /// Trace id of the span itself, repeated for those who search in attributes.
        TRACE_ID = "trace_id";
        /// Span id of the span itself, repeated for those who search in attributes.
        SPAN_ID = "span_id";
        /// Agent in whose process the span was made (spans of the SDK).
        AGENT = "agent.id";
        /// Id of the handled event (spans of the SDK).
        EVENT = "event.id";
        /// Type of the handled event, in the user's words.
        EVENT_TYPE = "event.type";
        /// Conversation that the event belongs to.
        THREAD_ID = "thread_id";
        /// Joins a reply to its request.
        CORRELATION_ID = "correlation_id";
        /// Always `loom`.
        MESSAGING_SYSTEM = "messaging.system";
        /// Topic of the event, as the convention names it.
        MESSAGING_DESTINATION = "messaging.destination.name";
        /// Id of the event, as the convention names it.
        MESSAGING_MESSAGE_ID = "messaging.message.id";
        /// `publish`, `forward` or `on_event`.
        MESSAGING_OPERATION_NAME = "messaging.operation.name";
        /// `send` or `process`.
        MESSAGING_OPERATION_TYPE = "messaging.operation.type";
        /// Agent id, as the convention names it.
        MESSAGING_CLIENT_ID = "messaging.client.id";
        /// Size of the payload in bytes.
        MESSAGING_BODY_SIZE = "messaging.message.body.size";
        /// Conversation of the event, as the convention names it.
        MESSAGING_CONVERSATION_ID = "messaging.message.conversation_id";
        /// Pattern of the subscription that a delivery is for.
        MESSAGING_SUBSCRIPTION = "messaging.destination.subscription.name";
        /// Group whose agents share the events of a stream.
        MESSAGING_GROUP = "messaging.consumer.group.name";
        /// Number of the delivery attempt, from 1.
        MESSAGING_DELIVERY_ATTEMPT = "messaging.message.delivery_attempt";
        /// How many subscriptions an event was routed to.
        BUS_MATCHED = "loom.bus.matched";
        /// How long a delivery waited in its mailbox, in microseconds.
        QUEUE_WAIT_US = "loom.queue.wait_us";
        /// Name of the called capability.
        CAPABILITY = "loom.broker.capability";
        /// Agent that provides the called capability.
        PROVIDER = "loom.broker.provider";
        /// Agent that calls a capability.
        CALLER = "loom.broker.caller";
        /// True on the link to the event that came last of those which the work of a span has joined.
        JOIN_LAST = "loom.join.last";
        /// Why an operation failed: a code of Loom, or the class of an exception.
        ERROR_TYPE = "error.type";
        /// How an execution ended whose span tells of an error: `FAILED`, which is left out, `TIMEOUT` or `DEAD`.
        EXECUTION_STATE = "loom.execution.state";
        /// What a handler thought; only where contents are captured (event `agent_thinking`).
        THOUGHT = "loom.thought.text";
        /// Characters of a thought (event `agent_thinking`).
        THOUGHT_SIZE = "loom.thought.size";
        /// True on a span that the runtime wrote in the place of one that was lost with its process.
        STAND_IN = "loom.stand_in";
        /// Phase of a handler's work that a span covers, which is also the span's name.
        PHASE = "loom.phase";
        /// How long a phase of a handler took, in milliseconds: its name and `_ms` follow (spans of handlers).
        PHASE_MS_PREFIX = "loom.phase.";
        /// Time from a request to a model until the first token of its answer, in milliseconds, as the SDK measured it.
        TTFT_MS = "loom.llm.ttft_ms";
        /// `invoke_workflow` on runs, `invoke_agent` on handlers, `execute_tool` on capability calls and tools.
        GEN_AI_OPERATION_NAME = "gen_ai.operation.name";
        /// Agent, as the GenAI convention names it.
        GEN_AI_AGENT_ID = "gen_ai.agent.id";
        /// Agent's name, as the GenAI convention names it.
        GEN_AI_AGENT_NAME = "gen_ai.agent.name";
        /// Workflow's name, as the GenAI convention names it.
        GEN_AI_WORKFLOW_NAME = "gen_ai.workflow.name";
        /// Capability or tool, as the GenAI convention names it.
        GEN_AI_TOOL_NAME = "gen_ai.tool.name";
        /// `function` on tools of `loom.tool`.
        GEN_AI_TOOL_TYPE = "gen_ai.tool.type";
        /// What a tool does, in its author's words.
        GEN_AI_TOOL_DESCRIPTION = "gen_ai.tool.description";
        /// Arguments of a tool as JSON; only where contents are captured.
        GEN_AI_TOOL_ARGUMENTS = "gen_ai.tool.call.arguments";
        /// Provider of the model.
        GEN_AI_PROVIDER_NAME = "gen_ai.provider.name";
        /// Old name of `gen_ai.provider.name`: accepted, never stored.
        GEN_AI_SYSTEM = "gen_ai.system";
        /// Model that was asked for.
        GEN_AI_REQUEST_MODEL = "gen_ai.request.model";
        /// Model that answered.
        GEN_AI_RESPONSE_MODEL = "gen_ai.response.model";
        /// Time from a request to a model until the first chunk of its answer, in seconds.
        GEN_AI_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk";
        /// Tokens of a prompt, those from a cache among them.
        GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens";
        /// Tokens of an answer.
        GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens";
        /// Tokens of a prompt and its answer together.
        GEN_AI_TOTAL_TOKENS = "gen_ai.usage.total_tokens";
        /// Tokens of a prompt that its provider had in a cache.
        GEN_AI_CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens";
        /// Tokens of a prompt that its provider put into a cache.
        GEN_AI_CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens";
        /// Kind of the database that a span has asked.
        DB_SYSTEM_NAME = "db.system.name";
        /// Method of an HTTP request.
        HTTP_REQUEST_METHOD = "http.request.method";
        /// Workflow that a span belongs to.
        WORKFLOW_ID = "workflow.id";
        /// Session that a span belongs to.
        SESSION_ID = "session.id";
        /// User on whose behalf a span ran.
        USER_ID = "user.id";
        /// Tenant that a span belongs to.
        TENANT_ID = "tenant.id";
        /// Logical name of the process that made a span (resource).
        SERVICE_NAME = "service.name";
        /// Unique id of the process that made a span (resource).
        SERVICE_INSTANCE_ID = "service.instance.id";
        /// Name of the machine that a span was made on (resource).
        HOST_NAME = "host.name";
        /// Version of Loom (resource).
        SERVICE_VERSION = "service.version";
        /// `loom` (resource).
        TELEMETRY_SDK_NAME = "telemetry.sdk.name";
        /// `rust` or `python` (resource).
        TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language";
        /// Version of Loom's recorder (resource).
        TELEMETRY_SDK_VERSION = "telemetry.sdk.version";
        /// Class of an exception (event `exception`).
        EXCEPTION_TYPE = "exception.type";
        /// Message of an exception (event `exception`).
        EXCEPTION_MESSAGE = "exception.message";
        /// Stack trace of an exception (event `exception`).
        EXCEPTION_STACKTRACE = "exception.stacktrace";
    }
}

names! {
    /// Keys of the string maps in which a trace context may travel. `traceparent` and its kin are W3C's.
    header {
        /// W3C Trace Context.
        TRACEPARENT = "traceparent";
        /// W3C Trace Context, vendors' part.
        TRACESTATE = "tracestate";
        /// W3C Baggage.
        BAGGAGE = "baggage";
        /// Trace id as 32 hex digits: read-only view in an event's metadata.
        TRACE_ID = "trace_id";
        /// Span id as 16 hex digits: read-only view in an event's metadata.
        SPAN_ID = "span_id";
        /// Flags as 2 hex digits: read-only view in an event's metadata.
        TRACE_FLAGS = "trace_flags";
    }
}

names! {
    /// Names of metrics.
    metric {
        /// Events that the bus accepted.
        BUS_PUBLISHED = "loom_bus_published_total";
        /// Events that at least one subscription wanted.
        BUS_ROUTED = "loom_bus_routed_total";
        /// Events that no subscription wanted.
        BUS_UNROUTED = "loom_bus_unrouted_total";
        /// Events times the subscriptions that they were routed to and the groups that read them.
        BUS_OFFERED = "loom_bus_offered_total";
        /// Deliveries that left their mailbox, or that a group has handled.
        BUS_DELIVERED = "loom_bus_delivered_total";
        /// Deliveries lost, by reason.
        BUS_DROPPED = "loom_bus_dropped_total";
        /// Deliveries that a group gave up; each has a dead letter.
        BUS_DEAD_LETTERED = "loom_bus_dead_lettered_total";
        /// Deliveries that retention released before their group had read them.
        BUS_EXPIRED = "loom_bus_expired_total";
        /// Deliveries that wait in a mailbox, or for room in one, or that a group has in memory.
        BUS_QUEUED = "loom_bus_queued";
        /// Events that the bus accepted, by topic; the topics beyond the first 256 are one.
        TOPIC_EVENTS = "loom_topic_events_total";
        /// Deliveries by topic, and by what became of them.
        TOPIC_DELIVERIES = "loom_topic_deliveries_total";
        /// Deliveries that are in flight, by topic.
        TOPIC_IN_FLIGHT = "loom_topic_in_flight";
        /// Events that a stream has taken since it began, those that were released among them.
        STREAM_EVENTS = "loom_stream_events_total";
        /// Publishes that were retries of events which a stream had already.
        STREAM_DUPLICATES = "loom_stream_duplicates_total";
        /// Events that a group has read from its stream.
        GROUP_READ = "loom_group_read_total";
        /// Events that a group has handled.
        GROUP_ACKED = "loom_group_acked_total";
        /// Events that a group has given up; each has a dead letter.
        GROUP_DEAD = "loom_group_dead_total";
        /// Attempts of a group that are made again.
        GROUP_RETRIED = "loom_group_retried_total";
        /// Attempts of a group that took too long.
        GROUP_TIMED_OUT = "loom_group_timed_out_total";
        /// Outcomes of attempts that were over already.
        GROUP_STALE = "loom_group_stale_total";
        /// Events that a group could not read, by reason: damaged, or released before it came to them.
        GROUP_UNREADABLE = "loom_group_unreadable_total";
        /// Events of a group that are in hand, resting, or read ahead.
        GROUP_OPEN = "loom_group_open";
        /// Events of its stream between the oldest that a group has not settled and the newest.
        GROUP_LAG = "loom_group_lag";
        /// Events refused before the bus took them, by code.
        BUS_REJECTED = "loom_bus_rejected_total";
        /// Malformed trace contexts that were dropped, by reason.
        TRACE_INVALID_CONTEXT = "loom_trace_invalid_context_total";
        /// Spans begun: stored, sampled out, dropped or queued.
        SPANS_RECORDED = "loom_spans_recorded_total";
        /// Spans that reached their destination.
        SPANS_EXPORTED = "loom_spans_exported_total";
        /// Spans lost, by reason.
        SPANS_DROPPED = "loom_spans_dropped_total";
        /// Spans of traces that are not sampled.
        SPANS_SAMPLED_OUT = "loom_spans_sampled_out_total";
        /// Spans that wait for their destination.
        SPANS_QUEUED = "loom_spans_queued";
        /// How long handlers took, by agent and by whether they failed (`status`), since the server began; the agents beyond
        /// `api.max_metric_labels` are one.
        EXECUTION_DURATION = "loom_execution_duration_seconds";
        /// From the publish of an event until a delivery of it began, by topic.
        DELIVERY_WAIT = "loom_delivery_wait_seconds";
        /// From the publish of an event until its handler began, by topic.
        PUBLISH_TO_HANDLE = "loom_publish_to_handle_seconds";
        /// Agents that are connected.
        AGENTS_CONNECTED = "loom_agents_connected";
        /// OTLP requests that the trace store took.
        STORE_REQUESTS = "loom_store_requests_total";
        /// Requests to the trace store that were no OTLP.
        STORE_MALFORMED = "loom_store_malformed_requests_total";
        /// Spans that the trace store acknowledged.
        STORE_ACCEPTED = "loom_store_spans_accepted_total";
        /// Spans that the trace store refused for what they are, by reason.
        STORE_REJECTED = "loom_store_spans_rejected_total";
        /// Spans that the trace store refused for want of room, by reason; their senders were told.
        STORE_REFUSED = "loom_store_spans_refused_total";
        /// Spans that are in the trace store.
        STORE_STORED = "loom_store_spans_stored_total";
        /// Acknowledged spans that were not stored, by reason.
        STORE_DROPPED = "loom_store_spans_dropped_total";
        /// Spans that had the id of another one in their trace.
        STORE_CONFLICTS = "loom_store_spans_conflicting_total";
        /// Spans that retention deleted.
        STORE_EXPIRED = "loom_store_spans_expired_total";
        /// Stored calls of models whose tokens are known and whose price is not.
        STORE_UNPRICED = "loom_store_model_calls_unpriced_total";
        /// Failed writes to the trace store's database; each is tried again.
        STORE_ERRORS = "loom_store_write_errors_total";
        /// Spans that were acknowledged and are not yet stored.
        STORE_LAG = "loom_store_lag_spans";
        /// Bytes of the trace store on disk.
        STORE_BYTES = "loom_store_bytes";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice_in_its_module() {
        for names in [
            span::ALL,
            event::ALL,
            attribute::ALL,
            header::ALL,
            metric::ALL,
        ] {
            let mut values: Vec<_> = names.iter().map(|name| name.value).collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), names.len());
        }
    }
}
