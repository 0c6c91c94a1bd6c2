import type { BusEvent } from "../api/types";

/** Tells one publish from another: an event may be published twice. */
export const keyOf = (event: BusEvent) => `${event.event_id} ${event.span_id} ${event.time_ns}`;

/** Newest first, each once, at most `most`. Both lists are newest first already, or nearly. */
export function merged(newer: BusEvent[], older: BusEvent[], most: number): BusEvent[] {
  const seen = new Set<string>();
  const all: BusEvent[] = [];
  for (const event of [...newer, ...older]) {
    const key = keyOf(event);
    if (seen.has(key)) continue;
    seen.add(key);
    all.push(event);
  }
  const later = (a: string, b: string) => (a.length === b.length ? (a < b ? 1 : a > b ? -1 : 0) : b.length - a.length);
  return all.sort((a, b) => later(a.time_ns, b.time_ns)).slice(0, most);
}
