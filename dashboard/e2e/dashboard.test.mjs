// What a person does with the dashboard, in a real browser.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { browser, watchedPage } from "./browser.mjs";
import { HOSTILE, MANY } from "./pages.mjs";
import { standIn } from "./stand-in.mjs";

let server;
let chromium;
let context;

before(async () => {
  server = await standIn();
  chromium = await browser();
});
after(async () => {
  await chromium.close();
  await server.close();
});
afterEach(() => context?.close());

async function open(path, { origin = server.url, ...options } = {}) {
  context = await chromium.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await watchedPage(context, origin);
  await page.goto(origin + path);
  return page;
}
const market = () => server.world.traces[0].trace_id;
const selected = (page) => page.locator('.wf-row[aria-selected="true"]');
const query = (page) => new URL(page.url()).searchParams;

test("from an empty server to an open waterfall in two clicks", async () => {
  const empty = await standIn({ empty: true });
  try {
    const page = await open("/", { origin: empty.url });
    await page.waitForSelector("text=Waiting for your first event");
    await page.waitForSelector("text=No agent has connected yet");
    empty.fill();
    await page.waitForSelector('nav[aria-label="Pages"]');
    // The map takes the place of the list of steps as soon as agents are there; the steps are one click away.
    await page.click('nav >> text="Setup"');
    await page.waitForSelector("text=First full trace");
    await page.click("text=Open trace");
    await page.waitForSelector(".wf-row");
    assert.ok((await page.locator(".wf-row").count()) >= 9);
  } finally {
    await empty.close();
  }
});

test("from an event to its place in its trace in one click", async () => {
  const page = await open("/");
  const link = page.locator('section[aria-label="Last events"] a', { hasText: "trace" }).first();
  await link.click();
  await page.waitForSelector(".wf-row");
  assert.match(query(page).get("span"), /^[0-9a-f]{16}$/);
  await selected(page).waitFor();
  assert.match(await selected(page).textContent(), /EventBus\.publish/);
  await page.waitForSelector("aside >> text=messaging.destination.name");
});

test("the map moves while events flow, and has a twin in words", async () => {
  const page = await open("/");
  const label = page.locator(".react-flow__edgelabel-renderer span").first();
  const before = await label.textContent();
  await page.waitForFunction((text) => document.querySelector(".react-flow__edgelabel-renderer span")?.textContent !== text, before);
  await page.click("text=As a table");
  await page.waitForSelector("td >> text=market.data");
});

test("nothing moves by itself for those who do not want it", async () => {
  const page = await open("/", { reducedMotion: "reduce" });
  const edge = page.locator(".flow-edge").first();
  await edge.waitFor({ state: "attached" });
  assert.equal(await edge.evaluate((element) => getComputedStyle(element).animationName), "none");
});

test("executions by their state, and the filter is in the address", async () => {
  const page = await open("/executions");
  await page.click('[aria-label="States"] button:has-text("FAILED")');
  await page.waitForURL(/state=FAILED/);
  const states = () => page.locator("tbody tr td:first-child").allTextContents();
  await page.waitForFunction(() => [...document.querySelectorAll("tbody tr td:first-child")].every((cell) => cell.textContent === "FAILED"));
  assert.ok((await states()).length > 3);
  await page.reload();
  await page.waitForSelector("tbody tr");
  assert.deepEqual(new Set(await states()), new Set(["FAILED"]));
  await page.locator("tbody tr").first().click();
  await page.waitForSelector('aside >> text="Open trace"');
  await page.click('aside >> text="Open trace"');
  await page.waitForSelector(".wf-row");
});

test("through a trace with the keyboard alone", async () => {
  const page = await open(`/traces/${market()}`);
  await page.waitForSelector(".wf-row");
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "treegrid");
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const row = () => page.locator('[role="treegrid"]').getAttribute("aria-activedescendant");
  await press("ArrowDown", "ArrowDown", "j");
  await page.waitForFunction(() => document.querySelector('[aria-selected="true"]')?.getAttribute("aria-rowindex") === "4");
  await press("ArrowLeft");
  await page.waitForFunction(() => document.querySelector('[aria-selected="true"]')?.getAttribute("aria-expanded") === "false");
  await press("ArrowRight", "Home", "/");
  await page.keyboard.type("momentum");
  await page.waitForSelector('[role="status"]:has-text("/1")');
  await press("Enter");
  await page.waitForFunction(() => document.querySelector('[aria-selected="true"]')?.textContent?.includes("execute_tool momentum"));
  await press("Escape");
  const found = await row();
  await press("[", "]", "c", "+", "z", "0", "End");
  await page.waitForFunction((before) => document.querySelector('[role="treegrid"]')?.getAttribute("aria-activedescendant") !== before, found);
  await press("Enter");
  await page.waitForFunction(() => document.activeElement?.tagName === "ASIDE");
  await press("Escape");
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "treegrid");
  await press("?");
  await page.waitForSelector("dialog[open] >> text=Next error");
  await press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.waitForURL(/critical=1/);
  assert.equal(query(page).get("q"), "momentum");
});

test("the next error, and what its handler said", async () => {
  const failed = server.world.traces.find((trace) => trace.spans.length === 21);
  const page = await open(`/traces/${failed.trace_id}`);
  await page.waitForSelector(".wf-row");
  await page.keyboard.press("e");
  await page.waitForSelector("aside >> text=desk is closed");
  await page.keyboard.press("e");
  await page.click('aside [role="tab"]:has-text("Events")');
  await page.waitForSelector("aside >> text=exception");
});

test("50,000 spans: few rows in the document, the last one a key away", async () => {
  const page = await open("/traces");
  await page.waitForSelector("tbody tr");
  await page.evaluate(() => globalThis.fetch("/favicon.svg"));
  // From the answer to the first row: what the page itself needs. Printed, and no limit of a test.
  const [response] = await Promise.all([page.waitForResponse((one) => one.url().endsWith(MANY)), page.click(`a[href*="${MANY}"]`)]);
  await response.finished();
  const began = Date.now();
  await page.waitForSelector(".wf-row");
  process.stdout.write(`# 50,000 spans: first row ${Date.now() - began} ms after the last byte\n`);
  const count = await page.locator(".wf-row").count();
  assert.ok(count > 10 && count < 80, `${count} rows are in the document`);
  assert.equal(await page.locator('[role="treegrid"]').getAttribute("aria-rowcount"), "50001");
  await page.locator('[role="treegrid"]').focus();
  await page.keyboard.press("End");
  await page.waitForSelector('.wf-row[aria-rowindex="50001"]');
  const frames = await page.evaluate(async () => {
    const grid = document.querySelector('[role="treegrid"]');
    const times = [];
    let last = performance.now();
    for (let at = 0; at < 90; at += 1) {
      grid.scrollTop = at * 400;
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times.sort((a, b) => a - b);
  });
  process.stdout.write(`# 50,000 spans: frames of scrolling p50 ${frames[45].toFixed(1)} ms, p99 ${frames[88].toFixed(1)} ms\n`);
});

test("a trace whose spans have not come yet is waited for", async () => {
  const id = server.world.traces[5].trace_id;
  server.delay(id, 2_500);
  const page = await open(`/traces/${id}`);
  await page.waitForSelector("text=Waiting for the spans of this trace");
  await page.waitForSelector(".wf-row", { timeout: 15_000 });
});

test("a killed stream goes on where it was, without loss and without doubles", async () => {
  const page = await open("/events?live=1");
  await page.waitForSelector("tbody tr");
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 101);
  const first = page.waitForRequest((request) => request.url().includes("/api/v1/stream") && request.url().includes("last_event_id=boot-"));
  for (const stream of server.streams) stream.end();
  await first;
  const rows = await page.locator("tbody tr").count();
  await page.waitForFunction((before) => document.querySelectorAll("tbody tr").length > before, rows);
  await page.waitForSelector('button:has-text("Live")');
});

test("no stream is open while nobody looks", async () => {
  const page = await open("/");
  await page.waitForSelector('button:has-text("Live")');
  assert.equal(server.streams.size, 1);
  await page.click('button[aria-label^="Live"]');
  await page.waitForSelector('button:has-text("Paused")');
  await page.waitForFunction(() => true);
  for (const until = Date.now() + 5_000; server.streams.size > 0 && Date.now() < until; ) await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.equal(server.streams.size, 0);
});

test("hostile text stays text", async () => {
  const page = await open(`/traces/${HOSTILE}?span=0000000000bad001`);
  await page.waitForSelector("aside >> text=Attributes");
  await page.waitForSelector("text=\\u202egnp.evil");
  for (const tab of ["Events", "Process"]) await page.click(`aside [role="tab"]:has-text("${tab}")`);
  assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
  assert.equal(await page.locator("a[href^='javascript']").count(), 0);
  assert.deepEqual(page.complaints, []);
});

test("links in Jaeger's form lead to the same trace and search", async () => {
  const page = await open(`/trace/${market()}?uiFind=momentum`);
  await page.waitForURL(new RegExp(`/traces/${market()}\\?.*q=momentum`));
  await page.goto(`${server.url}/search?service=agent-planner&lookback=2h`);
  await page.waitForURL(/\/traces\?.*service=agent-planner/);
  assert.equal(query(page).get("from"), "now-2h");
});

test("an id in the palette leads to its page", async () => {
  const page = await open("/traces");
  await page.waitForSelector("tbody tr");
  await page.keyboard.press("Control+k");
  await page.waitForSelector("dialog[open] input");
  await page.keyboard.type(`00-${market()}-${server.world.traces[0].spans[3].span_id}-01`);
  await page.keyboard.press("Enter");
  await page.waitForURL(new RegExp(`/traces/${market()}`));
  await selected(page).waitFor();
});

test("a dead letter is redriven after a question", async () => {
  const page = await open("/dead-letters");
  await page.waitForSelector("tbody tr");
  const before = await page.locator("tbody tr").count();
  await page.locator('tbody input[type="checkbox"]').first().check();
  await page.click('button:has-text("Redrive")');
  await page.click('dialog[open] button:has-text("Redrive")');
  await page.waitForFunction((rows) => document.querySelectorAll("tbody tr").length === rows - 1, before);
});

test("the theme is the reader's: chosen, kept, and changed by no link", async () => {
  const page = await open("/traces");
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await theme(), undefined);
  await page.click('button[aria-label^="Theme"]');
  await page.click('button[aria-label="Theme: light"]');
  assert.equal(await theme(), "dark");
  await page.goto(`${server.url}/traces?theme=light`);
  assert.equal(await theme(), "dark");
});

test("pages of a list, and a cursor that does not fit is said so", async () => {
  const page = await open("/executions");
  await page.waitForSelector("tbody tr");
  const first = await page.locator("tbody tr").nth(1).textContent();
  await page.click('button:has-text("Next page")');
  await page.waitForFunction((text) => document.querySelectorAll("tbody tr")[1]?.textContent !== text, first);
  await page.goBack();
  await page.waitForFunction((text) => document.querySelectorAll("tbody tr")[1]?.textContent === text, first);
  await page.goto(`${server.url}/traces?cursor=${Buffer.from("1|other").toString("base64url")}`);
  await page.waitForSelector("text=cursor_mismatch");
});
