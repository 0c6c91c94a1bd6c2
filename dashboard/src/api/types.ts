// What the server answers below /api/v1, in the dashboard's own words. The types are those of docs/openapi.json (`npm run generate`).
import type { components } from "./generated/schema";

type Schemas = components["schemas"];

export type Problem = Schemas["ProblemDetails"];

export type Agent = Schemas["Agent"];
export type WorkflowDetail = Schemas["OneWorkflow"];
export type Metrics = Schemas["Measured"];
export type Series = Schemas["Series"];

export type Info = Schemas["Info"];
export type Stats = Schemas["Stats"];

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

export type EventsFrame = Schemas["EventsFrame"];
export type TracesFrame = Extract<Schemas["LiveData"], { event: "traces" }>["data"];

/** Bits of `ColumnsOfSpans.flags`. */
export const FLAG = { standIn: 1, orphan: 2, llm: 4, tool: 8 } as const;

export type ExecutionState = Schemas["ExecutionState"];
