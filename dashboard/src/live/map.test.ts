import { expect, test } from "vitest";
import type { Edge, Topology } from "../api/types";
import { around, edgesFrom, nodesOf, place, shapeOf, thickness } from "./map";

const agent = (id: string) => ({ kind: "agent" as const, id });
const topic = (id: string) => ({ kind: "topic" as const, id });
const edge = (from: Edge["from"], to: Edge["to"], kind: Edge["kind"], per_s = 1): Edge => ({ from, to, kind, per_s, count: 1, errors: 0, p50_ms: null, p95_ms: null });
const topology = (edges: Edge[]): Topology => ({
  window_s: 60, at: "", seq: "1", topics: [], edges,
  agents: [{ agent_id: "alone", state: "connected", executions_per_s: 0, errors_per_s: 0, p95_ms: null }],
});
const WIDE = { width: 1600, height: 400 };
const chain = [edge(agent("sensor"), topic("data"), "publish"), edge(topic("data"), agent("output"), "deliver")];

test("who has no edge is drawn too, and the order of the answer changes nothing", () => {
  const one = topology(chain);
  const other = topology([...chain].reverse());
  expect(nodesOf(one).map((node) => node.id)).toEqual(["alone", "output", "sensor", "data"]);
  expect(shapeOf(one)).toBe(shapeOf(other));
  expect(place(one, WIDE)).toEqual(place(other, WIDE));
});

test("rates do not move anything, a new edge does", () => {
  expect(shapeOf(topology(chain.map((one) => ({ ...one, per_s: 99 }))))).toBe(shapeOf(topology(chain)));
  expect(shapeOf(topology([...chain, edge(agent("output"), agent("sensor"), "call")]))).not.toBe(shapeOf(topology(chain)));
});

test("what comes first stands left, and nothing overlaps", () => {
  const { nodes: placed, direction } = place(topology(chain), WIDE);
  expect(direction).toBe("LR");
  const at = Object.fromEntries(placed.map((node) => [node.node.id, node]));
  expect(at.sensor.x).toBeLessThan(at.data.x);
  expect(at.data.x).toBeLessThan(at.output.x);
  for (const a of placed) {
    for (const b of placed) {
      const apart = a === b || a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
      expect(apart).toBe(true);
    }
  }
});

test("in a high room it goes down", () => {
  const { nodes, direction } = place(topology(chain), { width: 400, height: 1000 });
  const at = Object.fromEntries(nodes.map((node) => [node.node.id, node]));
  expect(direction).toBe("TB");
  expect(at.sensor.y).toBeLessThan(at.output.y);
});

test("what goes in a circle begins where it began", () => {
  const circle = [edge(agent("z"), topic("y"), "publish"), edge(topic("y"), agent("b"), "deliver"), edge(agent("b"), topic("a"), "publish"), edge(topic("a"), agent("z"), "deliver")];
  const { nodes } = place(topology(circle), WIDE, true);
  const at = Object.fromEntries(nodes.map((node) => [node.node.id, node.x]));
  expect(at.z).toBeLessThan(at.y);
  expect(at.y).toBeLessThan(at.b);
  expect(at.b).toBeLessThan(at.a);
});

test("neighbours of a node, and lines that grow slowly", () => {
  expect([...around(topology(chain), "topic:data")].sort()).toEqual(["agent:output", "agent:sensor", "topic:data"]);
  expect(thickness(0)).toBeGreaterThan(0);
  expect(thickness(1e6)).toBe(6);
});

test("what nothing connects is packed into the room, and nothing overlaps", () => {
  const many = Array.from({ length: 9 }, (_, at) => edge(agent(`sender-${at}`), topic(`topic-${at}`), "publish"));
  const { nodes, width, height } = place({ ...topology(many), agents: [] }, { width: 1200, height: 800 });
  expect(nodes).toHaveLength(18);
  expect(width / height).toBeGreaterThan(0.8);
  expect(width / height).toBeLessThan(2.5);
  for (const a of nodes) {
    expect(a.x >= 0 && a.y >= 0 && a.x + a.width <= width + 0.5 && a.y + a.height <= height + 0.5).toBe(true);
    for (const b of nodes) expect(a === b || a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y).toBe(true);
  }
});

test("edges are come upon from where a circle begins", () => {
  const circle = [edge(topic("report"), agent("desk"), "deliver"), edge(agent("data"), topic("report"), "publish"), edge(topic("request"), agent("data"), "deliver"), edge(agent("desk"), topic("request"), "publish")];
  const lone = edge(agent("x"), topic("y"), "publish");
  expect(edgesFrom([lone, ...circle], "agent:desk").map(({ from }) => from.id)).toEqual(["desk", "request", "data", "report", "x"]);
});
