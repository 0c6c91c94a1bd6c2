import { expect, test } from "vitest";
import { traceOf } from "./fixture";
import { lanesOf } from "./lanes";
import { buildModel } from "./model";

const of = (agent: string) => ({ service: `agent-${agent}`, agent });

test("one lane for each agent, none for the bus, and lines between them", () => {
  const model = buildModel(
    traceOf([
      { name: "emit", start: 0, duration: 10, ...of("a") },
      { name: "bus", parent: "emit", start: 1, duration: 1, service: "loom" },
      { name: "handle", parent: "bus", start: 20, duration: 10, ...of("b") },
      { name: "inner", parent: "handle", start: 21, duration: 5, ...of("b") },
    ]),
  );
  const { lanes, lane, line, handovers } = lanesOf(model);
  expect(lanes).toEqual([
    { name: "a", lines: 1, top: 0 },
    { name: "b", lines: 2, top: 1 },
  ]);
  expect([...lane]).toEqual([0, -1, 1, 1]);
  expect([...line]).toEqual([0, 0, 0, 1]);
  expect(handovers).toEqual([{ from: 0, to: 2 }]);
});

test("what runs at once stands on lines of its own, what comes after takes a free one", () => {
  const model = buildModel(
    traceOf([
      { name: "x", start: 0, duration: 10, ...of("a") },
      { name: "y", start: 5, duration: 10, ...of("a") },
      { name: "z", start: 12, duration: 1, ...of("a") },
    ]),
  );
  expect([...lanesOf(model).line]).toEqual([0, 1, 0]);
});

test("a lane ends somewhere, however deep its spans are", () => {
  const spans = Array.from({ length: 100 }, (_, at) => ({ name: `s${at}`, parent: at > 0 ? `s${at - 1}` : undefined, start: at, duration: 500 - at, ...of("a") }));
  expect(lanesOf(buildModel(traceOf(spans))).lanes[0].lines).toBe(10);
});
