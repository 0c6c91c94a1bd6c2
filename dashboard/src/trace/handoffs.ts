// Who handed what to whom in one trace: its hops over the bus and its calls, as the map draws them.
import type { Edge, Topology } from "../api/types";
import { type TraceModel, spanView } from "./model";

/** Names that the bus and the SDK give their spans (docs/semconv.md). */
const PUBLISH = "EventBus.publish";
const FORWARD = "bridge.forward";
const INVOKE = "broker.invoke";
const ON_EVENT = "agent.on_event";
const ON_ACTION = "agent.on_action";

/** The agent of the nearest span at or above that is not the bus's own. */
function agentAbove(model: TraceModel, node: number): string | null {
  for (let at = node; at >= 0; at = model.parent[at]) {
    const view = spanView(model, at);
    if (view && view.service !== "loom") return view.agent ?? view.service;
  }
  return null;
}

function childNamed(model: TraceModel, node: number, name: string): number {
  for (let child = node + 1; child < model.end[node]; child = model.end[child]) {
    if (spanView(model, child)?.name === name) return child;
  }
  return -1;
}

/** Rates are counts here: a trace has no length of time that a rate could be of. */
export function handoffs(model: TraceModel): Topology {
  const edges = new Map<string, Edge & { times: number[] }>();
  const runs = new Map<string, { count: number; errors: number }>();
  const add = (from: Edge["from"], to: Edge["to"], kind: Edge["kind"], ms: number | null, failed: boolean) => {
    const key = JSON.stringify([from, to, kind]);
    let edge = edges.get(key);
    if (!edge) {
      edge = { from, to, kind, per_s: 0, count: 0, errors: 0, p50_ms: null, p95_ms: null, times: [] };
      edges.set(key, edge);
    }
    edge.count += 1;
    if (failed) edge.errors += 1;
    if (ms !== null) edge.times.push(ms);
  };
  for (let node = 0; node < model.count; node += 1) {
    const view = spanView(model, node);
    if (!view) continue;
    if (view.name === PUBLISH && view.topic) {
      const sender = agentAbove(model, model.parent[node]);
      if (sender) add({ kind: "agent", id: sender }, { kind: "topic", id: view.topic }, "publish", null, model.failed[node] === 1);
    } else if (view.name === FORWARD && view.topic) {
      const handler = childNamed(model, node, ON_EVENT);
      const to = handler >= 0 ? agentAbove(model, handler) : view.agent;
      const from = model.parent[node] >= 0 ? model.start[model.parent[node]] : model.start[node];
      const took = handler >= 0 ? (model.start[handler] - from) / 1e6 : null;
      if (to) add({ kind: "topic", id: view.topic }, { kind: "agent", id: to }, "deliver", took, handler >= 0 && model.failed[handler] === 1);
    } else if (view.name === INVOKE) {
      const caller = agentAbove(model, model.parent[node]);
      const served = childNamed(model, node, ON_ACTION);
      const provider = served >= 0 ? agentAbove(model, served) : null;
      if (caller && provider) add({ kind: "agent", id: caller }, { kind: "agent", id: provider }, "call", view.duration / 1e6, model.failed[node] === 1);
    }
    const agent = view.service === "loom" ? null : (view.agent ?? view.service);
    if (agent === null) continue;
    const before = runs.get(agent) ?? { count: 0, errors: 0 };
    runs.set(agent, { count: before.count + 1, errors: before.errors + model.failed[node] });
  }
  return {
    window_s: 0,
    at: "",
    seq: "",
    agents: [...runs].map(([agent_id, { count, errors }]) => ({ agent_id, state: "connected", executions_per_s: count, errors_per_s: errors, p95_ms: null })),
    topics: [],
    edges: [...edges.values()].map(({ times, ...edge }) => {
      const sorted = times.sort((a, b) => a - b);
      return Object.assign(edge, { per_s: edge.count, p50_ms: sorted[Math.floor((sorted.length - 1) / 2)] ?? null, p95_ms: sorted.at(-1) ?? null });
    }),
  };
}
