import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Splitter } from "./splitter";

let root: Root;
const onWidth = vi.fn();

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  const box = document.createElement("div");
  document.body.append(box);
  root = createRoot(box);
  onWidth.mockClear();
});

afterEach(() => {
  act(() => root.unmount());
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

function shown(edge: "left" | "right") {
  act(() => root.render(<Splitter name="Width" width={400} least={300} most={900} edge={edge} onWidth={onWidth} />));
  const element = document.querySelector("[role=separator]") as HTMLElement;
  element.setPointerCapture = () => undefined;
  const tell = (event: Event) => act(() => element.dispatchEvent(event));
  return {
    key: (key: string) => tell(new KeyboardEvent("keydown", { key, bubbles: true })),
    pointer: (type: string, clientX = 0) => tell(new PointerEvent(type, { clientX, pointerId: 1, bubbles: true })),
  };
}

test("arrow keys move the edge, whichever it is", () => {
  const right = shown("right");
  right.key("ArrowRight");
  right.key("ArrowLeft");
  const left = shown("left");
  left.key("ArrowRight");
  left.key("ArrowLeft");
  left.key("Enter");
  expect(onWidth.mock.calls).toEqual([[424], [376], [376], [424]]);
});

test("an edge follows the pointer until it is let go, or taken away", () => {
  const { pointer } = shown("left");
  pointer("pointermove", 10);
  pointer("pointerdown", 100);
  pointer("pointermove", 70);
  pointer("lostpointercapture");
  pointer("pointermove", 10);
  expect(onWidth.mock.calls).toEqual([[430]]);
});
