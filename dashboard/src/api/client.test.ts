import { afterEach, expect, test, vi } from "vitest";
import { traceOf } from "../trace/fixture";
import { ApiError, BadAnswer, Unreachable, api, urlOf } from "./client";
import { pathOf } from "./routes";

afterEach(() => vi.unstubAllGlobals());

const answers = (body: string, init: ResponseInit & { type?: string } = {}) =>
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(body, { status: init.status, headers: { "content-type": init.type ?? "application/json" } })));

test("parameters that say nothing are left out, lists are repeated, text is escaped", () => {
  const url = new URL(urlOf("api/v1/traces", { q: "a&b=c", agent: undefined, topic: "", cursor: null, state: ["A", "B"], limit: 5 }));
  expect(url.pathname).toBe("/api/v1/traces");
  expect([...url.searchParams]).toEqual([["q", "a&b=c"], ["state", "A"], ["state", "B"], ["limit", "5"]]);
});

test("a problem of the server is told by its words", async () => {
  answers(JSON.stringify({ title: "Bad Request", detail: "limit: too large", code: "bad_request", errors: [{ pointer: "/limit", detail: "too large" }] }), { status: 400, type: "application/problem+json" });
  const error = await api.traces({}).catch((one: unknown) => one);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ status: 400, code: "bad_request", message: "limit: too large" });
});

test("an answer of something else is none of ours", async () => {
  answers("<html>", { type: "text/html" });
  await expect(api.info()).rejects.toBeInstanceOf(BadAnswer);
  answers("{");
  await expect(api.info()).rejects.toThrow("broken JSON");
  answers('{"items_":[]}');
  await expect(api.traces({})).rejects.toThrow("has no field items");
  answers("gateway", { status: 502, type: "text/plain" });
  await expect(api.info()).rejects.toMatchObject({ status: 502 });
});

test("no answer at all is told apart, and giving up is no error of the server", async () => {
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
  await expect(api.info()).rejects.toBeInstanceOf(Unreachable);
  const abort = new AbortController();
  abort.abort();
  await expect(api.info(abort.signal)).rejects.toBeInstanceOf(TypeError);
});

test("a route is asked for with its ids escaped, below whatever path the server stands", async () => {
  expect(pathOf("/api/v1/traces/{id}/spans/{span_id}", { id: "a/b", span_id: "é" })).toBe("api/v1/traces/a%2Fb/spans/%C3%A9");
  expect(pathOf("/api/v1/info")).toBe("api/v1/info");
});

test("where replies come to an agent is not shown", async () => {
  const subscriptions = [{ id: 1, pattern: "_inbox.a.>", qos: "reliable" }, { id: 2, pattern: "orders.>", qos: "reliable" }];
  answers(JSON.stringify({ agent_id: "a", subscriptions }));
  await expect(api.agent("a")).resolves.toMatchObject({ subscriptions: [{ pattern: "orders.>" }] });
});

test("a trace whose columns are not whole is refused by the name of the column", async () => {
  const trace = traceOf([{ name: "a", start: 0, duration: 1 }]);
  answers(JSON.stringify(trace));
  await expect(api.trace("4b")).resolves.toMatchObject({ spans: 1 });
  trace.columns.wait = [];
  answers(JSON.stringify(trace));
  await expect(api.trace("4b")).rejects.toThrow("no whole column wait");
});
