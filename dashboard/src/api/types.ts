// What the server answers below /api/v1. Field names are the wire's own; 64-bit nanoseconds are decimal text; what nobody
// measured is null. To be generated from openapi.json once the server has one: keep the names.

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
  truncated: boolean;
}

export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  instance?: string;
  code?: string;
  trace_id?: string;
  errors?: { pointer: string; detail: string }[];
}

export interface Info {
  name: string;
  version: string;
  addresses: { bridge?: string | null; http?: string | null; otlp_grpc?: string | null; otlp_http?: string | null };
  time_unix_nano: string;
  started_at: string;
  agents_connected: number;
  streams?: { name: string; topics: string[] }[];
  span_sinks?: string[];
  links?: { jaeger_trace: string | null; grafana_trace: string | null };
  capabilities?: { redrive: boolean };
  store?: {
    oldest_at: string | null;
    bytes: number;
    retention: { max_age_s: number | null; max_bytes: number | null };
  };
}

/** null: nobody has counted. */
export interface Activity {
  executions: number | null;
  errors: number | null;
  error_rate: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
  last_at: string | null;
}

export interface Agent {
  agent_id: string;
  state: "connected" | "gone";
  instance_id?: string;
  client?: string;
  connected_at?: string;
  last_seen_at: string | null;
  subscriptions: { id?: number | string; pattern: string; qos: string }[];
  capabilities: { name: string; description?: string; input_schema?: unknown }[];
  activity: Activity;
}

export interface Quantiles {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface Series {
  at: string[];
  executions: (number | null)[];
  errors: (number | null)[];
  p50_ms: (number | null)[];
  p95_ms: (number | null)[];
  total_tokens: (number | null)[];
  cost_usd: (number | null)[];
}

export interface Metrics {
  agent_id?: string;
  workflow_id?: string;
  time_range?: string | null;
  from: string;
  to: string;
  window_s?: number;
  sample_count?: number;
  complete?: boolean;
  executions: { count: number; errors: number; error_rate: number | null; duration_ms: Quantiles | null };
  phases: Record<string, number>;
  model_calls: {
    count: number;
    errors: number;
    error_rate: number | null;
    duration_ms: Quantiles | null;
    ttft_ms: Quantiles | null;
    prompt_tokens: number | null;
    completion_tokens: number | null;
    total_tokens: number | null;
    cost_usd: number | null;
    without_cost: number;
  };
  step_s: number;
  series: Series | null;
  by_agent?: { agent_id: string; count: number; errors: number; p95_ms: number | null }[];
  by_workflow?: { workflow_id: string; count: number; errors: number; p95_ms: number | null }[];
}

export interface Workflow {
  workflow_id: string;
  traces: number;
  executions: number;
  errors: number;
  error_rate: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
  last_at: string | null;
  agents: string[];
  steps?: Edge[];
}

export const EXECUTION_STATES = ["PENDING", "RUNNING", "COMPLETED", "FAILED", "TIMEOUT", "DEAD"] as const;
export type ExecutionState = (typeof EXECUTION_STATES)[number];

export interface Execution {
  execution_id: string;
  trace_id: string;
  parent_span_id: string | null;
  span_id: string | null;
  agent_name: string | null;
  operation: string | null;
  state: ExecutionState;
  attempt: number | null;
  start_time: string;
  end_time: string | null;
  duration_ms: number | null;
  error_message: string | null;
  event_id: string | null;
  correlation_id: string | null;
  workflow_id: string | null;
  user_id: string | null;
  thread_id: string | null;
  metadata?: Record<string, unknown>;
  timing?: ExecutionTiming | null;
}

export interface ExecutionTiming {
  total_ms: number | null;
  queue_wait_ms: number | null;
  phases: Record<string, number> | null;
  llm_ms: number | null;
  tool_ms: number | null;
  database_ms: number | null;
  http_ms: number | null;
}

export interface BusEvent {
  event_id: string;
  topic: string;
  sender: string | null;
  time: string;
  time_ns: string;
  trace_id: string;
  span_id: string;
  size: number | null;
  matched: number | null;
  event_type: string | null;
  correlation_id: string | null;
  thread_id: string | null;
  workflow_id: string | null;
  status: "ok" | "error";
}

export interface Delivery {
  subscriber: string;
  subscription: string | null;
  group: string | null;
  attempt: number;
  span_id: string;
  state: ExecutionState | null;
  wait_ms: number | null;
  duration_ms: number | null;
  error_message: string | null;
}

export interface BusEventDetail extends BusEvent {
  deliveries: Delivery[];
  /** null: its topic has no stream, or retention has released it. */
  kept: {
    stream: string;
    offset: number | string;
    payload_text: string | null;
    payload_base64: string | null;
    truncated: boolean;
    metadata: Record<string, string>;
  } | null;
}

export interface DeadLetter {
  letter_id: string;
  time: string;
  topic: string;
  event_id: string;
  type: string | null;
  stream: string;
  offset: number | string;
  group: string;
  thread_id: string | null;
  sender: string | null;
  trace_id: string | null;
  span_id: string | null;
  error: string | null;
  attempts: { number: number; ended_at: string | null; span_id: string | null; error: string | null }[];
  metadata: Record<string, string>;
  content_type: string | null;
  payload_size: number | null;
}

export interface TraceSummary {
  trace_id: string;
  root_name: string | null;
  root_service: string | null;
  start_time: string;
  start_ns: string;
  duration_ns: string;
  spans: number;
  errors: number;
  orphans: number;
  services: string[];
  agents: string[];
  workflow_id: string | null;
}

export interface TimeSummary {
  work_ns: number;
  bus_wait_ns: number;
  delivery_ns: number;
  llm_ns: number;
  tool_ns: number;
  other_ns: number;
}

/** One entry per span in every column; numbers in `name`, `service`, `agent`, `scope` and `topic` point into the tables. */
export interface TraceColumns {
  span_id: string[];
  parent_span_id: (string | null)[];
  name: number[];
  service: number[];
  agent: (number | null)[];
  scope: number[];
  topic: (number | null)[];
  kind: number[];
  /** ns after `start_ns` */
  start: number[];
  /** ns */
  duration: number[];
  /** OTLP: 0 unset, 1 ok, 2 error */
  status: number[];
  events: number[];
  links: number[];
  /** bit 0 stand-in, 1 orphan, 2 model call, 3 tool */
  flags: number[];
  /** ns in the mailbox before this span */
  wait: (number | null)[];
}

export const FLAG = { standIn: 1, orphan: 2, llm: 4, tool: 8 } as const;

export interface Trace {
  trace_id: string;
  truncated: boolean;
  start_ns: string;
  duration_ns: string;
  spans: number;
  errors: number;
  orphans: number;
  roots: number;
  names: string[];
  services: string[];
  agents: string[];
  scopes: string[];
  topics: string[];
  columns: TraceColumns;
  linked_from: { trace_id: string; span_id: string; name: string; to_span_id: string }[];
  linked_to: { trace_id: string; span_id: string; from_span_id: string; attributes: Record<string, unknown> }[];
  summary: TimeSummary | null;
}

export interface SpanDetail {
  trace_id: string;
  span_id: string;
  parent_span_id: string | null;
  name: string;
  kind: string;
  service: string;
  start_time: string;
  start_ns: string;
  end_ns: string;
  duration_ns: string;
  status: "unset" | "ok" | "error";
  status_message: string | null;
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
  scope: { name: string; version: string; attributes: Record<string, unknown> };
  events: { name: string; time_ns: string; attributes: Record<string, unknown> }[];
  links: { trace_id: string; span_id: string; attributes: Record<string, unknown> }[];
  linked_from: { trace_id: string; span_id: string; name: string }[];
  agent_id: string | null;
  workflow_id: string | null;
  session_id: string | null;
  user_id: string | null;
  tenant_id: string | null;
  thread_id: string | null;
  event_id: string | null;
  execution_id: string | null;
  performance: {
    ttft_ms: number | null;
    prompt_tokens: number | null;
    completion_tokens: number | null;
    total_tokens: number | null;
    cost_usd: number | null;
    model: string | null;
    provider: string | null;
    phases: Record<string, number> | null;
  } | null;
}

export type TimeKind = "work" | "bus_wait" | "delivery" | "llm" | "tool" | "other";

export interface CriticalPath {
  segments: { span_id: string; from: number; to: number; kind: TimeKind }[];
  summary: TimeSummary;
}

export interface Comparison {
  nodes: { path: string[]; a: ComparedNode | null; b: ComparedNode | null }[];
  truncated?: boolean;
}

export interface ComparedNode {
  count: number;
  duration_ns: number | string;
}

export type Node = { kind: "agent" | "topic"; id: string };

export interface Edge {
  from: Node;
  to: Node;
  per_s: number;
  count: number;
  errors: number;
  p50_ms: number | null;
  p95_ms: number | null;
  kind: "publish" | "deliver" | "call";
}

export interface Topology {
  window_s: number;
  at: string;
  seq: string;
  agents: {
    agent_id: string;
    state: "connected" | "gone";
    executions_per_s: number;
    errors_per_s: number;
    p95_ms: number | null;
  }[];
  topics: { topic: string; published_per_s: number; unrouted: number }[];
  edges: Edge[];
}

export interface Books {
  published: number;
  delivered: number;
  filtered: number;
  dead_lettered: number;
  expired: number;
  in_flight: number;
  events?: number;
  dropped: Record<string, number>;
}

export interface Stats {
  accepted?: number;
  stored?: number;
  lag?: number;
  store_bytes?: number;
  lost_spans?: number;
  unpriced?: number;
  bus?: { balanced: boolean; quiet: boolean; total: Books; topics: (Books & { topic: string })[] };
  spans?: { recorded: number; stored: number; sampled_out: number; queued: number; dropped: Record<string, number> };
}
