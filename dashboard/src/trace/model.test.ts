import { expect, test } from "vitest";
import { traceOf } from "./fixture";
import { buildModel, missingParents, nextError, spanView } from "./model";

const names = (model: ReturnType<typeof buildModel>) =>
  Array.from({ length: model.count }, (_, node) => spanView(model, node)?.name ?? `? ${model.id[node]}`);

test("rows are in preorder, children by their start", () => {
  const model = buildModel(
    traceOf([
      { name: "a", start: 0, duration: 100 },
      { name: "b", parent: "a", start: 10, duration: 20 },
      { name: "d", parent: "a", start: 15, duration: 5 },
      { name: "c", parent: "b", start: 12, duration: 3 },
    ]),
  );
  expect(names(model)).toEqual(["a", "b", "c", "d"]);
  expect([...model.depth]).toEqual([0, 1, 2, 1]);
  expect([...model.end]).toEqual([4, 3, 3, 4]);
  expect([...model.children]).toEqual([2, 1, 0, 0]);
  expect(model.duration).toBe(100);
});

test("a child that outlives its parent is in the parent's latest end", () => {
  const model = buildModel(
    traceOf([
      { name: "publish", start: 0, duration: 10 },
      { name: "handler", parent: "publish", start: 50, duration: 100 },
    ]),
  );
  expect(model.stop[0]).toBe(10);
  expect(model.latest[0]).toBe(150);
  expect(model.duration).toBe(150);
});

test("own errors and those below are told apart", () => {
  const model = buildModel(
    traceOf([
      { name: "a", start: 0, duration: 9 },
      { name: "b", parent: "a", start: 1, duration: 8, status: 2 },
      { name: "c", parent: "b", start: 2, duration: 7, status: 2 },
      { name: "d", parent: "a", start: 3, duration: 1 },
    ]),
  );
  expect([...model.failed]).toEqual([0, 1, 1, 0]);
  expect([...model.failedBelow]).toEqual([2, 1, 0, 0]);
  expect(nextError(model, 0, 1)).toBe(1);
  expect(nextError(model, 2, 1)).toBe(1);
  expect(nextError(model, 1, -1)).toBe(2);
});

test("children of one missing parent stand below one row in its place", () => {
  const model = buildModel(
    traceOf([
      { name: "root", start: 0, duration: 10 },
      { name: "y", parentId: "00000000000000ff", start: 5, duration: 1 },
      { name: "x", parentId: "00000000000000ff", start: 3, duration: 9 },
    ]),
  );
  expect(names(model)).toEqual(["root", "? 00000000000000ff", "x", "y"]);
  expect(missingParents(model)).toBe(1);
  expect([model.start[1], model.stop[1]]).toEqual([3, 12]);
  expect(spanView(model, 1)).toBeNull();
});

test("no span is left out when parents go in a circle, or a span is its own", () => {
  const model = buildModel(
    traceOf([
      { name: "a", parent: "b", start: 0, duration: 1 },
      { name: "b", parent: "a", start: 1, duration: 1 },
      { name: "self", parent: "self", start: 2, duration: 1 },
    ]),
  );
  expect(names(model).sort()).toEqual(["a", "b", "self"]);
  expect([...model.parent].filter((parent) => parent < 0)).toHaveLength(2);
});

test("two spans of one id are two rows, and the first has the children", () => {
  const trace = traceOf([
    { name: "a", start: 0, duration: 1 },
    { name: "b", start: 1, duration: 1 },
    { name: "c", parent: "a", start: 2, duration: 1 },
  ]);
  trace.columns.span_id[1] = trace.columns.span_id[0];
  const model = buildModel(trace);
  expect(names(model)).toEqual(["a", "c", "b"]);
});

test("an empty trace is no error", () => {
  const model = buildModel(traceOf([]));
  expect(model.count).toBe(0);
  expect(nextError(model, 0, 1)).toBe(-1);
});

test("50,000 spans in one chain: nothing recurses", () => {
  const spans = Array.from({ length: 50_000 }, (_, at) => ({
    name: `s${at}`,
    parent: at > 0 ? `s${at - 1}` : undefined,
    start: at,
    duration: 100_000 - at,
    status: at === 49_999 ? 2 : 0,
  }));
  const model = buildModel(traceOf(spans));
  expect(model.count).toBe(50_000);
  expect(model.depth[49_999]).toBe(49_999);
  expect(model.end[0]).toBe(50_000);
  expect(model.failedBelow[0]).toBe(1);
});
