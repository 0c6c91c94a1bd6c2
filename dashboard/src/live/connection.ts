// The one live stream of a tab. Pages say which channels they want; the stream has those that somebody wants, is closed
// while the tab is hidden, and goes on where it was.
import { urlOf } from "../api/client";
import { SseParser } from "./sse";

export type Channel = "events" | "executions" | "agents" | "traces" | "stats";
export type LiveState = "off" | "connecting" | "live" | "hidden" | "paused" | "unavailable";

export interface Listener {
  onData?: (data: unknown) => void;
  /** What was missed cannot be had any more: fetch anew. */
  onReset?: () => void;
  /** So many frames were skipped, because this reader was too slow. */
  onGap?: (dropped: number) => void;
}

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 15_000;
/** The server sends a comment every 15 s; three of them missing is a dead connection. */
const SILENCE = 45_000;

export class LiveConnection {
  state: LiveState = "off";
  private readonly listeners = new Map<Channel, Set<Listener>>();
  private readonly watchers = new Set<() => void>();
  private abort: AbortController | null = null;
  private lastId: string | null = null;
  private wait = FIRST_WAIT;
  private serverWait: number | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private open = "";
  private paused = false;
  private hidden = false;

  subscribe(channel: Channel, listener: Listener): () => void {
    const all = this.listeners.get(channel) ?? new Set();
    this.listeners.set(channel, all.add(listener));
    this.settle();
    return () => {
      all.delete(listener);
      this.settle();
    };
  }

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  setPaused(paused: boolean) {
    this.paused = paused;
    this.settle();
  }

  setHidden(hidden: boolean) {
    this.hidden = hidden;
    this.settle();
  }

  close() {
    this.listeners.clear();
    this.stop("off");
  }

  private channels(): string {
    const wanted = [...this.listeners].filter(([, all]) => all.size > 0);
    return wanted.map(([channel]) => channel).sort().join(",");
  }

  /** After the running code: a page that leaves and one that comes want the same channels, and nothing has to change. */
  private settle() {
    queueMicrotask(() => {
      const wanted = this.channels();
      if (wanted === "" || this.paused || this.hidden) {
        this.stop(wanted === "" ? "off" : this.paused ? "paused" : "hidden");
      } else if (wanted !== this.open) {
        this.stop("connecting");
        this.open = wanted;
        void this.connect(wanted);
      }
    });
  }

  private stop(state: LiveState) {
    this.open = "";
    this.abort?.abort();
    this.abort = null;
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    this.set(state);
  }

  private set(state: LiveState) {
    if (state === this.state) return;
    this.state = state;
    for (const watcher of this.watchers) watcher();
  }

  private async connect(topics: string) {
    const abort = new AbortController();
    this.abort = abort;
    this.set("connecting");
    let silence: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE);
    };
    try {
      alive();
      const response = await fetch(urlOf("api/v1/stream", { topics, last_event_id: this.lastId }), {
        headers: { accept: "text/event-stream" },
        signal: abort.signal,
        cache: "no-store",
      });
      if (response.status === 404 || !(response.headers.get("content-type") ?? "").includes("event-stream")) {
        // A server without this route will not have it a moment later.
        this.wait = LONGEST_WAIT;
        this.set("unavailable");
        return;
      }
      if (!response.ok || !response.body) return;
      this.wait = FIRST_WAIT;
      this.set("live");
      const parser = new SseParser();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        alive();
        for (const frame of parser.push(value)) this.take(frame.event, frame.data, frame.id);
        this.serverWait = parser.retry;
      }
    } catch {
      // Broken, or ended by us: both are looked at below.
    } finally {
      clearTimeout(silence);
      // An answer that is no stream is not read, and would keep its connection.
      abort.abort();
      if (this.abort === abort) this.again(topics);
    }
  }

  private again(topics: string) {
    this.abort = null;
    if (this.state !== "unavailable") this.set("connecting");
    const wait = Math.max(this.wait, this.serverWait ?? 0);
    this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
    this.timer = setTimeout(() => void this.connect(topics), wait);
  }

  private take(event: string, text: string, id: string | null) {
    if (id !== null) this.lastId = id;
    let data: unknown;
    try {
      data = JSON.parse(text);
    } catch {
      // Something foreign in the stream: whoever listens would not understand it either.
      return;
    }
    const everybody = () => [...this.listeners.values()].flatMap((all) => [...all]);
    if (event === "hello") return;
    if (event === "reset") {
      // From here on the ids are those of the server as it is now.
      for (const listener of everybody()) listener.onReset?.();
    } else if (event === "gap") {
      const dropped = Number((data as { dropped?: unknown } | null)?.dropped ?? 0);
      for (const listener of everybody()) listener.onGap?.(dropped);
    } else {
      for (const listener of this.listeners.get(event as Channel) ?? []) listener.onData?.(data);
    }
  }
}
