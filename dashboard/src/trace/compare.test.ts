import { expect, test } from "vitest";
import { differences } from "./compare";

const node = (path: string, a: [number, number] | null, b: [number, number] | null) => ({
  path: path.split("/"),
  a: a && { count: a[0], duration_ns: a[1] },
  b: b && { count: b[0], duration_ns: b[1] },
});

test("rows are a tree, whatever the order of the answer", () => {
  const rows = differences({ truncated: false, nodes: [node("r/b/c", [1, 1], [1, 1]), node("r", [1, 5], [1, 5]), node("r/a", [1, 1], [1, 1]), node("r/b", [1, 1], [1, 1])] });
  expect(rows.map((row) => `${row.depth} ${row.name}`)).toEqual(["0 r", "1 a", "1 b", "2 c"]);
});

test("what differs, and what is noise", () => {
  const kind = (a: [number, number] | null, b: [number, number] | null) => differences({ truncated: false, nodes: [node("r", a, b)] })[0].kind;
  expect(kind([1, 1e6], [1, 2e6])).toBe("slower");
  expect(kind([1, 2e6], [1, 1e6])).toBe("faster");
  expect(kind([1, 1e3], [1, 5e3])).toBe("same");
  expect(kind([1, 1e9], [1, 1.05e9])).toBe("same");
  expect(kind([1, 1], [2, 1])).toBe("count");
  expect([kind([1, 1], null), kind(null, [1, 1])]).toEqual(["only_a", "only_b"]);
});

test("a path of a large trace whose parent was left out is not lost", () => {
  expect(differences({ truncated: false, nodes: [node("x/y/z", [1, 1], null)] })).toHaveLength(1);
});
