import { expect, test } from "vitest";
import { eventsOf, hasGrown, skippedOf } from "./frames";

test("events are the items of a frame", () => {
  const items = [{ event_id: "a" }];
  expect(eventsOf({ items, skipped_spans: 0 })).toEqual(items);
  for (const other of [null, "x", [], items, { items: "x" }, {}]) expect(eventsOf(other)).toEqual([]);
});

test("of how many spans a frame says nothing", () => {
  expect(skippedOf({ items: [], skipped_spans: 3 })).toBe(3);
  for (const other of [null, 3, {}, { skipped_spans: "3" }]) expect(skippedOf(other)).toBe(0);
});

test("a trace has grown when the frame names it", () => {
  expect(hasGrown({ abc: { spans: 2, has_root: true } }, "abc")).toBe(true);
  for (const other of [null, "abc", ["abc"], {}, { abcd: {} }]) expect(hasGrown(other, "abc")).toBe(false);
  expect(hasGrown({}, "toString")).toBe(false);
});
