import { afterEach, expect, test, vi } from "vitest";
import { coloursAt, drawingOn } from "./canvas";

afterEach(() => {
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

function canvasWith(style: string) {
  const canvas = document.createElement("canvas");
  canvas.setAttribute("style", style);
  document.body.append(canvas);
  return canvas;
}

test("a colour is read once from where the canvas stands, and what is no variable stays", () => {
  const canvas = canvasWith("--c0: #123456; --bad: red");
  const read = vi.spyOn(CSSStyleDeclaration.prototype, "getPropertyValue");
  const colour = coloursAt(canvas);
  const before = read.mock.calls.length;
  expect(["var(--c0)", "--bad", "var(--c0)", "--c0", "teal"].map(colour)).toEqual(["#123456", "red", "#123456", "#123456", "teal"]);
  expect(read.mock.calls.length - before).toBe(2);
  expect(colour("var(--nobody)")).toBe("var(--nobody)");
});

test("a canvas has the pixels of its screen, and is drawn on in those of the page", () => {
  const canvas = canvasWith("font-family: Inter");
  const setTransform = vi.fn<(...values: number[]) => void>();
  const context = { setTransform, font: "", textBaseline: "alphabetic" };
  vi.spyOn(canvas, "getContext").mockReturnValue(context as never);
  vi.stubGlobal("devicePixelRatio", 1.5);
  const drawing = drawingOn(canvas, 101, 50, 56, 10);
  expect([canvas.width, canvas.height]).toEqual([152, 75]);
  expect(setTransform).toHaveBeenCalledExactlyOnceWith(1.5, 0, 0, 1.5, 84, 15);
  expect(drawing?.context).toMatchObject({ font: "11px Inter", textBaseline: "middle" });
});

test("without a canvas nothing is drawn", () => {
  expect(drawingOn(null, 10, 10)).toBeNull();
  const canvas = canvasWith("");
  vi.spyOn(canvas, "getContext").mockReturnValue(null);
  expect(drawingOn(canvas, 10, 10)).toBeNull();
});
