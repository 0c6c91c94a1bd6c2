// What the frames of the live stream say (docs/api.md); what is not of the expected shape says nothing. By hand: docs/openapi.json
// does not describe frames.
import type { BusEvent } from "../api/types";

const fieldsOf = (data: unknown): Record<string, unknown> =>
  typeof data === "object" && data !== null && !Array.isArray(data) ? (data as Record<string, unknown>) : {};

/** `events`: the newest first. */
export const eventsOf = (data: unknown): BusEvent[] => {
  const { items } = fieldsOf(data);
  return Array.isArray(items) ? (items as BusEvent[]) : [];
};

/** `events`: spans of which nothing is told, since there were too many at once. */
export const skippedOf = (data: unknown): number => {
  const { skipped_spans } = fieldsOf(data);
  return typeof skipped_spans === "number" ? skipped_spans : 0;
};

/** `traces`: whether this one got spans. */
export const hasGrown = (data: unknown, traceId: string): boolean => Object.hasOwn(fieldsOf(data), traceId);
