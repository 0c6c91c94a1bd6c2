// Where the time of a trace goes: the same words and looks in the header, on the critical path and in its legend.
import type { TimeKind, TimeSummary } from "../api/types";

export interface TimeLook {
  kind: TimeKind;
  field: keyof TimeSummary;
  name: string;
  hint: string;
  colour: string;
  hatched: boolean;
}

const TIME_KINDS: TimeLook[] = [
  { kind: "work", field: "work_ns", name: "Work", hint: "handlers and other own time", colour: "var(--c0)", hatched: false },
  { kind: "llm", field: "llm_ns", name: "Models", hint: "calls of models", colour: "var(--c3)", hatched: false },
  { kind: "tool", field: "tool_ns", name: "Tools", hint: "tools and capability calls", colour: "var(--c2)", hatched: false },
  { kind: "bus_wait", field: "bus_wait_ns", name: "Bus wait", hint: "in a mailbox, until the agent took it", colour: "var(--c4)", hatched: true },
  { kind: "delivery", field: "delivery_ns", name: "Delivery", hint: "between processes, until the handler began", colour: "var(--c1)", hatched: true },
  { kind: "other", field: "other_ns", name: "Other", hint: "nothing on the path was running", colour: "var(--c-bus)", hatched: false },
];

const BY_KIND = new Map(TIME_KINDS.map((look) => [look.kind, look]));
export const lookOf = (kind: TimeKind) => BY_KIND.get(kind) ?? TIME_KINDS[TIME_KINDS.length - 1];

/** The parts that took time at all, each with its share; the shares add up to 1. */
export function shares(summary: TimeSummary): { look: TimeLook; ns: number; share: number }[] {
  const parts = TIME_KINDS.map((look) => ({ look, ns: summary[look.field] })).filter((part) => part.ns > 0);
  const all = parts.reduce((sum, part) => sum + part.ns, 0);
  return parts.map((part) => ({ ...part, share: part.ns / all }));
}
