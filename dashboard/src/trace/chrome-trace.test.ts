import { expect, test } from "vitest";
import { chromeTrace } from "./chrome-trace";
import { idOf, traceOf } from "./fixture";
import { buildModel } from "./model";

const model = buildModel(
  traceOf([
    { name: "emit", start: 0, duration: 3_000, service: "agent-a", agent: "a" },
    { name: "publish", parent: "emit", start: 1_000, duration: 500, topic: "orders" },
    { name: "handle", parent: "publish", start: 5_000, duration: 4_000, service: "agent-b", agent: "b", status: 2 },
    { name: "step one", parent: "handle", start: 5_500, duration: 2_000, service: "agent-b", agent: "b" },
    { name: "step two", parent: "handle", start: 6_000, duration: 2_500, service: "agent-b", agent: "b" },
    { name: "later", parent: "handle", start: 9_000, duration: 10, service: "agent-b", agent: "b", parentId: undefined },
  ]),
);
const { traceEvents } = JSON.parse(chromeTrace(model)) as { traceEvents: Record<string, unknown>[] };
const slice = (name: string) => traceEvents.find((one) => one.ph === "X" && one.name === name);

test("services are processes, spans slices in µs with their ids", () => {
  expect(traceEvents.filter((one) => one.ph === "M").map((one) => one.args)).toEqual([{ name: "agent-a" }, { name: "loom" }, { name: "agent-b" }]);
  expect(slice("publish")).toMatchObject({ pid: 1, ts: 1, dur: 0.5, args: { span_id: idOf(1), parent_span_id: idOf(0), topic: "orders" } });
  expect(slice("handle")).toMatchObject({ args: { agent: "b", status: "error" } });
});

test("slices of one thread are within or after each other", () => {
  expect(slice("step one")?.tid).toBe(slice("handle")?.tid);
  expect(slice("step two")?.tid).not.toBe(slice("step one")?.tid);
  expect(slice("later")?.tid).toBe(slice("handle")?.tid);
});

test("an arrow goes from who handed over to who took", () => {
  const [from, to] = traceEvents.filter((one) => one.cat === "handover");
  expect(from).toMatchObject({ ph: "s", pid: 0, ts: 3 });
  expect(to).toMatchObject({ ph: "f", pid: 2, ts: 5, id: from.id });
});
