// What the server answers below /api/v1, in the dashboard's own words. The types are those of docs/openapi.json (`npm run generate`);
// here stands by hand only what it does not say.
import type { components } from "./generated/schema";

type Schemas = components["schemas"];

export type Problem = Schemas["ProblemDetails"];

export type Agent = Schemas["Agent"];
export type WorkflowDetail = Schemas["OneWorkflow"];
export type Metrics = Schemas["Measured"];
export type Series = Schemas["Series"];

export type Execution = Schemas["Execution"];
export type ExecutionDetail = Schemas["WholeExecution"];
export type BusEvent = Schemas["PublishedEvent"];
export type BusEventDetail = Schemas["OneEvent"];
export type DeadLetter = Schemas["DeadLetter"];
export type WhichLetters = Schemas["WhichLetters"];
export type Redriven = Schemas["Redriven"];
export type NotRedriven = Schemas["NotRedriven"];
export type Dropped = Schemas["Dropped"];

export type TraceSummary = Schemas["TraceSummary"];
export type Trace = Schemas["TraceColumns"];
export type ColumnsOfSpans = Schemas["ColumnsOfSpans"];
export type SpanDetail = Schemas["WholeSpan"];
export type TimeKind = Schemas["Part"];
export type TimeSummary = Schemas["Summary"];
export type CriticalPath = Schemas["CriticalPath"];
export type Comparison = Schemas["Comparison"];
export type ComparedSide = Schemas["ComparedSide"];

export type Node = Schemas["Node"];
export type Edge = Schemas["Edge"];
export type Topology = Schemas["Topology"];

/** Bits of `ColumnsOfSpans.flags`. */
export const FLAG = { standIn: 1, orphan: 2, llm: 4, tool: 8 } as const;

// By hand, since the description leaves open what these are.

/** Of `Execution.state` and `Delivery.state`, which are text there. */
export const EXECUTION_STATES = ["PENDING", "RUNNING", "COMPLETED", "FAILED", "TIMEOUT", "DEAD"] as const;
export type ExecutionState = (typeof EXECUTION_STATES)[number];

/** Where the server listens; null: that door is closed. */
export type Info = Schemas["Info"] & { addresses: Record<"bridge" | "http" | "otlp_grpc" | "otlp_http", string | null> };

/** What has become of deliveries. */
export interface Books {
  events: number;
  published: number;
  delivered: number;
  filtered: number;
  dead_lettered: number;
  expired: number;
  in_flight: number;
  dropped: Record<string, number>;
}

/** The store's counters are described; the books of the bus are not. */
export type Stats = Schemas["Stats"] & { bus: { balanced: boolean; quiet: boolean; total: Books; topics: (Books & { topic: string })[] } };
