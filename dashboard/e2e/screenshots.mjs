// A picture of every page in both themes, in screenshots/: to be looked at. Narrow ones too, since not every window is wide.
import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { browser, watchedPage } from "./browser.mjs";
import { pages } from "./pages.mjs";
import { standIn } from "./stand-in.mjs";

const FOLDER = fileURLToPath(new URL("../screenshots", import.meta.url));
rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER);
const server = await standIn();
const empty = await standIn({ empty: true });
const chromium = await browser();
const shots = [...(await pages(server.url)).map((page) => ({ ...page, url: server.url })), { name: "first-minute", path: "/", ready: "text=Waiting for your first event", url: empty.url }];
let taken = 0;
for (const [theme, width, height] of [["light", 1440, 900], ["dark", 1440, 900], ["light", 820, 1000]]) {
  const context = await chromium.newContext({ viewport: { width, height }, colorScheme: theme, timezoneId: "UTC", reducedMotion: "reduce" });
  for (const { name, path, ready, url } of shots) {
    const page = await watchedPage(context, url);
    await page.goto(url + path);
    await page.waitForSelector(ready);
    await page.waitForLoadState("load");
    // What is drawn on canvases and placed by measuring is there two frames later.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(resolve)))));
    await page.screenshot({ path: `${FOLDER}/${name}-${theme}${width < 1000 ? "-narrow" : ""}.png` });
    for (const complaint of page.complaints) process.stdout.write(`${name}: ${complaint}\n`);
    await page.close();
    taken += 1;
  }
  await context.close();
}
process.stdout.write(`${taken} pictures in dashboard/screenshots\n`);
await chromium.close();
await Promise.all([server.close(), empty.close()]);
