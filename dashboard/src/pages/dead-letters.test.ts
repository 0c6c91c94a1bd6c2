import { afterEach, expect, test, vi } from "vitest";
import { byGroup, carryOut } from "./dead-letters";

afterEach(() => vi.unstubAllGlobals());

test("letters are told group by group, each once", () => {
  const letter = (group: string, letter_id: string) => ({ group, letter_id });
  expect(byGroup([letter("a", "1"), letter("b", "2"), letter("a", "3")])).toEqual([
    { group: "a", ids: ["1", "3"] },
    { group: "b", ids: ["2"] },
  ]);
  expect(byGroup([])).toEqual([]);
});

test("what could not be redriven is told, of every group", async () => {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (url: string, { method, body }: { method: string; body: string }) => {
    asked.push(`${method} ${new URL(url).pathname} ${body}`);
    const failed = url.includes("/b/") ? [{ letter_id: "2", code: "not_found", detail: "released" }] : [];
    return Promise.resolve(Response.json({ redriven: 1, failed, dropped: 1 }));
  });
  const groups = [{ group: "a", ids: ["1"] }, { group: "b", ids: ["2"] }];
  expect(await carryOut("redrive", groups)).toMatchObject([{ letter_id: "2", detail: "released" }]);
  expect(await carryOut("drop", groups)).toEqual([]);
  expect(asked).toEqual([
    'POST /api/v1/dead-letters/a/redrive {"letter_ids":["1"]}',
    'POST /api/v1/dead-letters/b/redrive {"letter_ids":["2"]}',
    'DELETE /api/v1/dead-letters/a {"letter_ids":["1"]}',
    'DELETE /api/v1/dead-letters/b {"letter_ids":["2"]}',
  ]);
});
