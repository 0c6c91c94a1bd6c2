import { expect, test } from "vitest";
import { byGroup } from "./dead-letters";

test("letters are told group by group, each once", () => {
  const letter = (group: string, letter_id: string) => ({ group, letter_id });
  expect(byGroup([letter("a", "1"), letter("b", "2"), letter("a", "3")])).toEqual([
    { group: "a", ids: ["1", "3"] },
    { group: "b", ids: ["2"] },
  ]);
  expect(byGroup([])).toEqual([]);
});
