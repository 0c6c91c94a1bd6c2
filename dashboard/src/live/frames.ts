// What the frames of the live stream say (docs/api.md); what is not of the expected shape says nothing.
import type { BusEvent, EventsFrame, TracesFrame } from "../api/types";

const fieldsOf = <F extends object>(data: unknown): Partial<F> =>
  typeof data === "object" && data !== null && !Array.isArray(data) ? (data as Partial<F>) : {};

/** `events`: the newest first. */
export const eventsOf = (data: unknown): BusEvent[] => {
  const { items } = fieldsOf<EventsFrame>(data);
  return Array.isArray(items) ? items : [];
};

/** `events`: spans of which nothing is told, since there were too many at once. */
export const skippedOf = (data: unknown): number => {
  const { skipped_spans } = fieldsOf<EventsFrame>(data);
  return typeof skipped_spans === "number" ? skipped_spans : 0;
};

/** `traces`: whether this one got spans. */
export const hasGrown = (data: unknown, traceId: string): boolean => Object.hasOwn(fieldsOf<TracesFrame>(data), traceId);
