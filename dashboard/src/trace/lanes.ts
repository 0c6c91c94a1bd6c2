// A trace as lanes: one for each agent, its spans packed into as few lines as they fit, and lines from agent to agent where work was
// handed over. The bus has no lane: it is what the lines are.
import { type TraceModel, spanView } from "./model";

export interface Lane {
  name: string;
  /** Lines of the lane, at least 1. */
  lines: number;
  /** Lines of the lanes above. */
  top: number;
}

export interface Handover {
  from: number;
  to: number;
}

export interface Lanes {
  lanes: Lane[];
  /** Lane of each node; -1: it has none. */
  lane: Int32Array;
  /** Line within its lane. */
  line: Int32Array;
  handovers: Handover[];
}

/** What is deeper shares the last line: a lane that fills the screen shows no other. */
const MOST_LINES = 10;

export function lanesOf(model: TraceModel): Lanes {
  const lane = new Int32Array(model.count).fill(-1);
  const line = new Int32Array(model.count);
  /** The nearest ancestor with a lane. */
  const above = new Int32Array(model.count).fill(-1);
  const byName = new Map<string, number>();
  const handovers: Handover[] = [];
  const names: string[] = [];
  for (let node = 0; node < model.count; node += 1) {
    const parent = model.parent[node];
    if (parent >= 0) above[node] = lane[parent] >= 0 ? parent : above[parent];
    const view = spanView(model, node);
    if (!view || view.service === "loom") continue;
    const name = view.agent ?? view.service;
    let at = byName.get(name);
    if (at === undefined) {
      at = names.length;
      byName.set(name, at);
      names.push(name);
    }
    lane[node] = at;
    if (above[node] >= 0 && lane[above[node]] !== at) handovers.push({ from: above[node], to: node });
  }
  const order = Array.from({ length: model.count }, (_, node) => node).filter((node) => lane[node] >= 0);
  order.sort((a, b) => model.start[a] - model.start[b] || a - b);
  // For each lane the end of what stands last on each line.
  const ends = names.map((): number[] => []);
  for (const node of order) {
    const own = ends[lane[node]];
    const parent = above[node];
    let at = parent >= 0 && lane[parent] === lane[node] ? line[parent] + 1 : 0;
    while (at < MOST_LINES - 1 && (own[at] ?? Number.NEGATIVE_INFINITY) > model.start[node]) at += 1;
    at = Math.min(at, MOST_LINES - 1);
    line[node] = at;
    own[at] = Math.max(own[at] ?? Number.NEGATIVE_INFINITY, model.stop[node]);
  }
  let top = 0;
  const lanes = names.map((name, at) => {
    const lines = Math.max(1, ends[at].length);
    const one = { name, lines, top };
    top += lines;
    return one;
  });
  return { lanes, lane, line, handovers };
}
