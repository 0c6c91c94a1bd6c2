// The one door to the wire: every request of the dashboard is made here, and every answer is looked at before anybody uses it.
import { type Answer, type Asked, type Query, type Route, pathOf } from "./routes";
import type { Agent, ColumnsOfSpans, Dropped, Problem, Redriven, WhichLetters } from "./types";
import { parseVisible } from "../lib/text";

export type Params = Record<string, string | number | boolean | string[] | null | undefined>;

/** The server has answered that it cannot do what was asked. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string | null;
  /** Empty where something in the server's place has answered. */
  readonly problem: Partial<Problem>;

  constructor(status: number, problem: Partial<Problem>) {
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
    const problem = /json/.test(type) ? ((await response.json().catch(() => ({}))) as Partial<Problem>) : {};
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
async function get<R extends Route>(route: R, needs: (keyof Answer<R> & string)[], asked: Asked<R>, signal?: AbortSignal): Promise<Answer<R>> {
  const { path: ids, query } = asked as { path?: Record<string, string>; query?: Params };
  const path = pathOf(route, ids);
  const answer = await request("GET", path, query, undefined, signal);
  if (typeof answer !== "object" || answer === null) throw new BadAnswer(path, "is no object");
  const missing = needs.find((field) => !(field in answer));
  if (missing) throw new BadAnswer(path, `has no field ${missing}`);
  return answer as Answer<R>;
}

/** Where replies come to an agent is nobody's business but its SDK's. */
const withoutInbox = (agent: Agent): Agent => ({ ...agent, subscriptions: agent.subscriptions.filter((one) => !one.pattern.startsWith("_inbox.")) });

const COLUMNS: (keyof ColumnsOfSpans)[] = [
  "span_id", "parent_span_id", "name", "service", "agent", "scope", "topic", "kind", "start", "duration", "status", "events", "links", "flags", "wait",
];

export const api = {
  info: (signal?: AbortSignal) => get("/api/v1/info", ["version", "started_at"], {}, signal),
  stats: (signal?: AbortSignal) => get("/api/v1/stats", ["bus"], {}, signal),

  agents: async (signal?: AbortSignal) => {
    const page = await get("/api/v1/agents", ["items"], { query: { state: "all" } }, signal);
    return { ...page, items: page.items.map(withoutInbox) };
  },
  agent: async (id: string, signal?: AbortSignal) => withoutInbox(await get("/api/v1/agents/{id}", ["agent_id", "subscriptions"], { path: { id } }, signal)),
  agentMetrics: (id: string, query: Query<"/api/v1/agents/{id}/metrics">, signal?: AbortSignal) =>
    get("/api/v1/agents/{id}/metrics", ["executions", "series"], { path: { id }, query }, signal),

  workflows: (query: Query<"/api/v1/workflows">, signal?: AbortSignal) => get("/api/v1/workflows", ["items"], { query }, signal),
  workflow: (id: string, query: Query<"/api/v1/workflows/{id}">, signal?: AbortSignal) =>
    get("/api/v1/workflows/{id}", ["workflow_id", "steps"], { path: { id }, query }, signal),
  workflowMetrics: (id: string, query: Query<"/api/v1/workflows/{id}/metrics">, signal?: AbortSignal) =>
    get("/api/v1/workflows/{id}/metrics", ["executions", "series"], { path: { id }, query }, signal),
  metrics: (query: Query<"/api/v1/metrics">, signal?: AbortSignal) => get("/api/v1/metrics", ["executions", "series"], { query }, signal),

  executions: (query: Query<"/api/v1/executions">, signal?: AbortSignal) => get("/api/v1/executions", ["items"], { query }, signal),
  executionStates: (query: Query<"/api/v1/executions/states">, signal?: AbortSignal) => get("/api/v1/executions/states", ["states"], { query }, signal),
  execution: (id: string, signal?: AbortSignal) => get("/api/v1/executions/{id}", ["execution_id", "state"], { path: { id } }, signal),

  events: (query: Query<"/api/v1/events">, signal?: AbortSignal) => get("/api/v1/events", ["items"], { query }, signal),
  event: (id: string, signal?: AbortSignal) => get("/api/v1/events/{id}", ["event_id", "deliveries"], { path: { id } }, signal),

  deadLetters: (query: Query<"/api/v1/dead-letters">, signal?: AbortSignal) => get("/api/v1/dead-letters", ["items"], { query }, signal),
  redrive: (group: string, letterIds: string[]) =>
    request("POST", pathOf("/api/v1/dead-letters/{group}/redrive", { group }), {}, { letter_ids: letterIds } satisfies WhichLetters) as Promise<Redriven>,
  dropLetters: (group: string, letterIds: string[]) =>
    request("DELETE", pathOf("/api/v1/dead-letters/{id}", { id: group }), {}, { letter_ids: letterIds } satisfies WhichLetters) as Promise<Dropped>,

  traces: (query: Query<"/api/v1/traces">, signal?: AbortSignal) => get("/api/v1/traces", ["items"], { query }, signal),
  trace: async (id: string, signal?: AbortSignal) => {
    const trace = await get("/api/v1/traces/{id}", ["columns", "names", "services", "agents", "topics", "start_ns"], { path: { id } }, signal);
    const count = trace.columns.span_id?.length;
    const bad = COLUMNS.find((column) => trace.columns[column]?.length !== count);
    if (bad) throw new BadAnswer(pathOf("/api/v1/traces/{id}", { id }), `has no whole column ${bad}`);
    return trace;
  },
  span: (id: string, span: string, signal?: AbortSignal) =>
    get("/api/v1/traces/{id}/spans/{span_id}", ["span_id", "attributes"], { path: { id, span_id: span } }, signal),
  find: (id: string, q: string, signal?: AbortSignal) => get("/api/v1/traces/{id}/find", ["span_ids"], { path: { id }, query: { q } }, signal),
  criticalPath: (id: string, signal?: AbortSignal) => get("/api/v1/traces/{id}/critical-path", ["segments"], { path: { id } }, signal),
  compare: (a: string, b: string, signal?: AbortSignal) => get("/api/v1/traces/{a}/compare/{b}", ["nodes"], { path: { a, b } }, signal),
  suggest: (query: Query<"/api/v1/suggest">, signal?: AbortSignal) => get("/api/v1/suggest", ["values"], { query }, signal),

  topology: (query: Query<"/api/v1/topology">, signal?: AbortSignal) => get("/api/v1/topology", ["agents", "topics", "edges"], { query }, signal),
};
