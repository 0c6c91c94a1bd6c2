// Answers about traces, in the form of the contract.
import { ERROR, agentOf, endOf, executionsOf, isLlm, isTool, iso, nsText, topicOf, waitOf, workflowOf } from "./data.mjs";

const unique = (values) => [...new Set(values.filter((value) => value !== null && value !== undefined))];

export function summaryOf(trace) {
  const ids = new Set(trace.spans.map((span) => span.span_id));
  const root = trace.spans.find((span) => span.parent === null) ?? trace.spans[0];
  return {
    trace_id: trace.trace_id, root_name: root.name, root_service: root.service, start_time: iso(trace.startMs), start_ns: nsText(trace.startMs),
    duration_ns: String(endOf(trace)), spans: trace.spans.length, errors: trace.spans.filter((span) => span.status === ERROR).length,
    orphans: trace.spans.filter((span) => span.parent && !ids.has(span.parent)).length, services: unique(trace.spans.map((span) => span.service)),
    agents: unique(executionsOf(trace).map(agentOf).concat(agentOf(root))), workflow_id: workflowOf(trace),
  };
}

export function traceOf(trace, world) {
  const { spans } = trace;
  const ids = new Set(spans.map((span) => span.span_id));
  const table = (values) => {
    const list = unique(values);
    const at = new Map(list.map((value, index) => [value, index]));
    return [list, (value) => (value === null || value === undefined ? null : at.get(value))];
  };
  const [names, nameAt] = table(spans.map((span) => span.name));
  const [services, serviceAt] = table(spans.map((span) => span.service));
  const [agents, agentAt] = table(spans.map(agentOf));
  const [scopes, scopeAt] = table(spans.map((span) => span.scope.name));
  const [topics, topicAt] = table(spans.map(topicOf));
  const flags = (span) => (span.attributes["loom.stand_in"] ? 1 : 0) | (span.parent && !ids.has(span.parent) ? 2 : 0) | (isLlm(span) ? 4 : 0) | (isTool(span) ? 8 : 0);
  const { summary } = criticalPath(trace);
  return {
    trace_id: trace.trace_id, truncated: false, start_ns: nsText(trace.startMs), duration_ns: String(endOf(trace)), spans: spans.length,
    errors: spans.filter((span) => span.status === ERROR).length, orphans: spans.filter((span) => span.parent && !ids.has(span.parent)).length,
    roots: spans.filter((span) => span.parent === null).length, names, services, agents, scopes, topics,
    columns: {
      span_id: spans.map((span) => span.span_id), parent_span_id: spans.map((span) => span.parent), name: spans.map((span) => nameAt(span.name)),
      service: spans.map((span) => serviceAt(span.service)), agent: spans.map((span) => agentAt(agentOf(span))), scope: spans.map((span) => scopeAt(span.scope.name)),
      topic: spans.map((span) => topicAt(topicOf(span))), kind: spans.map((span) => span.kindNumber), start: spans.map((span) => span.start),
      duration: spans.map((span) => span.duration), status: spans.map((span) => span.status), events: spans.map((span) => span.events.length),
      links: spans.map((span) => span.links.length), flags: spans.map(flags), wait: spans.map(waitOf),
    },
    linked_from: linksInto(trace, world, null),
    linked_to: spans.flatMap((span) => span.links.filter((link) => link.trace_id !== trace.trace_id).map((link) => ({ ...link, from_span_id: span.span_id }))),
    summary,
  };
}

/** Links of other traces' spans to this trace, or of any trace's to one span of it. */
function linksInto(trace, world, spanId) {
  const found = [];
  for (const other of world.traces) {
    if (spanId === null && other === trace) continue;
    for (const span of other.spans) {
      for (const link of span.links) {
        if (link.trace_id !== trace.trace_id || (spanId !== null && link.span_id !== spanId)) continue;
        found.push({ trace_id: other.trace_id, span_id: span.span_id, name: span.name, ...(spanId === null && { to_span_id: link.span_id }) });
      }
    }
  }
  return found.slice(0, 100);
}

export function spanOf(trace, span, world) {
  const a = span.attributes;
  const number = (value) => (value === undefined ? null : Number(value));
  const phases = Object.fromEntries(Object.entries(a).filter(([key]) => key.startsWith("loom.phase.")).map(([key, value]) => [key.slice(11), value]));
  const measured = isLlm(span) || Object.keys(phases).length > 0;
  const tokens = [number(a["gen_ai.usage.input_tokens"]), number(a["gen_ai.usage.output_tokens"])];
  return {
    trace_id: trace.trace_id, span_id: span.span_id, parent_span_id: span.parent, name: span.name, kind: span.kind, service: span.service,
    start_time: iso(trace.startMs + span.start / 1e6), start_ns: nsText(trace.startMs, span.start), end_ns: nsText(trace.startMs, span.start + span.duration),
    duration_ns: String(span.duration), status: ["unset", "ok", "error"][span.status], status_message: span.message, attributes: a, resource: span.resource,
    scope: { ...span.scope, attributes: {} }, events: span.events.map((event) => ({ name: event.name, time_ns: nsText(trace.startMs, event.at_us * 1000), attributes: event.attributes })),
    links: span.links, linked_from: linksInto(trace, world, span.span_id), agent_id: agentOf(span), workflow_id: workflowOf(trace), session_id: a["session.id"] ?? null,
    user_id: a["user.id"] ?? null, tenant_id: a["tenant.id"] ?? null, thread_id: a.thread_id ?? null, event_id: a["event.id"] ?? a.event_id ?? null,
    execution_id: executionsOf(trace).includes(span) ? span.parent : null,
    performance: measured
      ? {
          ttft_ms: a["gen_ai.response.time_to_first_chunk"] === undefined ? null : a["gen_ai.response.time_to_first_chunk"] * 1000, prompt_tokens: tokens[0], completion_tokens: tokens[1],
          total_tokens: tokens[0] === null ? null : tokens[0] + tokens[1], cost_usd: tokens[0] === null ? null : tokens[0] * 1.5e-7 + tokens[1] * 6e-7,
          model: a["gen_ai.response.model"] ?? null, provider: a["gen_ai.provider.name"] ?? null, phases,
        }
      : null,
  };
}

/**
 * Backwards from the end: the deepest span that ended about then, what decided in it, and so on through its parents. Simpler than the server's, and
 * enough to have something true to draw.
 */
export function criticalPath(trace) {
  const small = trace.spans.length < 5000;
  const children = small ? groupByParent(trace.spans) : new Map();
  const byId = new Map(trace.spans.map((span) => [span.span_id, span]));
  const segments = [];
  const push = (span, from, to, kind) => to > from && segments.push({ span_id: span.span_id, from, to, kind });
  const ownKind = (span) => (isLlm(span) ? "llm" : isTool(span) ? "tool" : "work");
  const stop = (span) => span.start + span.duration;
  const latest = (spans) => spans.reduce((best, span) => (!best || stop(span) > stop(best) ? span : best), null);
  const inside = (span, to) => {
    let at = to;
    for (;;) {
      const limit = at;
      const child = latest((children.get(span.span_id) ?? []).filter((one) => stop(one) <= limit && one.start >= span.start && one.start < limit));
      if (!child) return push(span, span.start, at, ownKind(span));
      push(span, stop(child), at, ownKind(span));
      inside(child, stop(child));
      at = child.start;
    }
  };
  const depth = (span) => (span?.parent && small ? 1 + depth(byId.get(span.parent)) : 0);
  const end = endOf(trace);
  const ends = trace.spans.filter((span) => stop(span) >= end * 0.99);
  let span = small ? ends.reduce((best, one) => (depth(one) > depth(best) ? one : best), ends[0]) : latest(trace.spans);
  push(latest(trace.spans), stop(span), end, "work");
  let at = stop(span);
  while (span) {
    inside(span, at);
    at = Math.min(at, span.start);
    const wait = Math.min(at, waitOf(span) ?? 0);
    push(span, at - wait, at, "bus_wait");
    at -= wait;
    const above = byId.get(span.parent);
    if (above && stop(above) < at) {
      push(span, stop(above), at, "delivery");
      at = stop(above);
    }
    span = above;
  }
  const total = (kind) => segments.filter((segment) => segment.kind === kind).reduce((sum, segment) => sum + segment.to - segment.from, 0);
  const summary = { work_ns: total("work"), bus_wait_ns: total("bus_wait"), delivery_ns: total("delivery"), llm_ns: total("llm"), tool_ns: total("tool"), other_ns: total("other") };
  return { segments: segments.sort((a, b) => a.from - b.from), summary };
}

function groupByParent(spans) {
  const groups = new Map();
  for (const span of spans) groups.set(span.parent, [...(groups.get(span.parent) ?? []), span]);
  return groups;
}

export function find(trace, q) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = trace.spans.filter((span) => {
    const text = [span.name, span.message ?? "", span.span_id, ...Object.values(span.attributes).map(String)].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return { span_ids: found.slice(0, 1000).map((span) => span.span_id), truncated: found.length > 1000 };
}

export function compare(a, b) {
  const paths = (trace) => {
    const byId = new Map(trace.spans.map((span) => [span.span_id, span]));
    const found = new Map();
    for (const span of trace.spans) {
      const path = [];
      for (let at = span; at && path.length < 64; at = byId.get(at.parent)) path.unshift(at.name);
      const key = JSON.stringify(path);
      const before = found.get(key) ?? { count: 0, duration_ns: 0 };
      found.set(key, { count: before.count + 1, duration_ns: before.duration_ns + span.duration });
    }
    return found;
  };
  const [left, right] = [paths(a), paths(b)];
  const keys = unique([...left.keys(), ...right.keys()]);
  return { nodes: keys.map((key) => ({ path: JSON.parse(key), a: left.get(key) ?? null, b: right.get(key) ?? null })) };
}
