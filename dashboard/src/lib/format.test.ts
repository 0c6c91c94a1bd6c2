import { expect, test } from "vitest";
import * as f from "./format";

test.each([
  [0, "0"],
  [640, "640 ns"],
  [12_400, "12.4 µs"],
  [999_499, "999 µs"],
  [999_600, "1 ms"],
  [6_600_000, "6.6 ms"],
  [100_000_000, "100 ms"],
  [1_120_000_000, "1.12 s"],
  [59_960_000_000, "1m 00s"],
  [123_000_000_000, "2m 03s"],
  [3_720_000_000_000, "1h 02m"],
  [90_000_000_000_000, "1d 01h"],
  [-5_000, "−5 µs"],
])("%d ns is %s", (ns, text) => expect(f.formatNs(ns)).toBe(text));

test("what nobody measured is a dash and no zero", () => {
  for (const format of [f.formatNs, f.formatMs, f.formatBytes, f.formatRatio, f.formatRate, f.formatUsd, f.formatCount]) {
    expect(format(null)).toBe("–");
    expect(format(0)).not.toBe("–");
  }
});

test("what is little is not nothing", () => {
  expect(f.formatRatio(0.0001)).toBe("< 0.1 %");
  expect(f.formatRate(0.001)).toBe("< 0.01/s");
  expect(f.formatUsd(0.00001)).toBe("< $0.0001");
});

test("amounts at an axis differ from each other", () => {
  expect([0, 0.00001, 0.000012, 0.015, 0.1, 1.5].map(f.formatUsdAt)).toEqual(["$0", "$0.00001", "$0.000012", "$0.015", "$0.10", "$1.50"]);
});

test("sizes and counts", () => {
  expect(f.formatBytes(1023)).toBe("1023 B");
  expect(f.formatBytes(1536)).toBe("1.5 KiB");
  expect(f.formatBytes(1024 * 1024 - 1)).toBe("1 MiB");
  expect(f.formatCount(1234567)).toBe("1\u202f234\u202f567");
});

test("times", () => {
  expect(f.formatTime("2026-01-02T03:04:05.678Z", "utc")).toBe("2026-01-02 03:04:05.678 UTC");
  const now = Date.parse("2026-01-02T12:00:00Z");
  expect(f.formatWhen("2026-01-02T03:04:05.678Z", "utc", now)).toBe("03:04:05.678");
  expect(f.formatWhen("2026-01-01T03:04:05.678Z", "utc", now)).toBe("01-01 03:04:05");
  expect(f.formatAgo("2026-01-02T11:59:30Z", now)).toBe("30 s ago");
  expect(f.formatAgo("2026-01-02T12:00:09Z", now)).toBe("just now");
  expect(f.formatAgo(null, now)).toBe("–");
  expect(f.msOfNs("1795325607243733115")).toBeCloseTo(1795325607243.733, 2);
});
