import { QueryClient } from "@tanstack/react-query";
import { expect, test, vi } from "vitest";
import { api } from "./api/client";
import { parseSearch, stringifySearch } from "./lib/query-state";
import { fromJaeger, makeRouter } from "./router";

test("an id that looks like a number stays the text that it is", () => {
  const search = { span: "1234567890123456", to: "12e4567890123456" };
  expect(parseSearch(stringifySearch(search))).toEqual(search);
});

test("what is empty is left out of the URL, and hostile text comes back as it went in", () => {
  expect(stringifySearch({ a: undefined, b: "" })).toBe("");
  const q = '"><script>alert(1)</script>&x=y#z';
  expect(parseSearch(stringifySearch({ q }))).toEqual({ q });
});

test("a search of Jaeger's becomes one of ours", () => {
  expect(
    fromJaeger({ service: "agent-a", operation: "all", start: "1767355200000000", end: "1767358800000000", minDuration: "5ms" }),
  ).toMatchObject({ service: "agent-a", operation: undefined, from: "1767355200000", to: "1767358800000", min: "5ms" });
  expect(fromJaeger({ service: "__all_services__", lookback: "2h" })).toMatchObject({ service: undefined, from: "now-2h" });
});

test("a trace is asked for when its page is opened, also by who had pointed at the link before, and not by pointing", async () => {
  const asked = vi.spyOn(api, "trace").mockRejectedValue(new Error("no server"));
  const router = makeRouter(new QueryClient({ defaultOptions: { queries: { retry: false } } }));
  await router.load();
  const trace = { to: "/traces/$traceId", params: { traceId: "0AF7651916CD43DD8448EB211C80319C" } } as const;
  await router.preloadRoute(trace);
  expect(asked).not.toHaveBeenCalled();
  await router.navigate(trace);
  expect(asked.mock.calls.map(([id]) => id)).toEqual(["0af7651916cd43dd8448eb211c80319c"]);
  await router.navigate({ to: "/traces/$traceId", params: { traceId: "0a...0b" } });
  expect(asked).toHaveBeenCalledTimes(1);
});
