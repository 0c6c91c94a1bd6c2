import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LiveConnection } from "./connection";

/** A stand-in for the server: each request is a stream that the test writes to. */
class Streams {
  readonly urls: URL[] = [];
  private readonly controllers: ReadableStreamDefaultController<Uint8Array>[] = [];

  fetch = (url: string, init?: RequestInit) => {
    this.urls.push(new URL(url));
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controllers.push(controller);
        init?.signal?.addEventListener("abort", () => controller.error(new Error("aborted")));
      },
    });
    return Promise.resolve(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  };

  send(at: number, text: string) {
    this.controllers[at].enqueue(new TextEncoder().encode(text));
  }

  end(at: number) {
    this.controllers[at].close();
  }
}

let streams: Streams;
let live: LiveConnection;

beforeEach(() => {
  vi.useFakeTimers();
  streams = new Streams();
  vi.stubGlobal("fetch", streams.fetch);
  live = new LiveConnection();
});

afterEach(() => {
  live.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settled = () => vi.advanceTimersByTimeAsync(0);
const frame = (id: number, event: string, data: unknown) => `id: boot-${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

test("all pages share one stream of the channels that somebody wants", async () => {
  const seen: unknown[] = [];
  live.subscribe("agents", { onData: (data) => seen.push(data) });
  live.subscribe("stats", {});
  live.subscribe("agents", {});
  await settled();
  expect(streams.urls.map((url) => url.searchParams.get("topics"))).toEqual(["agents,stats"]);
  expect(live.state).toBe("live");
  streams.send(0, frame(1, "agents", [1]) + frame(2, "stats", {}) + frame(3, "unknown", {}));
  await settled();
  expect(seen).toEqual([[1]]);
});

test("after a break it goes on after the last frame that came", async () => {
  live.subscribe("agents", {});
  await settled();
  streams.send(0, "retry: 2000\n\n" + frame(7, "agents", []));
  await settled();
  streams.end(0);
  await settled();
  expect(live.state).toBe("connecting");
  await vi.advanceTimersByTimeAsync(1_999);
  expect(streams.urls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(streams.urls[1].searchParams.get("last_event_id")).toBe("boot-7");
});

test("reset and gap reach every listener", async () => {
  const told: string[] = [];
  live.subscribe("agents", { onReset: () => told.push("agents reset"), onGap: (dropped) => told.push(`agents ${dropped}`) });
  live.subscribe("events", { onReset: () => told.push("events reset") });
  await settled();
  streams.send(0, frame(1, "reset", { reason: "too old" }) + frame(2, "gap", { dropped: 5 }));
  await settled();
  expect(told).toEqual(["agents reset", "events reset", "agents 5"]);
});

test("no stream while the tab is hidden, paused, or nobody listens", async () => {
  const leave = live.subscribe("agents", {});
  await settled();
  live.setHidden(true);
  await settled();
  expect(live.state).toBe("hidden");
  live.setHidden(false);
  live.setPaused(true);
  await settled();
  expect(live.state).toBe("paused");
  live.setPaused(false);
  await settled();
  expect([live.state, streams.urls.length]).toEqual(["live", 2]);
  leave();
  await settled();
  expect(live.state).toBe("off");
});

test("a server without the route is asked again, but seldom", async () => {
  const signals: (AbortSignal | null | undefined)[] = [];
  vi.stubGlobal("fetch", (_: string, init?: RequestInit) => {
    signals.push(init?.signal);
    return Promise.resolve(new Response("{}", { status: 404 }));
  });
  live.subscribe("agents", {});
  await settled();
  expect(live.state).toBe("unavailable");
  expect(signals.map((signal) => signal?.aborted)).toEqual([true]);
  vi.stubGlobal("fetch", streams.fetch);
  await vi.advanceTimersByTimeAsync(14_000);
  expect(streams.urls).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(live.state).toBe("live");
});

test("a connection that says nothing for long is given up", async () => {
  live.subscribe("agents", {});
  await settled();
  await vi.advanceTimersByTimeAsync(47_000);
  expect(streams.urls.length).toBeGreaterThan(1);
});
