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

/** Beside or below each other: whichever is larger in the room that there is. */
export function place(topology: Topology, room: { width: number; height: number }, inOrder = false): Placement {
  const [across, down] = (["LR", "TB"] as const).map((direction) => placed(topology, direction, inOrder));
  const scale = (one: Placement) => Math.min(room.width / one.width, room.height / one.height);
  return scale(down) > scale(across) * 1.1 ? down : across;
}

/** `inOrder`: the edges stand in the order in which they happened, and where they go in a circle the last one goes back. */
function placed(topology: Topology, direction: Direction, inOrder: boolean): Placement {
  const graph = new graphlib.Graph();
  // Names of rates stand on the lines: across they need more room than down.
  graph.setGraph({ rankdir: direction, nodesep: 24, ranksep: direction === "LR" ? 84 : 44, marginx: 20, marginy: 20, acyclicer: inOrder ? undefined : "greedy" });
  graph.setDefaultEdgeLabel(() => ({}));
  const nodes = nodesOf(topology);
  const edges = inOrder ? topology.edges : [...topology.edges].sort((a, b) => (edgeId(a) < edgeId(b) ? -1 : 1));
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
