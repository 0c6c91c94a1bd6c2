// The topology as a drawing: where each agent and topic stands, and how thick the lines between them are.
import { graphlib, layout } from "@dagrejs/dagre";
import type { Edge, Node, Topology } from "../api/types";

export interface PlacedNode {
  id: string;
  node: Node;
  x: number;
  y: number;
  width: number;
  height: number;
}

export const nodeId = (node: Node) => `${node.kind}:${node.id}`;
export const edgeId = (edge: Pick<Edge, "from" | "to" | "kind">) => `${nodeId(edge.from)} ${edge.kind} ${nodeId(edge.to)}`;

const AGENT = { width: 176, height: 58 };
const TOPIC = { width: 168, height: 34 };

/** Everything that has to be drawn, agents without an edge too: the same for the same set, whatever its order. */
export function nodesOf(topology: Topology): Node[] {
  const found = new Map<string, Node>();
  const add = (node: Node) => found.set(nodeId(node), node);
  for (const agent of topology.agents) add({ kind: "agent", id: agent.agent_id });
  for (const topic of topology.topics) add({ kind: "topic", id: topic.topic });
  for (const edge of topology.edges) {
    add(edge.from);
    add(edge.to);
  }
  return [...found.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, node]) => node);
}

/** What the drawing depends on: as long as it is the same, nothing moves. */
export const shapeOf = (topology: Topology) =>
  [...nodesOf(topology).map(nodeId), ...topology.edges.map(edgeId).sort()].join("|");

export type Direction = "LR" | "TB";

export interface Placement {
  direction: Direction;
  nodes: PlacedNode[];
  width: number;
  height: number;
}

/** Between parts that nothing connects. */
const APART = 32;

/** Beside or below each other: whichever is larger in the room that there is. */
export function place(topology: Topology, room: { width: number; height: number }, inOrder = false): Placement {
  const scale = (one: Placement) => Math.min(room.width / one.width, room.height / one.height);
  const [across, down] = (["LR", "TB"] as const).map((direction) => {
    const parts = partsOf(topology, inOrder);
    const connected = parts.filter((part) => part.nodes.length > 1).map((part) => placed(part, direction, inOrder));
    const alone = parts.filter((part) => part.nodes.length === 1).flatMap((part) => part.nodes);
    return packed([...connected, ...inColumns(alone, Math.max(0, ...connected.map((part) => part.height)), direction)], direction, scale);
  });
  return scale(down) > scale(across) * 1.1 ? down : across;
}

interface Part {
  nodes: Node[];
  edges: Edge[];
}

/** What is connected stands together, whatever else there is. */
function partsOf(topology: Topology, inOrder: boolean): Part[] {
  const nodes = nodesOf(topology);
  const edges = inOrder ? topology.edges : [...topology.edges].sort((a, b) => (edgeId(a) < edgeId(b) ? -1 : 1));
  const above = new Map(nodes.map((node) => [nodeId(node), nodeId(node)]));
  const topOf = (id: string): string => {
    let top = id;
    while (above.get(top) !== top) top = above.get(top) as string;
    // So that no way up is long twice.
    for (let at = id; at !== top; ) {
      const next = above.get(at) as string;
      above.set(at, top);
      at = next;
    }
    return top;
  };
  for (const edge of edges) above.set(topOf(nodeId(edge.from)), topOf(nodeId(edge.to)));
  const parts = new Map<string, Part>();
  for (const node of nodes) {
    const top = topOf(nodeId(node));
    parts.set(top, { nodes: [...(parts.get(top)?.nodes ?? []), node], edges: [] });
  }
  for (const edge of edges) parts.get(topOf(nodeId(edge.from)))?.edges.push(edge);
  return [...parts.values()];
}

/** In rows, the highest first; how long rows are is tried, and the largest drawing wins. */
function packed(parts: Placement[], direction: Direction, scale: (one: Placement) => number): Placement {
  const order = parts.map((part, at) => ({ part, at })).sort((a, b) => b.part.height - a.part.height || a.at - b.at);
  const widest = Math.max(1, ...parts.map((part) => part.width));
  const all = parts.reduce((sum, part) => sum + part.width + APART, 0);
  let best: Placement | null = null;
  for (let step = 0; step <= 12; step += 1) {
    const tried = inRows(order.map(({ part }) => part), widest + ((all - widest) * step) / 12, direction);
    if (!best || scale(tried) > scale(best)) best = tried;
  }
  return best ?? { direction, nodes: [], width: 1, height: 1 };
}

/** Those that have nothing to do with anybody now, as one block beside the others and no higher than they are. */
function inColumns(nodes: Node[], high: number, direction: Direction): Placement[] {
  if (nodes.length === 0) return [];
  const step = { x: AGENT.width + 24, y: AGENT.height + 24 };
  const rows = Math.max(1, Math.floor((high + 24) / step.y), Math.ceil(Math.sqrt(nodes.length)));
  const columns = Math.ceil(nodes.length / rows);
  const at = (index: number) => ({ x: Math.floor(index / rows) * step.x, y: (index % rows) * step.y });
  return [
    {
      direction,
      nodes: nodes.map((node, index) => ({ id: nodeId(node), node, ...at(index), ...(node.kind === "agent" ? AGENT : TOPIC) })),
      width: columns * step.x - 24,
      height: Math.min(rows, nodes.length) * step.y - 24,
    },
  ];
}

function inRows(parts: Placement[], most: number, direction: Direction): Placement {
  const nodes: PlacedNode[] = [];
  let [x, y, high, width] = [0, 0, 0, 1];
  for (const part of parts) {
    if (x > 0 && x + part.width > most) [x, y, high] = [0, y + high + APART, 0];
    for (const node of part.nodes) nodes.push({ ...node, x: node.x + x, y: node.y + y });
    x += part.width + APART;
    high = Math.max(high, part.height);
    width = Math.max(width, x - APART);
  }
  return { direction, nodes, width, height: Math.max(1, y + high) };
}

/** `inOrder`: the edges stand in the order in which they happened, and where they go in a circle the last one goes back. */
function placed({ nodes, edges }: Part, direction: Direction, inOrder: boolean): Placement {
  const graph = new graphlib.Graph();
  // Names of rates stand on the lines: across they need more room than down.
  graph.setGraph({ rankdir: direction, nodesep: 24, ranksep: direction === "LR" ? 84 : 44, acyclicer: inOrder ? undefined : "greedy" });
  graph.setDefaultEdgeLabel(() => ({}));
  const first = inOrder ? edges.flatMap((edge) => [edge.from, edge.to]) : [];
  for (const node of [...first, ...nodes]) {
    if (!graph.hasNode(nodeId(node))) graph.setNode(nodeId(node), { ...(node.kind === "agent" ? AGENT : TOPIC) });
  }
  for (const edge of edges) graph.setEdge(nodeId(edge.from), nodeId(edge.to));
  layout(graph);
  const box = graph.graph() as { width?: number; height?: number };
  return {
    direction,
    width: Math.max(1, box.width ?? 1),
    height: Math.max(1, box.height ?? 1),
    nodes: nodes.map((node) => {
      const { x, y, width, height } = graph.node(nodeId(node)) as { x: number; y: number; width: number; height: number };
      return { id: nodeId(node), node, x: x - width / 2, y: y - height / 2, width, height };
    }),
  };
}

/** The edges as they are come upon from one node on, what cannot be reached from it last: where a circle begins is known then. */
export function edgesFrom(edges: Edge[], start: string): Edge[] {
  const seen = new Set([start]);
  const left = new Set(edges);
  const found: Edge[] = [];
  for (const id of seen) {
    for (const edge of left) {
      if (nodeId(edge.from) !== id) continue;
      left.delete(edge);
      found.push(edge);
      seen.add(nodeId(edge.to));
    }
  }
  return [...found, ...left];
}

/** Pixels of a line: a hundred times as much is twice as thick. */
export const thickness = (perSecond: number) => Math.min(6, 1.2 + Math.log10(1 + perSecond * 10) * 1.2);

/** Beyond this many edges nothing is animated: it would be a flicker, and cost more than it tells. */
export const MOST_ANIMATED = 200;

/** Ids of the nodes next to one, itself among them. */
export function around(topology: Topology, focus: string): Set<string> {
  const near = new Set([focus]);
  for (const edge of topology.edges) {
    const [from, to] = [nodeId(edge.from), nodeId(edge.to)];
    if (from === focus) near.add(to);
    if (to === focus) near.add(from);
  }
  return near;
}
