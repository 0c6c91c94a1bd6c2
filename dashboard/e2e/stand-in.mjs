// A stand-in for Loom's server, for looking at pages and for tests: the built dashboard, and answers in the form of the API's contract
// out of recorded traces. `node e2e/stand-in.mjs [port]`; with STAND_IN=empty a server that has seen nothing yet.
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as data from "./stand-in/data.mjs";
import * as lists from "./stand-in/lists.mjs";
import * as traces from "./stand-in/traces.mjs";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
// The policy of the real server.
const POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'self'; frame-ancestors 'none'; object-src 'none'";

const NO_BOOKS = { published: 0, delivered: 0, filtered: 0, dead_lettered: 0, expired: 0, in_flight: 0, events: 0, dropped: {} };

class Refusal extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { status, code });
  }
}

/** A page of a list; the cursor is the place of its first item and the query that it belongs to. */
function page(items, query) {
  const limit = Math.min(500, Number(query.get("limit") ?? 50));
  const of = new URLSearchParams([...query].filter(([key]) => !["cursor", "limit"].includes(key))).toString();
  let from = 0;
  if (query.get("cursor")) {
    const [at, mark] = Buffer.from(query.get("cursor"), "base64url").toString().split("|");
    if (mark !== of) throw new Refusal(400, "cursor_mismatch", "cursor: it belongs to another query");
    from = Number(at);
  }
  const more = items.length > from + limit;
  return { items: items.slice(from, from + limit), next_cursor: more ? Buffer.from(`${from + limit}|${of}`).toString("base64url") : null, truncated: more };
}

const NUMBER = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
function durationOf(text) {
  const match = /^(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)$/.exec(text);
  if (!match) throw new Refusal(400, "invalid_argument", `min_duration: must be a duration like 10ms, got "${text}"`);
  return match[1] * NUMBER[match[2]];
}

function searchTraces(world, query) {
  const range = lists.rangeOf(query, world.now);
  const tags = JSON.parse(query.get("tags") || "{}");
  const conditions = [
    ["service", (span, value) => span.service === value], ["operation", (span, value) => span.name === value], ["agent", (span, value) => data.agentOf(span) === value],
    ["topic", (span, value) => data.topicOf(span) === value], ["user", (span, value) => span.attributes["user.id"] === value], ["session", (span, value) => span.attributes["session.id"] === value], ["thread", (span, value) => span.attributes.thread_id === value],
    ["status", (span, value) => (span.status === data.ERROR) === (value === "error")],
  ].filter(([key]) => query.get(key));
  const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const [min, max] = ["min_duration", "max_duration"].map((key) => query.get(key) && durationOf(query.get(key)));
  return world.traces
    .filter((trace) => trace.startMs >= range.from && trace.startMs <= range.to)
    .filter((trace) => !query.get("workflow") || data.workflowOf(trace) === query.get("workflow"))
    .filter((trace) => (!min || data.endOf(trace) >= min) && (!max || data.endOf(trace) <= max))
    .filter((trace) => trace.spans.slice(0, 2000).some((span) => conditions.every(([key, holds]) => holds(span, query.get(key))) && Object.entries(tags).every(([key, value]) => String(span.attributes[key]) === value) && words.every((word) => `${span.name} ${span.message ?? ""} ${Object.values(span.attributes).join(" ")}`.toLowerCase().includes(word))))
    .map(traces.summaryOf)
    .sort((a, b) => (query.get("sort") === "slowest" ? Number(b.duration_ns) - Number(a.duration_ns) : b.start_time < a.start_time ? -1 : 1));
}

export async function standIn({ port = 0, empty = false } = {}) {
  let world = data.world(Date.now());
  const bornAt = Date.now();
  if (empty) world = { now: Date.now(), traces: [], byId: new Map() };
  const dropped = new Set();
  const late = new Map();
  const requests = [];
  const streams = new Set();

  const found = (value, what) => {
    if (value === undefined || value === null) throw new Refusal(404, "not_found", `${what} not found`);
    return value;
  };
  const traceOf = (id) => found(late.has(id) && late.get(id) > Date.now() ? undefined : world.byId.get(id), "trace");
  const routes = [
    ["GET", "info", () => ({ name: "loom", version: "0.1.0", addresses: { bridge: "127.0.0.1:50051", http: "127.0.0.1:8080", otlp_grpc: "127.0.0.1:4317", otlp_http: "127.0.0.1:4318" }, time_unix_nano: data.nsText(Date.now()), started_at: data.iso(bornAt - 5400e3), agents_connected: empty ? 0 : 9, streams: [], span_sinks: ["store"], links: { jaeger_trace: "http://127.0.0.1:16686/trace/{trace_id}?uiFind={span_id}", grafana_trace: null }, capabilities: { redrive: true }, store: { oldest_at: empty ? null : data.iso(bornAt - 5400e3), bytes: 24_600_000, retention: { max_age_s: 604800, max_bytes: null } } })],
    ["GET", "stats", () => ({ requests: 100, accepted: empty ? 1 : 61234, stored: empty ? 1 : 61234, lag: 0, store_bytes: 24_600_000, lost_spans: 0, unpriced: 0, bus: { balanced: true, quiet: false, total: empty ? NO_BOOKS : { published: 8123, delivered: 8100, filtered: 0, dead_lettered: 7, expired: 0, in_flight: 16, events: 5230, dropped: {} }, topics: empty ? [] : ["sensor.data", "processed.data", "market.request", "market.data"].map((topic, at) => ({ topic, published: 2000 - at * 300, delivered: 1990 - at * 300, filtered: 0, dead_lettered: at, expired: 0, in_flight: 10 - at, events: 1500 - at * 200, dropped: {} })) }, spans: { recorded: 61234, stored: 61234, sampled_out: 0, queued: 0, dropped: {} } })],
    ["GET", "agents", (query) => page(lists.agents(world, query), query)],
    ["GET", "agents/:id", (query, id) => found(lists.agents(world, query).find((agent) => agent.agent_id === id), "agent")],
    ["GET", "agents/:id/metrics", (query, id) => ({ agent_id: id, ...lists.metrics(world, query, ({ span }) => data.agentOf(span) === id) })],
    ["GET", "workflows", (query) => page(lists.workflows(world, query), query)],
    ["GET", "workflows/:id", (query, id) => ({ ...found(lists.workflows(world, query).find((one) => one.workflow_id === id), "workflow"), steps: lists.topology(world, new URLSearchParams({ workflow: id })).edges })],
    ["GET", "workflows/:id/metrics", (query, id) => ({ workflow_id: id, ...lists.metrics(world, query, ({ trace }) => data.workflowOf(trace) === id) })],
    ["GET", "metrics", (query) => lists.metrics(world, query)],
    ["GET", "executions", (query) => page(lists.executions(world, query).filter((one) => query.getAll("state").length === 0 || query.getAll("state").includes(one.state)), query)],
    ["GET", "executions/states", (query) => ({ states: lists.executions(world, query).reduce((sum, one) => ({ ...sum, [one.state]: sum[one.state] + 1 }), { PENDING: empty ? 0 : 3, RUNNING: 0, COMPLETED: 0, FAILED: 0, TIMEOUT: 0, DEAD: 0 }) })],
    ["GET", "executions/:id", (query, id) => found(lists.execution(world, id), "execution")],
    ["GET", "events", (query) => page(lists.events(world, query), query)],
    ["GET", "events/:id", (query, id) => found(lists.event(world, id), "event")],
    ["GET", "dead-letters", (query) => page(lists.deadLetters(world).filter((letter) => !dropped.has(letter.letter_id)), query)],
    ["POST", "dead-letters/:group/redrive", (query, group, body) => settle(body, group, "redriven")],
    ["DELETE", "dead-letters/:group", (query, group, body) => settle(body, group, "dropped")],
    ["GET", "traces", (query) => page(searchTraces(world, query), query)],
    ["GET", "traces/:id", (query, id) => traces.traceOf(traceOf(id), world)],
    ["GET", "traces/:id/spans/:span", (query, id, span) => traces.spanOf(traceOf(id), found(traceOf(id).spans.find((one) => one.span_id === span), "span"), world)],
    ["GET", "traces/:id/find", (query, id) => traces.find(traceOf(id), query.get("q") ?? "")],
    ["GET", "traces/:id/critical-path", (query, id) => traces.criticalPath(traceOf(id))],
    ["GET", "traces/:id/compare/:other", (query, id, other) => traces.compare(traceOf(id), traceOf(other))],
    ["GET", "services", (query) => page([...new Set(world.traces.flatMap((trace) => trace.spans.slice(0, 500).map((span) => span.service)))].sort().map((name) => ({ name, operations: 3 })), query)],
    ["GET", "suggest", (query) => ({ values: suggest(query.get("field"), query.get("prefix") ?? "") })],
    ["GET", "topology", (query) => lists.topology(world, query)],
  ].map(([method, path, answer]) => ({ method, answer, pattern: new RegExp(`^/api/v1/${path.replace(/:\w+/g, "([^/]+)")}$`) }));

  function settle(body, group, what) {
    const letters = lists.deadLetters(world).filter((one) => (group === "-" || one.group === group) && !dropped.has(one.letter_id) && (body.letter_ids === null || body.letter_ids.includes(one.letter_id)));
    for (const letter of letters) dropped.add(letter.letter_id);
    return { [what]: letters.length };
  }
  function suggest(field, prefix) {
    const of = { agent: data.agentOf, service: (span) => span.service, operation: (span) => span.name, topic: data.topicOf, workflow: (span) => span.attributes["workflow.id"] }[field];
    const values = new Set(world.traces.flatMap((trace) => trace.spans.slice(0, 500).map(of ?? (() => null))));
    return [...values].filter((value) => value?.startsWith(prefix)).sort().slice(0, 50);
  }

  /** Frames of the live stream, several a second; each reader gets what it asked for. */
  function stream(request, response, query) {
    const topics = new Set((query.get("topics") ?? "agents,topology").split(","));
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    let seq = Number((query.get("last_event_id") ?? "boot-0").split("-")[1]);
    const send = (event, body) => {
      seq += 1;
      response.write(`id: boot-${seq}\nevent: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
    };
    response.write("retry: 200\n\n");
    send("hello", { boot: "boot", seq: String(seq) });
    const beat = () => {
      if (world.traces.length === 0) return;
      if (topics.has("agents")) send("agents", { connected: lists.agents(world, new URLSearchParams()).map(({ agent_id, instance_id }) => ({ agent_id, instance_id })) });
      if (topics.has("topology")) send("topology", lists.topology({ ...world, now: Date.now() }, new URLSearchParams(), Math.sin(Date.now() / 4000) * 0.3));
      if (topics.has("events")) send("events", { skipped_spans: 0, items: lists.events(world, new URLSearchParams()).slice(0, 1).map((event) => ({ ...event, time: data.iso(Date.now()), time_ns: data.nsText(Date.now(), seq) })) });
    };
    beat();
    const timer = setInterval(beat, 1000);
    const reader = { send, end: () => response.destroy() };
    streams.add(reader);
    response.on("close", () => {
      clearInterval(timer);
      streams.delete(reader);
    });
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://stand-in");
    requests.push(`${request.method} ${url.pathname}`);
    const json = (status, body, type = "application/json") => response.writeHead(status, { "content-type": type }).end(JSON.stringify(body));
    if (!url.pathname.startsWith("/api/")) return file(url.pathname, response);
    if (url.pathname === "/api/v1/stream") return stream(request, response, url.searchParams);
    try {
      for (const { method, pattern, answer } of routes) {
        const match = pattern.exec(url.pathname);
        if (!match || method !== request.method) continue;
        let text = "";
        for await (const chunk of request) text += chunk;
        const parts = match.slice(1).map(decodeURIComponent);
        return json(200, answer(url.searchParams, ...parts, ...(text ? [JSON.parse(text)] : [])));
      }
      throw new Refusal(404, "not_found", "no such route");
    } catch (error) {
      const status = error.status ?? 500;
      return json(status, { type: "about:blank", title: status === 404 ? "Not Found" : "Bad Request", status, detail: error.message, code: error.code ?? "internal" }, "application/problem+json");
    }
  });

  function file(path, response) {
    const name = normalize(join(DIST, path));
    const there = name.startsWith(DIST) && existsSync(name) && statSync(name).isFile();
    const headers = { "content-security-policy": POLICY, "x-content-type-options": "nosniff", "cache-control": "no-cache" };
    if (there && extname(name) !== ".html") {
      response.writeHead(200, { ...headers, "content-type": TYPES[extname(name)] ?? "application/octet-stream" });
      return createReadStream(name).pipe(response);
    }
    return response.writeHead(200, { ...headers, "content-type": TYPES[".html"] }).end(readFileSync(join(DIST, "index.html")));
  }

  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    get world() { return world; },
    requests,
    streams,
    /** The trace is not there for some ms yet. */
    delay: (id, ms) => late.set(id, Date.now() + ms),
    /** What an empty server has seen from now on. */
    fill: () => { world = data.world(Date.now()); empty = false; },
    close: () => { server.closeAllConnections(); return new Promise((resolve) => server.close(resolve)); },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const server = await standIn({ port: Number(process.argv[2] ?? 8090), empty: process.env.STAND_IN === "empty" });
  process.stdout.write(`${server.url}\n`);
}
