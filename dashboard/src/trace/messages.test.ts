import { expect, test } from "vitest";
import { messagesOf } from "./messages";

test("messages of OpenTelemetry, with their instructions first", () => {
  const input = [{ role: "user", parts: [{ type: "text", content: "2 + 2?" }, { type: "text", content: "be short" }] }];
  const output = [{ role: "assistant", parts: [{ type: "tool_call", name: "sum", arguments: { a: 2 } }], finish_reason: "tool_call" }];
  const found = messagesOf({
    "gen_ai.system_instructions": JSON.stringify([{ type: "text", content: "you count" }]),
    "gen_ai.input.messages": JSON.stringify(input),
    "gen_ai.output.messages": output,
  });
  expect(found.slice(0, 2)).toEqual([{ role: "system", text: "you count" }, { role: "user", text: "2 + 2?\nbe short" }]);
  expect(found[2].role).toBe("assistant");
  expect(found[2].text).toContain('"name": "sum"');
});

test("numbered attributes of OpenLLMetry and OpenInference", () => {
  expect(messagesOf({ "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "a", "gen_ai.prompt.1.content": "b", "gen_ai.completion.0.content": "c" })).toEqual([
    { role: "system", text: "a" }, { role: "user", text: "b" }, { role: "assistant", text: "c" },
  ]);
  expect(messagesOf({ "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "q" })).toEqual([{ role: "user", text: "q" }]);
});

test("what is cut off or no list is shown as it is, and nothing where nothing is kept", () => {
  expect(messagesOf({ "gen_ai.input.messages": '[{"role": "us' })).toEqual([{ role: "user", text: '[{"role": "us' }]);
  expect(messagesOf({ "input.value": "plain" })).toEqual([{ role: "user", text: "plain" }]);
  expect(messagesOf({ "gen_ai.request.model": "m" })).toEqual([]);
});
