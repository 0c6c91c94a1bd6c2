import type { ComparedSide, Comparison } from "../api/types";

export interface Difference {
  key: string;
  name: string;
  depth: number;
  a: { count: number; ns: number } | null;
  b: { count: number; ns: number } | null;
  kind: "same" | "slower" | "faster" | "only_a" | "only_b" | "count";
}

/** Less than this is noise: both a tenth and a tenth of a millisecond are needed to be called slower. */
const FACTOR = 1.1;
const LEAST_NS = 1e5;

const side = (one: ComparedSide | null | undefined) => (one ? { count: one.count, ns: one.duration_ns } : null);

/** Nodes as rows of a tree: each after its parent, siblings in the order in which the answer has them. */
export function differences(comparison: Comparison): Difference[] {
  const rows = comparison.nodes.map((node) => {
    const [a, b] = [side(node.a), side(node.b)];
    return { key: JSON.stringify(node.path), name: node.path[node.path.length - 1] ?? "", depth: Math.max(0, node.path.length - 1), path: node.path, a, b, kind: kindOf(a, b) };
  });
  const children = new Map<string, typeof rows>();
  const known = new Set(rows.map((row) => row.key));
  for (const row of rows) {
    // The nearest of its ancestors that is a node itself; a path may begin below one that was left out.
    let above = "";
    for (let length = row.path.length - 1; length > 0 && above === ""; length -= 1) {
      const key = JSON.stringify(row.path.slice(0, length));
      if (known.has(key)) above = key;
    }
    children.set(above, [...(children.get(above) ?? []), row]);
  }
  const ordered: Difference[] = [];
  const stack = [...(children.get("") ?? [])].reverse();
  while (stack.length > 0) {
    const row = stack.pop() as (typeof rows)[number];
    ordered.push(row);
    stack.push(...[...(children.get(row.key) ?? [])].reverse());
  }
  return ordered;
}

function kindOf(a: Difference["a"], b: Difference["b"]): Difference["kind"] {
  if (a === null) return "only_b";
  if (b === null) return "only_a";
  if (a.count !== b.count) return "count";
  if (b.ns - a.ns > LEAST_NS && b.ns > a.ns * FACTOR) return "slower";
  if (a.ns - b.ns > LEAST_NS && a.ns > b.ns * FACTOR) return "faster";
  return "same";
}
