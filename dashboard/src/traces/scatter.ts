// Traces as points: when they began against how long they took. Durations are on a logarithmic scale, since they go from µs to minutes.
import type { TraceSummary } from "../api/types";
import { msOfNs } from "../lib/format";

export interface Scales {
  width: number;
  height: number;
  from: number;
  to: number;
  /** ns, at least a decade apart */
  low: number;
  high: number;
}

export interface Point {
  trace: TraceSummary;
  x: number;
  y: number;
}

export function scalesOf(traces: TraceSummary[], range: { from: number; to: number }, width: number, height: number): Scales {
  const times = traces.map((trace) => Math.max(1e3, Number(trace.duration_ns)));
  let low = 10 ** Math.floor(Math.log10(Math.min(...times, 1e9)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...times, low * 10)));
  if (high / low < 10) low = high / 10;
  return { width, height, from: range.from, to: range.to, low, high };
}

/** A page of a long list is of a part of the chosen time, and all of its points would stand at one edge of it. */
export function listedRange(traces: TraceSummary[], chosen: { from: number; to: number }): { from: number; to: number } {
  const starts = traces.map((trace) => msOfNs(trace.start_ns));
  const [first, last] = [Math.min(...starts), Math.max(...starts)];
  const margin = Math.max(500, (last - first) * 0.02);
  if (traces.length === 0) return chosen;
  return { from: first - margin, to: last + margin };
}

export const xOf = (scales: Scales, ms: number) => ((ms - scales.from) / (scales.to - scales.from)) * scales.width;
export const yOf = (scales: Scales, ns: number) => {
  const part = Math.log(Math.max(scales.low, ns) / scales.low) / Math.log(scales.high / scales.low);
  return scales.height - Math.min(1, part) * scales.height;
};
export const timeAt = (scales: Scales, x: number) => scales.from + (x / scales.width) * (scales.to - scales.from);
export const durationAt = (scales: Scales, y: number) => scales.low * (scales.high / scales.low) ** (1 - y / scales.height);

export const pointsOf = (traces: TraceSummary[], scales: Scales): Point[] =>
  traces.map((trace) => ({ trace, x: xOf(scales, msOfNs(trace.start_ns)), y: yOf(scales, Number(trace.duration_ns)) }));

/** The nearest point within `reach` pixels. */
export function hit(points: Point[], x: number, y: number, reach = 8): Point | null {
  let best: Point | null = null;
  let least = reach * reach;
  for (const point of points) {
    const away = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (away <= least) [best, least] = [point, away];
  }
  return best;
}

/** A duration as the API takes it, rounded to where nobody misses it. */
export function durationText(ns: number): string {
  if (ns < 1e6) return `${Math.max(1, Math.round(ns / 1e3))}us`;
  if (ns < 1e10) return `${Number((ns / 1e6).toPrecision(3))}ms`;
  return `${Number((ns / 1e9).toPrecision(3))}s`;
}
