// A trace as a flame graph: spans with the same path of names are one frame, and a frame is as wide as the time that its spans spent
// themselves, with all below. What ran at the same time adds up, so the whole is the work of the trace and not its duration.
import { type TraceModel, spanView } from "./model";

export interface Frame {
  name: string;
  /** Agent, or service where there is none. */
  who: string;
  /** Frame above; -1: none. */
  parent: number;
  depth: number;
  /** ns that its spans spent while none of their children ran. */
  own: number;
  /** `own`, with all frames below. */
  total: number;
  count: number;
  errors: number;
  /** Its longest span. */
  node: number;
  children: number[];
}

export interface Flame {
  frames: Frame[];
  roots: number[];
  /** ns, of all roots together */
  total: number;
}

/** For each node its time without that of its children: ns of the span in which no child ran. */
export function ownTimes(model: TraceModel): Float64Array {
  const own = new Float64Array(model.count);
  /** Up to where the children seen so far have covered a span; they come in the order of their start. */
  const covered = new Float64Array(model.count);
  for (let node = 0; node < model.count; node += 1) {
    own[node] += model.column[node] < 0 ? 0 : model.stop[node] - model.start[node];
    covered[node] = model.start[node];
    const parent = model.parent[node];
    if (parent < 0 || model.column[parent] < 0) continue;
    const from = Math.max(model.start[node], covered[parent]);
    const to = Math.min(model.stop[node], model.stop[parent]);
    if (to > from) own[parent] -= to - from;
    covered[parent] = Math.max(covered[parent], to);
  }
  return own;
}

export function flameOf(model: TraceModel): Flame {
  const own = ownTimes(model);
  const frames: Frame[] = [];
  const frameOf = new Int32Array(model.count);
  const byPath = new Map<string, number>();
  for (let node = 0; node < model.count; node += 1) {
    const view = spanView(model, node);
    const above = model.parent[node] < 0 ? -1 : frameOf[model.parent[node]];
    const name = view ? view.name || "(no name)" : "parent is missing";
    const who = view ? (view.agent ?? view.service) : "";
    const key = `${above}\0${who}\0${name}`;
    let at = byPath.get(key);
    if (at === undefined) {
      at = frames.length;
      byPath.set(key, at);
      frames.push({ name, who, parent: above, depth: above < 0 ? 0 : frames[above].depth + 1, own: 0, total: 0, count: 0, errors: 0, node, children: [] });
    }
    frameOf[node] = at;
    const frame = frames[at];
    frame.own += own[node];
    frame.count += 1;
    frame.errors += model.failed[node];
    if (model.stop[node] - model.start[node] > model.stop[frame.node] - model.start[frame.node]) frame.node = node;
  }
  const roots: number[] = [];
  let total = 0;
  // A frame comes after the one above it.
  for (let at = frames.length - 1; at >= 0; at -= 1) {
    const frame = frames[at];
    frame.total += frame.own;
    frame.children.reverse();
    if (frame.parent < 0) {
      roots.unshift(at);
      total += frame.total;
    } else {
      frames[frame.parent].total += frame.total;
      frames[frame.parent].children.push(at);
    }
  }
  return { frames, roots, total };
}

export interface Placed {
  frame: number;
  /** Of the width of all, from 0 to 1. */
  from: number;
  to: number;
  level: number;
}

/** Where frames stand below `top`, or below all roots (-1); what would be narrower than `least` is left out with all below it. */
export function placed(flame: Flame, top: number, least: number, mostLevels: number): Placed[] {
  const { frames } = flame;
  const whole = Math.max(1, top < 0 ? flame.total : frames[top].total);
  const all: Placed[] = [];
  const stack: Placed[] = [];
  const put = (children: number[], from: number, level: number) => {
    let at = from;
    for (const frame of children) {
      const to = at + frames[frame].total / whole;
      if (to - at >= least) stack.push({ frame, from: at, to, level });
      at = to;
    }
  };
  put(top < 0 ? flame.roots : [top], 0, 0);
  for (;;) {
    const one = stack.pop();
    if (!one) return all;
    all.push(one);
    if (one.level + 1 < mostLevels) put(frames[one.frame].children, one.from, one.level + 1);
  }
}

export interface Share {
  name: string;
  who: string;
  own: number;
  count: number;
  errors: number;
  /** The longest span of this name. */
  node: number;
}

/** Whatever their path: by name and agent, the largest own time first. */
export function sharesOf(flame: Flame, model: TraceModel): Share[] {
  const byName = new Map<string, Share>();
  const length = (node: number) => model.stop[node] - model.start[node];
  for (const { name, who, own, count, errors, node } of flame.frames) {
    const key = `${who}\0${name}`;
    const share = byName.get(key);
    if (!share) {
      byName.set(key, { name, who, own, count, errors, node });
      continue;
    }
    share.own += own;
    share.count += count;
    share.errors += errors;
    if (length(node) > length(share.node)) share.node = node;
  }
  return [...byName.values()].sort((a, b) => b.own - a.own || (a.name < b.name ? -1 : 1));
}
