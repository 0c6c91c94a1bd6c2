import { expect, test } from "vitest";
import { SseParser } from "./sse";

test("frames come whole, however the bytes are cut", () => {
  const text = "retry: 2000\n\nid: b-1\nevent: hello\ndata: {\"seq\":\"1\"}\n\n: a comment\n\nid: b-2\nevent: agents\ndata: [\ndata: ]\n\n";
  const bytes = new TextEncoder().encode(text);
  const expected = [
    { event: "hello", data: '{"seq":"1"}', id: "b-1" },
    { event: "agents", data: "[\n]", id: "b-2" },
  ];
  for (const size of [1, 2, 7, bytes.length]) {
    const parser = new SseParser();
    const frames = [];
    for (let at = 0; at < bytes.length; at += size) frames.push(...parser.push(bytes.slice(at, at + size)));
    expect(frames).toEqual(expected);
    expect(parser.retry).toBe(2000);
  }
});

test("the three ends of a line, and a character cut in two", () => {
  const parser = new SseParser();
  expect(parser.pushText("data: a\r\n\r\ndata: b\r\rdata: c\n\n").map((frame) => frame.data)).toEqual(["a", "b", "c"]);
  const cut = new SseParser();
  const bytes = new TextEncoder().encode("data: é\n\n");
  expect(cut.push(bytes.slice(0, 7))).toEqual([]);
  expect(cut.push(bytes.slice(7))).toEqual([{ event: "message", data: "é", id: null }]);
});

test("what no event follows is no frame, and an unknown field no harm", () => {
  expect(new SseParser().pushText("event: agents\n\nfoo: bar\ndata\n\n")).toEqual([{ event: "message", data: "", id: null }]);
});

test("a line without an end is given up", () => {
  const parser = new SseParser();
  const chunk = "x".repeat(8 * 1024 * 1024);
  expect(() => {
    for (let at = 0; at < 6; at += 1) parser.pushText(chunk);
  }).toThrow(/no end/);
});
