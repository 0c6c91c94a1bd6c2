// A trace in the Trace Event Format, which Perfetto and chrome://tracing open: services as processes, agents' spans as slices, and
// an arrow for each handover. Times are µs after the trace's start, with fractions.
import { lanesOf } from "./lanes";
import { type TraceModel, spanView } from "./model";

type TraceEvent = Record<string, string | number | Record<string, string | number>>;

/** More at once in one service are drawn over each other. */
const MOST_THREADS = 500;

/**
 * Slices of one thread may stand in each other or beside each other, and never overlap otherwise; so each span gets the first
 * thread of its service on which it is within what is open there, or after it.
 */
function threads(model: TraceModel): Int32Array {
  const thread = new Int32Array(model.count).fill(-1);
  const order = Array.from({ length: model.count }, (_, node) => node).filter((node) => model.column[node] >= 0);
  order.sort((a, b) => model.start[a] - model.start[b] || model.stop[b] - model.stop[a] || a - b);
  /** For each service its threads, for each thread the ends of what is open. */
  const open: number[][][] = model.trace.services.map(() => []);
  for (const node of order) {
    const ofService = open[model.trace.columns.service[model.column[node]]];
    let at = 0;
    for (; at < MOST_THREADS; at += 1) {
      ofService[at] ??= [];
      const ends = ofService[at];
      while (ends.length > 0 && ends[ends.length - 1] <= model.start[node]) ends.pop();
      if (ends.length === 0 || ends[ends.length - 1] >= model.stop[node]) break;
    }
    at = Math.min(at, MOST_THREADS - 1);
    ofService[at].push(model.stop[node]);
    thread[node] = at;
  }
  return thread;
}

export function chromeTrace(model: TraceModel): string {
  const { trace } = model;
  const thread = threads(model);
  const service = (node: number) => trace.columns.service[model.column[node]];
  const us = (ns: number) => ns / 1000;
  const events: TraceEvent[] = trace.services.map((name, pid) => ({ ph: "M", name: "process_name", pid, tid: 0, args: { name } }));
  for (let node = 0; node < model.count; node += 1) {
    const view = spanView(model, node);
    if (!view) continue;
    const args: Record<string, string | number> = { span_id: model.id[node] };
    if (model.parent[node] >= 0) args.parent_span_id = model.id[model.parent[node]];
    if (view.agent !== null) args.agent = view.agent;
    if (view.topic !== null) args.topic = view.topic;
    if (view.wait > 0) args.wait_us = us(view.wait);
    if (model.failed[node]) args.status = "error";
    const duration = us(model.stop[node] - model.start[node]);
    events.push({ ph: "X", name: view.name, cat: "span", pid: service(node), tid: thread[node], ts: us(model.start[node]), dur: duration, args });
  }
  lanesOf(model).handovers.forEach(({ from, to }, id) => {
    const common = { name: "handover", cat: "handover", id };
    // An arrow leaves within a slice: the one that handed over may have ended before the other began.
    const leaves = Math.min(model.start[to], model.stop[from]);
    events.push({ ...common, ph: "s", pid: service(from), tid: thread[from], ts: us(leaves) });
    events.push({ ...common, ph: "f", bp: "e", pid: service(to), tid: thread[to], ts: us(model.start[to]) });
  });
  return JSON.stringify({ displayTimeUnit: "ns", otherData: { trace_id: trace.trace_id, start_ns: trace.start_ns }, traceEvents: events });
}
