import { expect, test } from "vitest";
import type { BusEvent } from "../api/types";
import { merged } from "./merge";

const event = (id: string, time_ns: string) => ({ event_id: id, span_id: "s", time_ns }) as BusEvent;

test("newest first, none twice, none too many", () => {
  const older = [event("b", "200"), event("a", "100")];
  const newer = [event("c", "300"), event("b", "200"), event("d", "1000")];
  expect(merged(newer, older, 3).map((one) => one.event_id)).toEqual(["d", "c", "b"]);
  expect(merged([], older, 10)).toEqual(older);
});
