import { act, createElement, useRef } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Size, useSize } from "./size";

/** What is observed, and how to tell of a change. */
const observed = new Map<Element, () => void>();

class FakeObserver {
  private readonly tell: () => void;
  private readonly own: Element[] = [];
  constructor(tell: () => void) {
    this.tell = tell;
  }
  observe(element: Element) {
    this.own.push(element);
    observed.set(element, this.tell);
  }
  disconnect() {
    for (const element of this.own) observed.delete(element);
  }
}

beforeEach(() => {
  observed.clear();
  vi.stubGlobal("ResizeObserver", FakeObserver);
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
});
afterEach(() => vi.unstubAllGlobals());

function rendered(step?: number) {
  const seen: (Size | null)[] = [];
  function Box() {
    const box = useRef<HTMLDivElement>(null);
    seen.push(useSize(box, step));
    return createElement("div", { ref: box });
  }
  const root = createRoot(document.createElement("div"));
  act(() => root.render(createElement(Box)));
  const [element] = observed.keys();
  const become = (width: number, height: number) => {
    Object.defineProperties(element, { clientWidth: { value: width, configurable: true }, clientHeight: { value: height, configurable: true } });
    act(() => observed.get(element)?.());
  };
  return { seen, become, root };
}

test("a size is unknown until the element has been measured, and is followed until it goes", () => {
  const { seen, become, root } = rendered();
  expect(seen).toEqual([null]);
  become(800, 600);
  become(640, 600);
  expect(seen).toEqual([null, { width: 800, height: 600 }, { width: 640, height: 600 }]);
  act(() => root.unmount());
  expect(observed.size).toBe(0);
});

test("less than a step is no change, and nothing is smaller than one", () => {
  const { seen, become, root } = rendered(160);
  become(1000, 20);
  become(1010, 70);
  // The same object too, so that nothing is calculated again.
  expect([...new Set(seen)]).toEqual([null, { width: 960, height: 160 }]);
  act(() => root.unmount());
});
