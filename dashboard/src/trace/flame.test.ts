import { expect, test } from "vitest";
import { traceOf } from "./fixture";
import { flameOf, ownTimes, placed, sharesOf } from "./flame";
import { buildModel } from "./model";

const model = buildModel(
  traceOf([
    { name: "run", start: 0, duration: 100, service: "agent-a", agent: "a" },
    { name: "load", parent: "run", start: 10, duration: 30 },
    { name: "parse", parent: "run", start: 20, duration: 30 },
    { name: "handed over", parent: "parse", start: 60, duration: 40, service: "agent-b", agent: "b" },
  ]),
);

test("own time is without what children cover, once where they overlap", () => {
  // 100, less 10 to 50; what begins after its parent takes nothing from it.
  expect([...ownTimes(model)]).toEqual([60, 30, 30, 40]);
});

test("a frame is as wide as its spans with all below; what ran at once adds up", () => {
  const flame = flameOf(model);
  expect(flame.total).toBe(160);
  expect(flame.frames.map(({ name, total }) => [name, total])).toEqual([["run", 160], ["load", 30], ["parse", 70], ["handed over", 40]]);
  expect(flame.frames[0].children.map((at) => flame.frames[at].name)).toEqual(["load", "parse"]);
});

test("the same path is one frame, another path or agent is another", () => {
  const names = ["call", "call", "call"];
  const many = buildModel(
    traceOf([
      { name: "run", start: 0, duration: 100, agent: "a" },
      ...names.map((_, at) => ({ name: "call", parent: "run", start: 10 * at, duration: 5 + at, agent: at === 2 ? "b" : "a", status: at === 1 ? 2 : 0 })),
    ]),
  );
  const flame = flameOf(many);
  expect(flame.frames.map(({ name, who, count, errors }) => [name, who, count, errors])).toEqual([["run", "a", 1, 0], ["call", "a", 2, 1], ["call", "b", 1, 0]]);
  expect(many.start[flame.frames[1].node]).toBe(10);
});

test("frames stand below their own, side by side, and too narrow ones are left out", () => {
  const flame = flameOf(model);
  const at = (top: number, least: number, levels: number) => placed(flame, top, least, levels).map(({ frame, from, to, level }) => [flame.frames[frame].name, from * 160, to * 160, level]);
  expect(at(-1, 0, 9)).toEqual([["run", 0, 160, 0], ["parse", 30, 100, 1], ["handed over", 30, 70, 2], ["load", 0, 30, 1]]);
  expect(at(-1, 0.2, 2)).toEqual([["run", 0, 160, 0], ["parse", 30, 100, 1]]);
  expect(placed(flame, 2, 0, 9).map(({ to }) => to)).toEqual([1, 40 / 70]);
});

test("shares are by name, the largest first", () => {
  expect(sharesOf(flameOf(model), model).map(({ name, own }) => [name, own])).toEqual([["run", 60], ["handed over", 40], ["load", 30], ["parse", 30]]);
});
