// What somebody may have pasted into the search box, and the pages that could know it.

export interface Guess {
  kind: "trace" | "span" | "event" | "traceparent" | "text";
  /** Page and query to go to. */
  to: string;
  search?: Record<string, string>;
  label: string;
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/i;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The likeliest first. Execution ids are span ids, so both are offered. */
export function guess(input: string): Guess[] {
  const text = input.trim();
  if (text === "") return [];
  const parent = TRACEPARENT.exec(text);
  if (parent) {
    const [, trace, span] = parent;
    const to = `/traces/${trace.toLowerCase()}`;
    return [{ kind: "traceparent", to, search: { span: span.toLowerCase() }, label: "Trace of this traceparent" }];
  }
  if (/^[0-9a-f]{32}$/i.test(text)) return [{ kind: "trace", to: `/traces/${text.toLowerCase()}`, label: "Trace" }];
  if (UUID.test(text)) return [{ kind: "event", to: `/events/${text.toLowerCase()}`, label: "Event" }];
  const found: Guess[] = [];
  if (/^[0-9a-f]{16}$/i.test(text)) {
    const id = text.toLowerCase();
    found.push({ kind: "span", to: "/executions", search: { execution: id }, label: "Execution" });
  }
  found.push({ kind: "text", to: "/traces", search: { q: text }, label: "Traces with" });
  return found;
}
