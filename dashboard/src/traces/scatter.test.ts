import { expect, test } from "vitest";
import type { TraceSummary } from "../api/types";
import * as s from "./scatter";

const trace = (startMs: number, durationNs: number) =>
  ({ start_ns: String(BigInt(startMs) * 1_000_000n), duration_ns: String(durationNs) }) as TraceSummary;
const range = { from: 1_000_000, to: 2_000_000 };

test("points stand where their time and duration are, and can be read back", () => {
  const traces = [trace(1_500_000, 1e6), trace(1_250_000, 1e9)];
  const scales = s.scalesOf(traces, range, 400, 100);
  expect([scales.low, scales.high]).toEqual([1e6, 1e9]);
  const points = s.pointsOf(traces, scales);
  expect([points[0].x, points[0].y, points[1].x, points[1].y].map(Math.round)).toEqual([200, 100, 100, 0]);
  expect(s.timeAt(scales, 200)).toBe(1_500_000);
  expect(s.durationAt(scales, 0)).toBeCloseTo(1e9);
});

test("traces of one duration, or none, still make a scale", () => {
  for (const traces of [[], [trace(1_500_000, 1e6)], [trace(1_500_000, 0)]]) {
    const scales = s.scalesOf(traces, range, 400, 100);
    expect(scales.high / scales.low).toBeGreaterThanOrEqual(10);
    for (const point of s.pointsOf(traces, scales)) expect(Number.isFinite(point.y)).toBe(true);
  }
});

test("the nearest point within reach is hit", () => {
  const traces = [trace(1_500_000, 1e6), trace(1_510_000, 1e6)];
  const points = s.pointsOf(traces, s.scalesOf(traces, range, 400, 100));
  expect(s.hit(points, 203, 100)?.trace).toBe(traces[1]);
  expect(s.hit(points, 300, 100)).toBeNull();
});

test("durations as the API takes them", () => {
  expect([s.durationText(1500), s.durationText(12_345_678), s.durationText(61e9)]).toEqual(["2us", "12.3ms", "61s"]);
});

test("a page of a longer list is shown over its own time", () => {
  const traces = [trace(1_500_000, 1e6), trace(1_600_000, 1e6)];
  expect(s.listedRange(traces, range)).toEqual({ from: 1_498_000, to: 1_602_000 });
  expect(s.listedRange([], range)).toEqual(range);
});
