import { beforeEach, expect, test } from "vitest";
import { Colours, SLOTS, colourOf, hash } from "./colour";

beforeEach(() => localStorage.clear());

test("as long as there are free slots, no two names share one", () => {
  const colours = new Colours(null);
  const names = Array.from({ length: SLOTS }, (_, at) => `agent ${at}`);
  expect(new Set(names.map((name) => colours.slot(name))).size).toBe(SLOTS);
});

test("the first name gets what its hash prefers", () => {
  expect(new Colours(null).slot("sensor-agent")).toBe(hash("sensor-agent") % SLOTS);
});

test("a colour is remembered by the next page", () => {
  const first = new Colours(localStorage);
  const names = ["a", "b", "c", "d", "e"];
  const slots = names.map((name) => first.slot(name));
  const second = new Colours(localStorage);
  expect([...names].reverse().map((name) => second.slot(name))).toEqual([...slots].reverse());
});

test("foreign content of the storage is no harm", () => {
  localStorage.setItem("loom.colours", '{"a":"red","b":99,"c":-1}');
  expect(new Colours(localStorage).slot("a")).toBeLessThan(SLOTS);
  localStorage.setItem("loom.colours", "no json");
  expect(new Colours(localStorage).slot("a")).toBeLessThan(SLOTS);
});

test("an agent and its service have one colour, the bus has none", () => {
  expect(colourOf("agent-sensor")).toBe(colourOf("sensor"));
  expect(colourOf("loom")).toBe("var(--c-bus)");
});
