// The tree of a trace: columns of the answer become arrays in the order of the rows, so that a subtree is a range of them.
// Nothing here recurses or allocates for each span more than it must: traces have 50,000 spans, and chains as deep as that.
import { FLAG, type Trace } from "../api/types";
import { type Runs, runsOf } from "./runs";

export interface TraceModel {
  readonly trace: Trace;
  /** Nodes: spans, and a stand-in for each parent that is named and not there. Node n is row n of the unfolded tree. */
  readonly count: number;
  readonly id: readonly string[];
  /** Index of the span in the columns of the answer; -1: a parent that is missing. */
  readonly column: Int32Array;
  /** Node of the parent; -1: none. */
  readonly parent: Int32Array;
  readonly depth: Int32Array;
  /** Direct children. */
  readonly children: Int32Array;
  /** The node after the last descendant: the subtree of n is n..end[n]. */
  readonly end: Int32Array;
  /** ns after the start of the trace */
  readonly start: Float64Array;
  readonly stop: Float64Array;
  /** When the last span of the subtree has ended. */
  readonly latest: Float64Array;
  /** 1 where the span itself failed. */
  readonly failed: Uint8Array;
  /** Failed spans below this one. */
  readonly failedBelow: Int32Array;
  /** ns from the beginning of the first span to the end of the last one, at least 1. */
  readonly duration: number;
  readonly nodeOf: ReadonlyMap<string, number>;
  /** Siblings that are alike. */
  readonly runs: Runs;
}

const ERROR = 2;

/** Nodes before they have their place: spans by their column, then one for each missing parent. */
interface Unordered {
  ids: string[];
  parent: Int32Array;
  start: Float64Array;
  order: Int32Array;
}

function gather(trace: Trace): Unordered {
  const { span_id, parent_span_id, start } = trace.columns;
  const spans = span_id.length;
  const byId = new Map<string, number>();
  // The first of two spans with one id is the one that others hang below.
  for (let span = spans - 1; span >= 0; span -= 1) byId.set(span_id[span], span);

  const ids = span_id.slice();
  const missing = new Map<string, number>();
  const missingStart: number[] = [];
  const parents = new Array<number>(spans);
  for (let span = 0; span < spans; span += 1) {
    const named = parent_span_id[span];
    if (named === null) {
      parents[span] = -1;
      continue;
    }
    let parent = byId.get(named);
    if (parent === undefined) {
      parent = missing.get(named);
      if (parent === undefined) {
        parent = ids.length;
        missing.set(named, parent);
        ids.push(named);
        missingStart.push(start[span]);
      } else {
        const at = parent - spans;
        missingStart[at] = Math.min(missingStart[at], start[span]);
      }
    }
    parents[span] = parent === span ? -1 : parent;
  }
  const count = ids.length;
  const parent = new Int32Array(count).fill(-1);
  parent.set(parents);
  const starts = new Float64Array(count);
  starts.set(start);
  starts.set(missingStart, spans);
  const order = new Int32Array(count);
  for (let node = 0; node < count; node += 1) order[node] = node;
  // The server has ordered them; only missing parents, or another server, make it necessary.
  let sorted = true;
  for (let node = 1; node < count && sorted; node += 1) sorted = starts[node - 1] <= starts[node];
  if (!sorted) order.sort((a, b) => starts[a] - starts[b] || a - b);
  return { ids, parent, start: starts, order };
}

/** Preorder; whoever hangs in a circle of parents becomes a root, so that no span is ever left out. */
function arrange({ ids, parent, order }: Unordered): { preorder: Int32Array; parent: Int32Array } {
  const count = ids.length;
  const head = new Int32Array(count).fill(-1);
  const next = new Int32Array(count).fill(-1);
  for (let at = count - 1; at >= 0; at -= 1) {
    const node = order[at];
    const above = parent[node];
    if (above < 0) continue;
    next[node] = head[above];
    head[above] = node;
  }
  const preorder = new Int32Array(count);
  const seen = new Uint8Array(count);
  const stack: number[] = [];
  let placed = 0;
  const walk = (root: number) => {
    stack.push(root);
    while (stack.length > 0) {
      const node = stack.pop() as number;
      if (seen[node]) continue;
      seen[node] = 1;
      preorder[placed] = node;
      placed += 1;
      const from = stack.length;
      for (let child = head[node]; child >= 0; child = next[child]) stack.push(child);
      // The first child has to be on top.
      for (let low = from, high = stack.length - 1; low < high; low += 1, high -= 1) {
        [stack[low], stack[high]] = [stack[high], stack[low]];
      }
    }
  };
  for (const node of order) if (parent[node] < 0) walk(node);
  for (const node of order) {
    if (seen[node]) continue;
    parent[node] = -1;
    walk(node);
  }
  return { preorder, parent };
}

export function buildModel(trace: Trace): TraceModel {
  const { columns } = trace;
  const spans = columns.span_id.length;
  const unordered = gather(trace);
  const { preorder, parent: parentOf } = arrange(unordered);
  const count = preorder.length;

  const nodeAt = new Int32Array(count);
  for (let node = 0; node < count; node += 1) nodeAt[preorder[node]] = node;

  const id = new Array<string>(count);
  const column = new Int32Array(count);
  const parent = new Int32Array(count);
  const depth = new Int32Array(count);
  const children = new Int32Array(count);
  const end = new Int32Array(count);
  const start = new Float64Array(count);
  const stop = new Float64Array(count);
  const latest = new Float64Array(count);
  const failed = new Uint8Array(count);
  const failedBelow = new Int32Array(count);
  const nodeOf = new Map<string, number>();
  let duration = 1;
  for (let node = 0; node < count; node += 1) {
    const source = preorder[node];
    const above = parentOf[source];
    id[node] = unordered.ids[source];
    if (!nodeOf.has(id[node])) nodeOf.set(id[node], node);
    column[node] = source < spans ? source : -1;
    parent[node] = above < 0 ? -1 : nodeAt[above];
    if (parent[node] >= 0) {
      depth[node] = depth[parent[node]] + 1;
      children[parent[node]] += 1;
    }
    start[node] = unordered.start[source];
    stop[node] = start[node] + (source < spans ? columns.duration[source] : 0);
    latest[node] = stop[node];
    failed[node] = source < spans && columns.status[source] === ERROR ? 1 : 0;
    end[node] = node + 1;
    duration = Math.max(duration, stop[node]);
  }
  for (let node = count - 1; node >= 0; node -= 1) {
    const above = parent[node];
    if (above < 0) continue;
    end[above] = Math.max(end[above], end[node]);
    latest[above] = Math.max(latest[above], latest[node]);
    failedBelow[above] += failedBelow[node] + failed[node];
  }
  // Of a missing parent is known only that it was there while its children began.
  for (let node = 0; node < count; node += 1) if (column[node] < 0) stop[node] = latest[node];
  const runs = runsOf({ trace, count, column, parent, failed, failedBelow });
  return {
    trace, count, id, column, parent, depth, children, end, start, stop, latest, failed, failedBelow, duration, nodeOf, runs,
  };
}

/** What a row shows of its span. */
export interface SpanView {
  name: string;
  service: string;
  agent: string | null;
  topic: string | null;
  duration: number;
  wait: number;
  flags: number;
  kind: number;
  links: number;
  events: number;
}

export function spanView(model: TraceModel, node: number): SpanView | null {
  const at = model.column[node];
  if (at < 0) return null;
  const { columns, names, services, agents, topics } = model.trace;
  const agent = columns.agent[at];
  const topic = columns.topic[at];
  return {
    name: names[columns.name[at]] ?? "",
    service: services[columns.service[at]] ?? "",
    agent: agent === null ? null : (agents[agent] ?? null),
    topic: topic === null ? null : (topics[topic] ?? null),
    duration: columns.duration[at],
    wait: columns.wait[at] ?? 0,
    flags: columns.flags[at],
    kind: columns.kind[at],
    links: columns.links[at],
    events: columns.events[at],
  };
}

export const isLlm = (view: SpanView) => (view.flags & FLAG.llm) !== 0;
export const isTool = (view: SpanView) => (view.flags & FLAG.tool) !== 0;
export const isStandIn = (view: SpanView) => (view.flags & FLAG.standIn) !== 0;

/** Nodes that no parent of theirs is there for. */
export function missingParents(model: TraceModel): number {
  let missing = 0;
  for (let node = 0; node < model.count; node += 1) if (model.column[node] < 0) missing += 1;
  return missing;
}

/** The next failed span after `node`, or before it; it goes round. -1: there is none. */
export function nextError(model: TraceModel, node: number, step: 1 | -1): number {
  for (let away = 1; away <= model.count; away += 1) {
    const candidate = (((node + step * away) % model.count) + model.count) % model.count;
    if (model.failed[candidate]) return candidate;
  }
  return -1;
}
