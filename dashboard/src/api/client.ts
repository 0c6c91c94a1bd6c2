// The one door to the wire: every request of the dashboard is made here, and every answer is looked at before anybody uses it.
import type {
  Activity,
  Agent,
  BusEvent,
  BusEventDetail,
  Comparison,
  CriticalPath,
  DeadLetter,
  Execution,
  ExecutionState,
  Info,
  Metrics,
  Page,
  Problem,
  SpanDetail,
  Stats,
  Topology,
  Trace,
  TraceColumns,
  TraceSummary,
  Workflow,
} from "./types";
import { parseVisible } from "../lib/text";
import { resolveTime } from "../lib/time-range";

export type Params = Record<string, string | number | boolean | string[] | null | undefined>;

/** The server has answered that it cannot do what was asked. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly problem: Problem;

  constructor(status: number, problem: Problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code ?? null;
    this.problem = problem;
  }
}

/** No answer came: the server is down, or something stands between. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super("the server does not answer", { cause });
    this.name = "Unreachable";
  }
}

/** An answer that is none of this API's: another version, or a proxy that answers in the server's place. */
export class BadAnswer extends Error {
  constructor(path: string, what: string) {
    super(`the answer of ${path} ${what}`);
    this.name = "BadAnswer";
  }
}

/** The address of a path of the server, below whatever path it stands. */
export function urlOf(path: string, params: Params = {}): string {
  const url = new URL(path, document.baseURI);
  for (const [key, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(key, String(one));
  }
  return url.toString();
}

async function request(method: string, path: string, params?: Params, body?: unknown, signal?: AbortSignal) {
  let response: Response;
  try {
    response = await fetch(urlOf(path, params), {
      method,
      signal,
      headers: body === undefined ? { accept: "application/json" } : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(error);
  }
  const type = response.headers.get("content-type") ?? "";
  if (!response.ok) {
    const problem = /json/.test(type) ? ((await response.json().catch(() => ({}))) as Problem) : {};
    throw new ApiError(response.status, problem);
  }
  if (!/json/.test(type)) throw new BadAnswer(path, `is no JSON but ${type || "of no type"}`);
  const text = await response.text();
  try {
    return parseVisible(text);
  } catch {
    throw new BadAnswer(path, "is broken JSON");
  }
}

/** GET, and a check that the answer has the fields which the pages rely on. */
async function get<T>(path: string, needs: (keyof T & string)[], params?: Params, signal?: AbortSignal): Promise<T> {
  const answer = await request("GET", path, params, undefined, signal);
  if (typeof answer !== "object" || answer === null) throw new BadAnswer(path, "is no object");
  const missing = needs.find((field) => !(field in answer));
  if (missing) throw new BadAnswer(path, `has no field ${missing}`);
  return answer as T;
}

const list = <T>(path: string, params?: Params, signal?: AbortSignal) =>
  get<Page<T>>(path, ["items"], params, signal);

const part = encodeURIComponent;

const UNCOUNTED: Activity = { executions: null, errors: null, error_rate: null, p50_ms: null, p95_ms: null, last_at: null };

/** An agent of a server that says less: who is listed is connected, and what is not counted is not known. */
export const wholeAgent = (agent: Partial<Agent> & Pick<Agent, "agent_id">): Agent => ({
  state: "connected", last_seen_at: null, capabilities: [], activity: UNCOUNTED, ...agent,
  // Where replies come to an agent is nobody's business but its SDK's.
  subscriptions: (agent.subscriptions ?? []).filter((one) => !one.pattern.startsWith("_inbox.")),
});

/** Figures of a server that tells no course of them. */
const withSeries = (metrics: Metrics): Metrics => ({ ...metrics, series: metrics.series ?? null });

const COLUMNS: (keyof TraceColumns)[] = [
  "span_id", "parent_span_id", "name", "service", "agent", "scope", "topic", "kind", "start", "duration", "status", "events", "links", "flags", "wait",
];

/** With relative times made absolute, for routes that know no others; none of their cursors belongs to a time. */
function absolute(params: Params): Params {
  const now = Date.now();
  const one = (value: Params[string]) => {
    const ms = typeof value === "string" ? resolveTime(value, now) : null;
    return ms === null ? value : new Date(ms).toISOString();
  };
  return { ...params, from: one(params.from), to: one(params.to) };
}

export const api = {
  info: (signal?: AbortSignal) => get<Info>("api/v1/info", ["version", "started_at"], {}, signal),
  stats: (signal?: AbortSignal) => get<Stats>("api/v1/stats", [], {}, signal),

  agents: async (params: Params, signal?: AbortSignal): Promise<Page<Agent>> => {
    const page = await list<Agent>("api/v1/agents", { state: "all", ...params }, signal);
    return { ...page, items: page.items.map(wholeAgent) };
  },
  agent: async (id: string, params: Params, signal?: AbortSignal) =>
    wholeAgent(await get<Agent>(`api/v1/agents/${part(id)}`, ["agent_id"], params, signal)),
  agentMetrics: (id: string, params: Params, signal?: AbortSignal) =>
    get<Metrics>(`api/v1/agents/${part(id)}/metrics`, ["executions"], params, signal).then(withSeries),

  workflows: (params: Params, signal?: AbortSignal) => list<Workflow>("api/v1/workflows", params, signal),
  workflow: (id: string, params: Params, signal?: AbortSignal) =>
    get<Workflow>(`api/v1/workflows/${part(id)}`, ["workflow_id"], params, signal),
  workflowMetrics: (id: string, params: Params, signal?: AbortSignal) =>
    get<Metrics>(`api/v1/workflows/${part(id)}/metrics`, ["executions"], params, signal).then(withSeries),
  metrics: (params: Params, signal?: AbortSignal) =>
    get<Metrics>("api/v1/metrics", ["executions"], params, signal).then(withSeries),

  executions: (params: Params, signal?: AbortSignal) => list<Execution>("api/v1/executions", absolute(params), signal),
  executionStates: (params: Params, signal?: AbortSignal) =>
    get<{ states: Partial<Record<ExecutionState, number>> }>("api/v1/executions/states", ["states"], absolute(params), signal),
  execution: (id: string, signal?: AbortSignal) =>
    get<Execution>(`api/v1/executions/${part(id)}`, ["execution_id", "state"], {}, signal),

  events: (params: Params, signal?: AbortSignal) => list<BusEvent>("api/v1/events", params, signal),
  event: (id: string, signal?: AbortSignal) =>
    get<BusEventDetail>(`api/v1/events/${part(id)}`, ["event_id", "deliveries"], {}, signal),

  deadLetters: (params: Params, signal?: AbortSignal) => list<DeadLetter>("api/v1/dead-letters", params, signal),
  redrive: (group: string, letterIds: string[]) =>
    request("POST", `api/v1/dead-letters/${part(group)}/redrive`, {}, { letter_ids: letterIds }) as Promise<{ redriven: number }>,
  dropLetters: (group: string, letterIds: string[]) =>
    request("DELETE", `api/v1/dead-letters/${part(group)}`, {}, { letter_ids: letterIds }) as Promise<{ dropped: number }>,

  traces: (params: Params, signal?: AbortSignal) => list<TraceSummary>("api/v1/traces", params, signal),
  trace: async (id: string, signal?: AbortSignal) => {
    const path = `api/v1/traces/${part(id)}`;
    const trace = await get<Trace>(path, ["columns", "names", "services", "agents", "topics", "start_ns"], {}, signal);
    const count = trace.columns.span_id?.length;
    const bad = COLUMNS.find((column) => trace.columns[column]?.length !== count);
    if (bad) throw new BadAnswer(path, `has no whole column ${bad}`);
    return trace;
  },
  span: (trace: string, span: string, signal?: AbortSignal) =>
    get<SpanDetail>(`api/v1/traces/${part(trace)}/spans/${part(span)}`, ["span_id", "attributes"], {}, signal),
  find: (trace: string, q: string, signal?: AbortSignal) =>
    get<{ span_ids: string[]; truncated: boolean }>(`api/v1/traces/${part(trace)}/find`, ["span_ids"], { q }, signal),
  criticalPath: (trace: string, signal?: AbortSignal) =>
    get<CriticalPath>(`api/v1/traces/${part(trace)}/critical-path`, ["segments"], {}, signal),
  compare: (a: string, b: string, signal?: AbortSignal) =>
    get<Comparison>(`api/v1/traces/${part(a)}/compare/${part(b)}`, ["nodes"], {}, signal),
  services: (signal?: AbortSignal) => list<{ name: string; operations: number }>("api/v1/services", {}, signal),
  suggest: (field: string, prefix: string, signal?: AbortSignal) =>
    get<{ values: string[] }>("api/v1/suggest", ["values"], { field, prefix }, signal),

  topology: (params: Params, signal?: AbortSignal) =>
    get<Topology>("api/v1/topology", ["agents", "topics", "edges"], params, signal),
};
