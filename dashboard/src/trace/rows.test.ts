import { expect, test } from "vitest";
import { idOf, traceOf } from "./fixture";
import { buildModel } from "./model";
import * as rows from "./rows";
import { runTimes } from "./runs";

const model = buildModel(
  traceOf([
    { name: "root", start: 0, duration: 100, service: "agent-desk", agent: "desk" },
    { name: "publish", parent: "root", start: 1, duration: 2, topic: "orders.new" },
    { name: "handle", parent: "publish", start: 5, duration: 50, service: "agent-data", agent: "data", topic: "orders.new" },
    { name: "other", parent: "root", start: 60, duration: 10 },
  ]),
);
const [root, publish, handle, other] = [0, 1, 2, 3].map(idOf);

test("what is folded hides its subtree", () => {
  expect([...rows.visibleRows(model, rows.UNFOLDED, null)]).toEqual([0, 1, 2, 3]);
  expect([...rows.visibleRows(model, rows.toggled(rows.UNFOLDED, publish), null)]).toEqual([0, 1, 3]);
  expect([...rows.visibleRows(model, rows.ALL_FOLDED, null)]).toEqual([0]);
  expect([...rows.visibleRows(model, rows.toggled(rows.ALL_FOLDED, root), null)]).toEqual([0, 1, 3]);
});

test("a folded node has its row above it, and is revealed with all above it", () => {
  const folded = rows.visibleRows(model, rows.ALL_FOLDED, null);
  expect(rows.rowOf(folded, model, 2)).toBe(0);
  const open = rows.revealed(rows.ALL_FOLDED, model, 2);
  expect([...rows.visibleRows(model, open, null)]).toEqual([0, 1, 2, 3]);
  expect(rows.revealed(rows.UNFOLDED, model, 2)).toBe(rows.UNFOLDED);
});

test("folding goes into the URL and comes back", () => {
  const some = rows.toggled(rows.toggled(rows.UNFOLDED, publish), other);
  expect(rows.foldingText(some)).toBe(`${publish}.${other}`);
  expect(rows.parseFolding(rows.foldingText(some))).toEqual(some);
  const allBut = rows.toggled(rows.ALL_FOLDED, handle);
  expect(rows.parseFolding(rows.foldingText(allBut))).toEqual(allBut);
  expect(rows.foldingText(rows.UNFOLDED)).toBeUndefined();
  expect(rows.parseFolding("<script>.all")).toEqual(rows.UNFOLDED);
});

test("siblings that are alike are one row until somebody opens it", () => {
  const loop = buildModel(
    traceOf([
      { name: "root", start: 0, duration: 1000 },
      ...Array.from({ length: 6 }, (_, at) => ({ name: "call", parent: "root", start: 10 * at, duration: 5 })),
      { name: "call", parent: "root", start: 70, duration: 5, status: 2 },
      { name: "end", parent: "root", start: 100, duration: 5 },
    ]),
  );
  const closed = rows.visibleRows(loop, rows.UNFOLDED, null);
  expect([...closed]).toEqual([0, 1, 7, 8]);
  expect([loop.runs.length[1], rows.rowOf(closed, loop, 4)]).toEqual([6, 1]);
  expect(runTimes(loop, 1)).toEqual({ latest: 55, sum: 30 });
  const open = rows.runToggled(rows.UNFOLDED, loop.id[1]);
  expect(rows.visibleRows(loop, open, null)).toHaveLength(9);
  expect(rows.visibleRows(loop, rows.ALL_OPEN, null)).toHaveLength(9);
  expect(rows.revealed(rows.UNFOLDED, loop, 4)).toEqual(open);
  expect(rows.revealed(rows.UNFOLDED, loop, 1)).toBe(rows.UNFOLDED);
  for (const folding of [open, rows.ALL_OPEN, rows.runToggled(rows.ALL_OPEN, loop.id[1])]) {
    expect(rows.parseFolding(rows.foldingText(folding))).toEqual(folding);
  }
});

test("few that are alike, and those with errors below, stay as they are", () => {
  const four = Array.from({ length: 4 }, (_, at) => ({ name: "call", start: 10 * at, duration: 5 }));
  expect(buildModel(traceOf(four)).runs.head).toEqual(new Int32Array(4).fill(-1));
  const five = [...four, { name: "call", start: 50, duration: 5 }];
  expect([...buildModel(traceOf(five)).runs.length]).toEqual([5, 0, 0, 0, 0]);
  const below = traceOf([...five.slice(1), { name: "last", start: 60, duration: 1 }, { name: "bad", parent: "last", start: 60, duration: 1, status: 2 }]);
  below.columns.name[4] = below.columns.name[0];
  expect([...buildModel(below).runs.length]).toEqual([0, 0, 0, 0, 0, 0]);
});

test("every word must be found, in name, service, agent, topic or id", () => {
  const found = (query: string) => [...rows.listOf(rows.findLocally(model, query))];
  expect(found("ORDERS")).toEqual([1, 2]);
  expect(found("orders data")).toEqual([2]);
  expect(found(handle)).toEqual([2]);
  expect(found("orders nothing")).toEqual([]);
  expect(found("  ")).toEqual([]);
});

test("only what is found, with what stands above it", () => {
  const found = rows.findLocally(model, "handle");
  expect([...rows.visibleRows(model, rows.ALL_FOLDED, found)]).toEqual([0, 1, 2]);
  const more = rows.foundNodes(model, found, [other, "ffffffffffffffff"]);
  expect([...rows.listOf(more)]).toEqual([2, 3]);
});

test("next and previous go round", () => {
  const nodes = Int32Array.from([1, 3]);
  expect(rows.nextOf(nodes, 1, 1)).toBe(3);
  expect(rows.nextOf(nodes, 3, 1)).toBe(1);
  expect(rows.nextOf(nodes, 0, -1)).toBe(3);
  expect(rows.nextOf(new Int32Array(0), 0, 1)).toBe(-1);
});
