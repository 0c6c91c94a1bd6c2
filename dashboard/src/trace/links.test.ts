import { expect, test } from "vitest";
import { fillTemplate } from "./links";

const values = { trace_id: "ab", service: "agent-a b", start_ms: 12.5 };

test("a template is filled, and values are escaped", () => {
  expect(fillTemplate("http://jaeger:16686/trace/{trace_id}?s={service}&t={start_ms}&x={span_id}", values)).toBe(
    "http://jaeger:16686/trace/ab?s=agent-a%20b&t=12&x=",
  );
});

test("nothing but http is followed", () => {
  for (const bad of [null, "", "javascript:alert(1)//{trace_id}", "not a url", "/trace/{trace_id}"]) {
    expect(fillTemplate(bad, values)).toBeNull();
  }
});
