import { expect, test } from "vitest";
import { guess } from "./lookup";

const trace = "4BF92F3577b34da6a3ce929d0e0e4736";

test("ids lead to their pages", () => {
  expect(guess(` ${trace} `)[0]).toMatchObject({ kind: "trace", to: `/traces/${trace.toLowerCase()}` });
  expect(guess("01a201bf-548b-79cf-8918-2c868baa8f8b")[0]).toMatchObject({
    kind: "event",
    to: "/events/01a201bf-548b-79cf-8918-2c868baa8f8b",
  });
  expect(guess(`00-${trace}-00f067aa0ba902b7-01`)[0]).toMatchObject({
    kind: "traceparent",
    search: { span: "00f067aa0ba902b7" },
  });
  expect(guess("00f067aa0ba902b7").map((one) => one.kind)).toEqual(["span", "text"]);
});

test("anything else is words to search traces for", () => {
  expect(guess("bad reading")).toEqual([
    { kind: "text", to: "/traces", search: { q: "bad reading" }, label: "Traces with" },
  ]);
  expect(guess("   ")).toEqual([]);
});
