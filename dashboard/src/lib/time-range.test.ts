import { expect, test } from "vitest";
import { DEFAULT_RANGE, isLive, labelOf, parseRange, rangeParams, resolveTime } from "./time-range";

const now = Date.parse("2026-01-02T12:00:00Z");

test("times of the URL", () => {
  expect(resolveTime("now", now)).toBe(now);
  expect(resolveTime("now-15m", now)).toBe(now - 15 * 60_000);
  expect(resolveTime("now-7d", now)).toBe(now - 7 * 86_400_000);
  expect(resolveTime("1767355200000", now)).toBe(1767355200000);
  expect(resolveTime("2026-01-02T11:00:00Z", now)).toBe(now - 3_600_000);
  for (const bad of ["", "soon", "now+1h", "now-1y", "12", "<script>"]) expect(resolveTime(bad, now)).toBeNull();
});

test("a range that makes no sense is the default", () => {
  expect(parseRange(undefined, undefined, now)).toEqual(DEFAULT_RANGE);
  expect(parseRange("now", "now-1h", now)).toEqual(DEFAULT_RANGE);
  expect(parseRange("nonsense", "now", now)).toEqual(DEFAULT_RANGE);
  expect(parseRange("now-6h", undefined, now)).toEqual({ from: "now-6h", to: "now" });
});

test("relative times reach the API as they are, ms as RFC 3339", () => {
  expect(rangeParams({ from: "now-1h", to: "now" })).toEqual({ from: "now-1h", to: "now" });
  expect(rangeParams({ from: "1767355200000", to: "1767358800000" })).toEqual({
    from: "2026-01-02T12:00:00.000Z",
    to: "2026-01-02T13:00:00.000Z",
  });
});

test("labels, and whether new things belong to it", () => {
  const format = (ms: number) => new Date(ms).toISOString().slice(11, 16);
  expect(labelOf({ from: "now-15m", to: "now" }, format)).toBe("Last 15 min");
  expect(labelOf({ from: "now-45m", to: "now" }, format)).toBe("Last 45 min");
  expect(labelOf({ from: "1767355200000", to: "1767358800000" }, format)).toBe("12:00 – 13:00");
  expect(isLive({ from: "now-15m", to: "now" })).toBe(true);
  expect(isLive({ from: "now-2h", to: "now-1h" })).toBe(false);
});
