import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { throttled } from "./throttled";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("at once, then seldom, and the last call is not lost", () => {
  const work = vi.fn();
  const { call, stop } = throttled(work, 1000);
  for (let at = 0; at < 5; at += 1) call();
  expect(work).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1000);
  expect(work).toHaveBeenCalledTimes(2);
  vi.advanceTimersByTime(5000);
  expect(work).toHaveBeenCalledTimes(2);
  call();
  call();
  stop();
  vi.advanceTimersByTime(5000);
  expect(work).toHaveBeenCalledTimes(3);
});
