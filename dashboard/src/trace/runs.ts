// Runs of siblings that are alike, one after the other: a loop of a hundred tool calls is one row until somebody opens it.
import type { Trace } from "../api/types";

/** Fewer are not worth a press to see them. */
const LEAST = 5;

export interface Runs {
  /** The first node of the run that a node is in; -1: it is in none. */
  readonly head: Int32Array;
  /** For the first node of a run how many are in it; 0 for all others. */
  readonly length: Int32Array;
}

/** Of all in a run together: when the last of them and of what is below has ended, and the sum of their durations, in ns. */
export function runTimes(model: Readonly<{ runs: Runs; end: Int32Array; start: Float64Array; stop: Float64Array; latest: Float64Array }>, head: number) {
  let [latest, sum] = [0, 0];
  for (let at = 0, node = head; at < model.runs.length[head]; at += 1, node = model.end[node]) {
    latest = Math.max(latest, model.latest[node]);
    sum += model.stop[node] - model.start[node];
  }
  return { latest, sum };
}

interface Nodes {
  trace: Trace;
  count: number;
  column: Int32Array;
  parent: Int32Array;
  failed: Uint8Array;
  failedBelow: Int32Array;
}

/** Alike: the same name of the same agent and topic, and nothing in it has failed, for an error must not hide in a crowd. */
export function runsOf({ trace, count, column, parent, failed, failedBelow }: Nodes): Runs {
  const { name, service, agent, topic } = trace.columns;
  const head = new Int32Array(count).fill(-1);
  const length = new Int32Array(count);
  /** The newest child of each node; one more place for the roots. */
  const last = new Int32Array(count + 1).fill(-1);
  const alike = (a: number, b: number) => {
    const [x, y] = [column[a], column[b]];
    return x >= 0 && y >= 0 && name[x] === name[y] && service[x] === service[y] && agent[x] === agent[y] && topic[x] === topic[y];
  };
  for (let node = 0; node < count; node += 1) {
    const above = parent[node] + 1;
    const before = last[above];
    last[above] = node;
    if (column[node] < 0 || failed[node] || failedBelow[node] > 0) continue;
    const joins = before >= 0 && head[before] >= 0 && alike(before, node);
    head[node] = joins ? head[before] : node;
    length[head[node]] += 1;
  }
  for (let node = 0; node < count; node += 1) {
    if (head[node] >= 0 && length[head[node]] < LEAST) head[node] = -1;
  }
  for (let node = 0; node < count; node += 1) if (length[node] < LEAST) length[node] = 0;
  return { head, length };
}
