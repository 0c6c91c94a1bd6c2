import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TextFilter } from "./filters";

let root: Root;
const set = vi.fn();

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  const box = document.createElement("div");
  document.body.append(box);
  root = createRoot(box);
  set.mockClear();
});

afterEach(() => {
  act(() => root.unmount());
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const queries = new QueryClient();
const show = (agent?: string) =>
  act(() =>
    root.render(
      <QueryClientProvider client={queries}>
        <TextFilter name="Agent" field="agent" search={{ agent }} set={set} />
      </QueryClientProvider>,
    ),
  );
const input = () => document.querySelector("input") as HTMLInputElement;

function type(text: string) {
  act(() => {
    input().focus();
    // React looks at the element's own setter, and would take no notice of an assignment.
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set?.call(input(), text);
    input().dispatchEvent(new Event("input", { bubbles: true }));
  });
}

test("what is typed becomes a condition after a moment, and nothing typed since is lost", () => {
  show();
  type("se");
  act(() => vi.advanceTimersByTime(499));
  expect(set).not.toHaveBeenCalled();
  act(() => vi.advanceTimersByTime(1));
  expect(set).toHaveBeenLastCalledWith({ agent: "se", cursor: undefined });
  type("sen");
  show("se");
  expect(input().value).toBe("sen");
});

test("a condition that comes from elsewhere is shown", () => {
  show("sensor");
  expect(input().value).toBe("sensor");
  show("output");
  expect(input().value).toBe("output");
  show();
  expect(input().value).toBe("");
});
