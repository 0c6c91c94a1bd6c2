import { expect, test } from "vitest";
import { streamOf, wants } from "./topics";

test("a star is one segment, a last > one or more", () => {
  const all: [string, string, boolean][] = [
    ["orders.new", "orders.new", true], ["orders.new", "orders", false], ["orders", "orders.new", false],
    ["orders.*", "orders.new", true], ["orders.*", "orders", false], ["orders.*", "orders.new.eu", false], ["*.new", "orders.new", true],
    ["orders.>", "orders.new.eu", true], ["orders.>", "orders", false], [">", "a", true],
  ];
  expect(all.filter(([pattern, topic, wanted]) => wants(pattern, topic) !== wanted)).toEqual([]);
});

test("the stream of a topic is the one whose patterns want it", () => {
  const streams = [{ name: "dlq", topics: ["dlq.>"] }, { name: "shop", topics: ["orders.>", "refunds"] }];
  expect([streamOf("refunds", streams), streamOf("orders.new", streams), streamOf("other", streams), streamOf("x", undefined)]).toEqual(["shop", "shop", null, null]);
});
