import { expect, test } from "vitest";
import { WHOLE, clamp, pan, parseViewport, ticks, viewportText, zoom } from "./viewport";

test("zooming keeps the point where it is, and ends at the whole", () => {
  const half = zoom(WHOLE, 0.5, 0);
  expect(half).toEqual({ from: 0, to: 0.5 });
  const at = zoom(WHOLE, 0.5, 0.5);
  expect(at).toEqual({ from: 0.25, to: 0.75 });
  expect(zoom(at, 4)).toEqual(WHOLE);
});

test("nothing outside the trace is shown", () => {
  expect(pan({ from: 0.5, to: 1 }, 1)).toEqual({ from: 0.5, to: 1 });
  expect(pan({ from: 0, to: 0.4 }, -1)).toEqual({ from: 0, to: 0.4 });
  const narrow = clamp({ from: 0.5, to: 0.5 });
  expect(narrow.to - narrow.from).toBeCloseTo(1e-7, 12);
});

test("the viewport goes into the URL and comes back", () => {
  expect(viewportText(WHOLE)).toBeUndefined();
  expect(viewportText({ from: 0.1, to: 0.4 })).toBe("0.1-0.4");
  const tiny = { from: 0.123456, to: 0.123466 };
  const back = parseViewport(viewportText(tiny));
  expect(Math.abs(back.from - tiny.from)).toBeLessThan(1e-7);
  for (const bad of [undefined, "", "0.4-0.1", "-1-2", "a-b", "0.1-0.1"]) expect(parseViewport(bad)).toEqual(WHOLE);
});

test("ticks are round and within", () => {
  expect(ticks(0, 100, 5)).toEqual([0, 20, 40, 60, 80, 100]);
  expect(ticks(3, 9, 3)).toEqual([4, 6, 8]);
  expect(ticks(0, 1_124_049_000, 6).every((tick) => tick % 200_000_000 === 0)).toBe(true);
  expect(ticks(5, 5, 5)).toEqual([]);
});
