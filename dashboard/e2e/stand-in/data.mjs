// What the stand-in serves: traces that a real server recorded of the demos, moved to the time at which it is asked, and a few
// made ones for what no demo shows (50,000 spans, a missing parent, hostile text, links between traces).
import { readFileSync } from "node:fs";

const { resources, traces } = JSON.parse(readFileSync(new URL("../recorded/traces.json", import.meta.url), "utf8"));
const KINDS = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };
export const ERROR = 2;

export const hex = (value, digits) => value.toString(16).padStart(digits, "0");

/** The same numbers in each run. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}


function of(recorded, startMs, change) {
  const rename = change ? (id) => hex((BigInt(`0x${id}`) ^ BigInt(change)) & 0xffffffffffffffffn, 16) : (id) => id;
  const trace_id = change ? hex((BigInt(`0x${recorded.trace_id}`) ^ (BigInt(change) << 64n)) & (2n ** 128n - 1n), 32) : recorded.trace_id;
  return {
    trace_id,
    startMs,
    spans: recorded.spans.map((span) => ({
      ...span,
      trace_id,
      span_id: rename(span.span_id),
      parent: span.parent && rename(span.parent),
      links: span.links.map((link) => ({ ...link, trace_id, span_id: rename(link.span_id) })),
      attributes: { ...span.attributes, ...(span.attributes["event.id"] && { "event.id": eventId(span.attributes["event.id"], change) }), ...(span.attributes.event_id && { event_id: eventId(span.attributes.event_id, change) }) },
      resource: resources[span.resource],
      start: span.start_us * 1000,
      duration: span.duration_us * 1000,
      kindNumber: KINDS[span.kind] ?? 0,
    })),
  };
}

/** Another event id for another trace made of the same recording. */
function eventId(id, change) {
  return change ? id.slice(0, -12) + hex((BigInt(`0x${id.slice(-12)}`) ^ BigInt(change)) & 0xffffffffffffn, 12) : id;
}

/** A trace of many spans: one run that fans out again and again. */
function many(count, startMs) {
  const next = random(7);
  const trace_id = "5000000000000000000000000000c0de";
  const spans = [];
  const names = ["agent.on_event", "bridge.publish", "EventBus.publish", "bridge.forward", "chat gpt-4o-mini", "execute_tool search"];
  for (let at = 0; at < count; at += 1) {
    const above = at === 0 ? null : spans[Math.floor(at < 40 ? next() * at : at - 1 - next() * 30)];
    const start = above ? above.start + Math.floor(next() * above.duration * 0.7) : 0;
    const name = at === 0 ? "invoke_workflow crawl" : names[at % names.length];
    const agent = `worker-${at % 7}`;
    spans.push({
      trace_id, span_id: hex(at + 1, 16), parent: above?.span_id ?? null, name, kind: "internal", kindNumber: 1,
      service: name.startsWith("b") || name.startsWith("E") ? "loom" : `agent-${agent}`, start,
      duration: at === 0 ? 90e9 : Math.max(2000, Math.floor((above.duration - (start - above.start)) * (0.3 + next() * 0.6)) || 20000),
      status: at % 997 === 500 ? ERROR : 0, message: at % 997 === 500 ? "RuntimeError: page not found" : null,
      attributes: { "agent.id": agent, "workflow.id": "crawl", n: at }, resource: { "service.name": `agent-${agent}` }, scope: { name: "test", version: "1" },
      events: [], links: [],
    });
  }
  return { trace_id, startMs, spans: spans.sort((a, b) => a.start - b.start || (a.span_id < b.span_id ? -1 : 1)) };
}

/** Text that would do harm where it is taken for more than text. */
function hostile(startMs, linked) {
  const script = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
  const base = { trace_id: "badbadbadbadbadbadbadbadbadbad00", kind: "internal", kindNumber: 1, service: "agent-<b>bold</b>", scope: { name: script, version: "" }, resource: { "service.name": "agent-<b>bold</b>" } };
  const span = (at, parent, name, more = {}) => ({
    ...base, span_id: hex(0xbad000 + at, 16), parent, name, start: at * 1e6, duration: 4e6, status: 0, message: null, events: [], links: [],
    attributes: { "agent.id": "<i>agent</i>", [script]: script, "url.full": "javascript:alert(1)", long: "lorem ipsum ".repeat(4000), json: '{"a":[1,2,{"b":"</script>"}]}', "'; DROP TABLE spans; --": "'" }, ...more,
  });
  return {
    trace_id: base.trace_id,
    startMs,
    spans: [
      span(0, null, script, { duration: 12e6 }),
      span(1, hex(0xbad000, 16), "\u202egnp.evil \u0000\u0007", { status: ERROR, message: script, events: [{ name: script, at_us: 1500, attributes: { [script]: script } }] }),
      span(2, "00000000000fffff", "orphan of a lost parent"),
      span(3, "00000000000fffff", "another orphan", { links: [{ trace_id: linked.trace_id, span_id: linked.spans[3].span_id, attributes: { "loom.join.last": true } }] }),
      span(4, hex(0xbad000, 16), "stands in", { attributes: { "loom.stand_in": true, "agent.id": "<i>agent</i>" } }),
    ],
  };
}

/** Everything, as of now: the newest trace began two seconds ago. */
export function world(now) {
  const desks = traces.filter((trace) => trace.spans.length > 30);
  const bad = traces.filter((trace) => trace.spans.length > 10 && trace.spans.length <= 30);
  const chains = traces.filter((trace) => trace.spans.length <= 10);
  const next = random(42);
  const all = [];
  for (let at = 0; at < 90; at += 1) {
    const kind = at % 9 === 4 ? bad : at % 3 === 0 ? desks : chains;
    all.push(of(kind[at % kind.length], now - 2_000 - at * 37_000 - Math.floor(next() * 9_000), at === 0 ? 0 : at * 7919));
  }
  all.push(hostile(now - 500_000, all[0]), many(50_000, now - 1_200_000));
  const byId = new Map(all.map((trace) => [trace.trace_id, trace]));
  return { now, traces: all, byId };
}

export const agentOf = (span) => span.attributes["agent.id"] ?? span.attributes.agent_id ?? null;
export const topicOf = (span) => span.attributes.topic ?? null;
export const workflowOf = (trace) => trace.spans.find((span) => span.attributes["workflow.id"])?.attributes["workflow.id"] ?? null;
export const isLlm = (span) => ["chat", "text_completion", "embeddings"].includes(span.attributes["gen_ai.operation.name"]) || span.name.startsWith("chat ");
export const isTool = (span) => span.name.startsWith("execute_tool");
export const waitOf = (span) => (span.attributes["loom.queue.wait_us"] === undefined ? null : Number(span.attributes["loom.queue.wait_us"]) * 1000);
export const executionsOf = (trace) => trace.spans.filter((span) => span.name === "agent.on_event" || span.name === "agent.on_action");
export const publishesOf = (trace) => trace.spans.filter((span) => span.name === "EventBus.publish");
export const endOf = (trace) => trace.spans.reduce((latest, span) => Math.max(latest, span.start + span.duration), 1);
export const iso = (ms) => new Date(ms).toISOString();
export const nsText = (ms, ns = 0) => String(BigInt(Math.round(ms)) * 1_000_000n + BigInt(Math.round(ns)));

