import { expect, test } from "vitest";
import { parseVisible, visible } from "./text";

test("what cannot be seen is written as what it is", () => {
  expect(visible("\u202egnp.evil\u0000")).toBe("\\u202egnp.evil\\u0000");
  expect(visible("two\nlines\tof text, größer, 日本, 👍, שלום")).toBe("two\nlines\tof text, größer, 日本, 👍, שלום");
});

test("in JSON too, escaped or not", () => {
  expect(parseVisible('{"a":["\\u202ex","\u2066y"],"b":1}')).toEqual({ a: ["\\u202ex", "\\u2066y"], b: 1 });
  expect(parseVisible('{"a":"plain <b>"}')).toEqual({ a: "plain <b>" });
});
