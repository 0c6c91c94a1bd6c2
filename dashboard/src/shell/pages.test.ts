import { expect, test } from "vitest";
import { titleOf } from "./pages";

test("a window is called by its page, and by what is shown there", () => {
  expect(titleOf("/")).toBe("Live · Loom");
  expect(titleOf("/agents")).toBe("Agents · Loom");
  expect(titleOf("/agents/caf%C3%A9")).toBe("café · Agents · Loom");
  expect(titleOf("/traces/4bf92f3577b34da6a3ce929d0e0e4736")).toBe("4bf92f3577b3 · Traces · Loom");
  expect(titleOf("/nowhere")).toBe("Loom");
});

test("a path that nobody has encoded breaks no page", () => {
  expect(titleOf("/agents/50%")).toBe("50% · Agents · Loom");
});
