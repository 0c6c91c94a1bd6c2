// Answers about agents, executions, events, workflows, metrics and the topology, all taken from the same traces.
import { ERROR, agentOf, endOf, executionsOf, isLlm, iso, nsText, publishesOf, topicOf, waitOf, workflowOf } from "./data.mjs";

const UNITS = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** `now-15m`, RFC 3339 or ns, in ms. */
export function timeOf(text, now, otherwise) {
  if (!text) return otherwise;
  if (text === "now") return now;
  const relative = /^now-(\d+)([smhd])$/.exec(text);
  if (relative) return now - relative[1] * UNITS[relative[2]];
  return /^\d+$/.test(text) ? Number(BigInt(text) / 1000000n) : Date.parse(text);
}

export function rangeOf(query, now) {
  const length = /^(\d+)([smhd])$/.exec(query.get("time_range") ?? "");
  const from = length ? now - length[1] * UNITS[length[2]] : timeOf(query.get("from"), now, now - 86400e3);
  return { from, to: timeOf(query.get("to"), now, now) };
}

const within = (range) => (trace) => trace.startMs >= range.from && trace.startMs <= range.to;

const quantile = (sorted, q) => (sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))]);
export function quantiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0 ? null : { p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), p99: quantile(sorted, 0.99) };
}

const ms = (ns) => ns / 1e6;
const counted = (spans) => {
  const errors = spans.filter((span) => span.status === ERROR).length;
  const times = quantiles(spans.map((span) => ms(span.duration)));
  return { executions: spans.length, errors, error_rate: spans.length ? errors / spans.length : null, p50_ms: times?.p50 ?? null, p95_ms: times?.p95 ?? null };
};

const SMALL = (trace) => trace.spans.length < 5000 && !trace.trace_id.startsWith("badbad");
const withTrace = (trace) => (span) => ({ span, trace, at: trace.startMs + span.start / 1e6 });

export function agents(world, query) {
  const range = query.get("from") || query.get("time_range") ? rangeOf(query, world.now) : { from: world.now - 3600e3, to: world.now };
  const runs = world.traces.filter(SMALL).filter(within(range)).flatMap((trace) => executionsOf(trace).map(withTrace(trace)));
  const ids = [...new Set(world.traces.filter(SMALL).flatMap((trace) => trace.spans.map(agentOf)))].filter(Boolean).sort();
  return ids.map((agent_id, at) => {
    const own = runs.filter((run) => agentOf(run.span) === agent_id);
    const last = own.reduce((latest, run) => Math.max(latest, run.at), 0);
    const gone = agent_id === "executor";
    const topics = [...new Set(own.map((run) => topicOf(run.span)).filter(Boolean))];
    return {
      agent_id, state: gone ? "gone" : "connected", instance_id: `0199-${at}`, client: "loom-python 0.1.0", connected_at: gone ? undefined : iso(world.now - 3600e3 * (at + 1)),
      last_seen_at: iso(gone ? world.now - 900e3 : world.now - 3e3), subscriptions: topics.map((pattern, id) => ({ id, pattern, qos: id % 2 ? "batched" : "realtime" })),
      capabilities: agent_id === "model" ? [{ name: "complete", description: "Answers a prompt", input_schema: { type: "object", properties: { prompt: { type: "string" } } } }] : [],
      queued: gone ? null : at % 4, activity: { ...counted(own.map((run) => run.span)), last_at: last ? iso(last) : null },
    };
  });
}

const STATE = (span) => (span.attributes["loom.execution.state"] ?? (span.status === ERROR ? "FAILED" : "COMPLETED"));

export function executions(world, query) {
  const range = rangeOf(query, world.now);
  const stored = world.traces.filter(SMALL).filter(within(range)).flatMap((trace) =>
    executionsOf(trace).map((span, at) => ({
      execution_id: span.parent, trace_id: trace.trace_id, parent_span_id: span.parent, span_id: span.span_id, agent_name: agentOf(span),
      operation: topicOf(span) ?? span.attributes["loom.broker.capability"] ?? null,
      // Two states that the demos do not reach, so that they can be looked at.
      state: at === 3 && trace.startMs % 5 === 0 ? "TIMEOUT" : at === 2 && trace.startMs % 7 === 0 ? "DEAD" : STATE(span),
      attempt: 1, start_time: iso(trace.startMs + span.start / 1e6), end_time: iso(trace.startMs + (span.start + span.duration) / 1e6), duration_ms: ms(span.duration),
      error_message: span.message, event_id: span.attributes["event.id"] ?? null, correlation_id: span.attributes.correlation_id ?? null, workflow_id: workflowOf(trace),
      user_id: span.attributes["user.id"] ?? null, thread_id: span.attributes.thread_id ?? null,
    })),
  );
  const open = range.to >= world.now - 1000 ? [{
    execution_id: "00000000feed0001", trace_id: world.traces[0].trace_id, parent_span_id: "00000000feed0001", span_id: null, agent_name: "planner", operation: "market.analysis.risk", state: "RUNNING", attempt: 2,
    start_time: iso(world.now - 4200), end_time: null, duration_ms: null, error_message: null, event_id: null, correlation_id: null, workflow_id: null, user_id: null, thread_id: null,
  }] : [];
  const wanted = ["agent", "workflow"].map((key) => query.get(key));
  return [...open, ...stored.sort((a, b) => (a.start_time < b.start_time ? 1 : -1))]
    .filter((one) => (!wanted[0] || one.agent_name === wanted[0]) && (!wanted[1] || one.workflow_id === wanted[1]));
}

export function execution(world, id) {
  const query = new URLSearchParams({ from: "now-30d" });
  const found = executions(world, query).find((one) => one.execution_id === id);
  if (!found?.span_id) return found;
  const trace = world.byId.get(found.trace_id);
  const span = trace.spans.find((one) => one.span_id === found.span_id);
  const forward = trace.spans.find((one) => one.span_id === found.parent_span_id);
  const llm = trace.spans.filter((one) => isLlm(one) && agentOf(one) === found.agent_name).reduce((sum, one) => sum + one.duration, 0);
  return { ...found, metadata: span.attributes, timing: { total_ms: found.duration_ms, queue_wait_ms: forward && waitOf(forward) !== null ? ms(waitOf(forward)) : null, phases: Object.fromEntries(Object.entries(span.attributes).filter(([key]) => key.startsWith("loom.phase.")).map(([key, value]) => [key.slice(11), value])), llm_ms: ms(llm), tool_ms: 0.4, database_ms: null, http_ms: ms(llm) } };
}

export function events(world, query) {
  const range = rangeOf(query, world.now);
  return world.traces.filter(SMALL).filter(within(range)).flatMap((trace) => publishesOf(trace).map((span) => eventOf(trace, span)))
    .filter((event) => (!query.get("topic") || event.topic === query.get("topic") || (query.get("topic").endsWith(">") && event.topic.startsWith(query.get("topic").slice(0, -1)))) && (!query.get("sender") || event.sender === query.get("sender")))
    .sort((a, b) => (BigInt(a.time_ns) < BigInt(b.time_ns) ? 1 : -1));
}

/** Who has published: the bus's own span does not know, the bridge's above it does. */
const senderOf = (trace, span) => agentOf(span) ?? agentOf(trace.spans.find((one) => one.span_id === span.parent) ?? span);

function eventOf(trace, span) {
  const a = span.attributes;
  return {
    event_id: a.event_id, topic: a.topic, sender: senderOf(trace, span), time: iso(trace.startMs + span.start / 1e6), time_ns: nsText(trace.startMs, span.start), trace_id: trace.trace_id, span_id: span.span_id,
    size: a["messaging.message.body.size"] ?? null, matched: a["loom.bus.matched"] ?? null, event_type: a["event.type"] ?? null, correlation_id: a.correlation_id ?? trace.spans[0].attributes.correlation_id ?? null, thread_id: a.thread_id ?? null,
    workflow_id: workflowOf(trace), status: span.status === ERROR ? "error" : "ok",
  };
}

export function event(world, id) {
  for (const trace of world.traces) {
    const span = publishesOf(trace).find((one) => one.attributes.event_id === id);
    if (!span) continue;
    const forwards = trace.spans.filter((one) => one.parent === span.span_id && one.name === "bridge.forward");
    const deliveries = forwards.map((forward) => {
      const handler = trace.spans.find((one) => one.parent === forward.span_id);
      return { subscriber: agentOf(forward) ?? agentOf(handler ?? forward), subscription: forward.attributes["messaging.destination.subscription.name"] ?? null, group: null, attempt: 1, span_id: (handler ?? forward).span_id, state: handler ? STATE(handler) : null, wait_ms: waitOf(forward) === null ? null : ms(waitOf(forward)), duration_ms: handler ? ms(handler.duration) : null, error_message: handler?.message ?? null };
    });
    const kept = trace.spans.length > 30 ? { stream: "market", offset: 4711, payload_text: '{"symbol":"ACME","close":[101.2,102.8,99.4],"note":"<b>not bold</b>"}', payload_base64: null, truncated: false, metadata: { source: "desk" } } : null;
    return { ...eventOf(trace, span), deliveries, kept };
  }
  return null;
}

export function workflows(world, query) {
  const range = rangeOf(query, world.now);
  const found = new Map();
  for (const trace of world.traces.filter(within(range))) {
    const id = workflowOf(trace);
    if (id) found.set(id, [...(found.get(id) ?? []), trace]);
  }
  return [...found].map(([workflow_id, traces]) => {
    const runs = traces.filter(SMALL).flatMap(executionsOf);
    const whole = quantiles(traces.map((trace) => ms(endOf(trace))));
    return { workflow_id, traces: traces.length, ...counted(runs), p50_ms: whole.p50, p95_ms: whole.p95, last_at: iso(Math.max(...traces.map((trace) => trace.startMs))), agents: [...new Set(runs.map(agentOf))] };
  });
}

export function metrics(world, query, only = () => true) {
  const range = rangeOf(query, world.now);
  const traces = world.traces.filter(SMALL).filter(within(range));
  const runs = traces.flatMap((trace) => executionsOf(trace).map(withTrace(trace))).filter(only);
  const calls = traces.flatMap((trace) => trace.spans.filter(isLlm).map(withTrace(trace))).filter(only);
  const step = Math.max(10e3, Math.ceil((range.to - range.from) / 60 / 10e3) * 10e3);
  const bins = Math.ceil((range.to - range.from) / step);
  const at = Array.from({ length: bins }, (_, bin) => iso(range.from + bin * step));
  const inBin = (list, bin) => list.filter((run) => Math.floor((run.at - range.from) / step) === bin);
  const series = (list, of) => at.map((_, bin) => { const own = inBin(list, bin); return own.length === 0 ? null : of(own); });
  const tokens = (list, key) => (list.length === 0 ? null : list.reduce((sum, run) => sum + Number(run.span.attributes[key] ?? 0), 0));
  const [prompt, completion] = [tokens(calls, "gen_ai.usage.input_tokens"), tokens(calls, "gen_ai.usage.output_tokens")];
  const cost = (list) => list.reduce((sum, run) => sum + Number(run.span.attributes["gen_ai.usage.input_tokens"] ?? 0) * 1.5e-4, 0);
  const own = counted(runs.map((run) => run.span));
  const phases = {};
  for (const { span } of runs) for (const [key, value] of Object.entries(span.attributes)) if (key.startsWith("loom.phase.")) phases[key.slice(11)] = (phases[key.slice(11)] ?? 0) + value;
  const by = (keyOf, name) => [...groupBy(runs, keyOf)].filter(([key]) => key).map(([key, list]) => ({ [name]: key, count: list.length, errors: list.filter((run) => run.span.status === ERROR).length, p95_ms: quantiles(list.map((run) => ms(run.span.duration)))?.p95 ?? null })).sort((a, b) => b.count - a.count);
  return {
    time_range: query.get("time_range"), from: iso(range.from), to: iso(range.to), window_s: (range.to - range.from) / 1000, sample_count: runs.length + calls.length, complete: true,
    executions: { count: own.executions, errors: own.errors, error_rate: own.error_rate, duration_ms: quantiles(runs.map((run) => ms(run.span.duration))) }, phases,
    model_calls: { count: calls.length, errors: 0, error_rate: calls.length ? 0 : null, duration_ms: quantiles(calls.map((run) => ms(run.span.duration))), ttft_ms: quantiles(calls.map((run) => 1000 * Number(run.span.attributes["gen_ai.response.time_to_first_chunk"] ?? 0))), prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt === null ? null : prompt + completion, cost_usd: calls.length ? cost(calls) : null, without_cost: 0 },
    step_s: step / 1000,
    series: { at, executions: series(runs, (list) => list.length), errors: series(runs, (list) => list.filter((run) => run.span.status === ERROR).length), p50_ms: series(runs, (list) => quantiles(list.map((run) => ms(run.span.duration))).p50), p95_ms: series(runs, (list) => quantiles(list.map((run) => ms(run.span.duration))).p95), total_tokens: series(calls, (list) => tokens(list, "gen_ai.usage.input_tokens") + tokens(list, "gen_ai.usage.output_tokens")), cost_usd: series(calls, cost) },
    by_agent: by((run) => agentOf(run.span), "agent_id"), by_workflow: by((run) => workflowOf(run.trace), "workflow_id"),
  };
}

export function topology(world, query, wobble = 0) {
  const workflow = query.get("workflow");
  const traces = world.traces.filter(SMALL).filter((trace) => !workflow || workflowOf(trace) === workflow).slice(0, 40);
  const edges = new Map();
  const add = (from, to, kind, time, failed) => {
    const key = JSON.stringify([from, to, kind]);
    const edge = edges.get(key) ?? { from, to, kind, times: [], errors: 0 };
    if (time !== null) edge.times.push(time);
    edge.count = (edge.count ?? 0) + 1;
    edge.errors += failed ? 1 : 0;
    edges.set(key, edge);
  };
  for (const trace of traces) {
    for (const span of publishesOf(trace)) {
      const topic = { kind: "topic", id: topicOf(span) };
      const sender = senderOf(trace, span);
      if (sender) add({ kind: "agent", id: sender }, topic, "publish", null, span.status === ERROR);
      for (const delivery of event(world.byId.size ? { ...world, traces: [trace] } : world, span.attributes.event_id)?.deliveries ?? []) {
        add(topic, { kind: "agent", id: delivery.subscriber }, "deliver", (delivery.wait_ms ?? 0) + 0.6, delivery.state === "FAILED");
      }
    }
    for (const span of trace.spans.filter((one) => one.name === "broker.invoke")) {
      const [from, to] = [span.attributes["loom.broker.caller"], span.attributes["loom.broker.provider"]];
      if (from && to) add({ kind: "agent", id: from }, { kind: "agent", id: to }, "call", ms(span.duration), span.status === ERROR);
    }
  }
  const list = [...edges.values()].map(({ times, ...edge }) => ({ ...edge, per_s: Math.round((edge.count / 20) * (1 + wobble) * 100) / 100, p50_ms: quantiles(times)?.p50 ?? null, p95_ms: quantiles(times)?.p95 ?? null }));
  const topics = [...new Set(list.flatMap((edge) => [edge.from, edge.to]).filter((node) => node.kind === "topic").map((node) => node.id))];
  const known = agents(world, new URLSearchParams()).filter((agent) => !workflow || list.some((edge) => edge.from.id === agent.agent_id || edge.to.id === agent.agent_id));
  return {
    window_s: 60, at: iso(world.now), seq: "1",
    agents: known.map((agent) => ({ agent_id: agent.agent_id, state: agent.state, executions_per_s: agent.activity.executions / 60, errors_per_s: agent.activity.errors / 60, p95_ms: agent.activity.p95_ms })),
    topics: topics.map((topic) => ({ topic, published_per_s: list.filter((edge) => edge.to.id === topic).reduce((sum, edge) => sum + edge.per_s, 0), unrouted: 0 })), edges: list,
  };
}

export function deadLetters(world) {
  return world.traces.filter((trace) => trace.spans.some((span) => span.status === ERROR) && SMALL(trace)).flatMap((trace) =>
    executionsOf(trace).filter((span) => span.status === ERROR).map((span) => ({
      letter_id: `dl-${span.span_id}`, stream: "market", group: `${agentOf(span)}s`, offset: parseInt(span.span_id.slice(0, 4), 16), event_id: span.attributes["event.id"], topic: topicOf(span), time: iso(trace.startMs + (span.start + span.duration) / 1e6),
      attempts: 3, error_code: "failed", error_message: span.message, trace_id: trace.trace_id, span_id: span.span_id,
    })),
  );
}

/** Map.groupBy, which Node 20 does not have. */
function groupBy(list, keyOf) {
  const groups = new Map();
  for (const one of list) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}
