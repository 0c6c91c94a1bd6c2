import { expect, test } from "vitest";
import { traceOf } from "./fixture";
import { handoffs } from "./handoffs";
import { buildModel } from "./model";

const bus = { service: "loom", topic: "data" };

test("a hop over the bus is two edges, a call is one", () => {
  const topology = handoffs(
    buildModel(
      traceOf([
        { name: "emit", start: 0, duration: 1e6, service: "agent-sensor", agent: "sensor" },
        { name: "bridge.publish", parent: "emit", start: 1, duration: 1, service: "loom", agent: "sensor", topic: "data" },
        { name: "EventBus.publish", parent: "bridge.publish", start: 2, duration: 1, ...bus },
        { name: "bridge.forward", parent: "EventBus.publish", start: 3, duration: 1, ...bus },
        { name: "agent.on_event", parent: "bridge.forward", start: 2_000_002, duration: 5e6, service: "agent-output", agent: "output", topic: "data", status: 2 },
        { name: "broker.invoke", parent: "agent.on_event", start: 3_000_000, duration: 1e6, service: "loom" },
        { name: "agent.on_action", parent: "broker.invoke", start: 3_000_001, duration: 1e5, service: "agent-model", agent: "model" },
      ]),
    ),
  );
  const said = topology.edges.map((edge) => `${edge.from.id} ${edge.kind} ${edge.to.id} ${edge.count} ${edge.errors} ${edge.p50_ms}`);
  expect(said).toEqual(["sensor publish data 1 0 null", "data deliver output 1 1 2", "output call model 1 0 1"]);
  expect(topology.agents.map((agent) => agent.agent_id)).toEqual(["sensor", "output", "model"]);
});

test("a delivery whose handler is not there names whom the bus knows", () => {
  const topology = handoffs(buildModel(traceOf([{ name: "bridge.forward", start: 0, duration: 1, agent: "gone", ...bus }])));
  expect(topology.edges.map((edge) => [edge.to.id, edge.p50_ms])).toEqual([["gone", null]]);
});
