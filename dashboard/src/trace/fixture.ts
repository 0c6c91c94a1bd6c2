// Traces for tests, written as short as one thinks of them.
import type { Trace } from "../api/types";

export interface Given {
  name: string;
  parent?: string;
  parentId?: string;
  start: number;
  duration: number;
  service?: string;
  agent?: string;
  topic?: string;
  status?: number;
  flags?: number;
  wait?: number;
}

export const idOf = (at: number) => (at + 1).toString(16).padStart(16, "0");

/** Spans in the order of their start, as the server has them; `parent` is a name. */
export function traceOf(given: Given[]): Trace {
  const spans = [...given].sort((a, b) => a.start - b.start);
  const ids = new Map(spans.map((span, at) => [span.name, idOf(at)]));
  const table = (values: (string | undefined)[]) => [...new Set(values.filter((one) => one !== undefined))];
  const names = table(spans.map((span) => span.name));
  const services = table(spans.map((span) => span.service ?? "loom"));
  const agents = table(spans.map((span) => span.agent));
  const topics = table(spans.map((span) => span.topic));
  const at = (values: string[]) => new Map(values.map((value, index) => [value, index]));
  const [nameAt, serviceAt, agentAt, topicAt] = [names, services, agents, topics].map(at);
  return {
    trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
    truncated: false,
    start_ns: "1767355200000000000",
    duration_ns: String(Math.max(0, ...spans.slice(0, 1000).map((span) => span.start + span.duration))),
    spans: spans.length,
    errors: spans.filter((span) => span.status === 2).length,
    orphans: spans.filter((span) => span.parentId).length,
    roots: 1,
    names,
    services,
    agents,
    scopes: ["test"],
    topics,
    columns: {
      span_id: spans.map((_, index) => idOf(index)),
      parent_span_id: spans.map((span) => span.parentId ?? (span.parent ? (ids.get(span.parent) ?? null) : null)),
      name: spans.map((span) => nameAt.get(span.name) ?? 0),
      service: spans.map((span) => serviceAt.get(span.service ?? "loom") ?? 0),
      agent: spans.map((span) => (span.agent === undefined ? null : (agentAt.get(span.agent) ?? null))),
      scope: spans.map(() => 0),
      topic: spans.map((span) => (span.topic === undefined ? null : (topicAt.get(span.topic) ?? null))),
      kind: spans.map(() => 1),
      start: spans.map((span) => span.start),
      duration: spans.map((span) => span.duration),
      status: spans.map((span) => span.status ?? 0),
      events: spans.map(() => 0),
      links: spans.map(() => 0),
      flags: spans.map((span) => span.flags ?? 0),
      wait: spans.map((span) => span.wait ?? null),
    },
    linked_from: [],
    linked_to: [],
    summary: { work_ns: 0, bus_wait_ns: 0, delivery_ns: 0, llm_ns: 0, tool_ns: 0, other_ns: 0 },
  };
}
