// Every page in both themes: nothing that axe objects to, no complaint of the browser (its policy among them), and no request that
// leaves the origin.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { browser, watchedPage } from "./browser.mjs";
import { pages } from "./pages.mjs";
import { standIn } from "./stand-in.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let server;
let chromium;

before(async () => {
  server = await standIn();
  chromium = await browser();
});
after(async () => {
  await chromium.close();
  await server.close();
});

for (const theme of ["light", "dark"]) {
  test(`every page, ${theme}`, async () => {
    const context = await chromium.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: theme, reducedMotion: "reduce" });
    const findings = [];
    for (const { name, path, ready } of await pages(server.url)) {
      const page = await watchedPage(context, server.url);
      await page.goto(server.url + path);
      await page.waitForSelector(ready);
      // Through the debugger and not as a script of the page: its policy would refuse it.
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"], resultTypes: ["violations"] }));
      for (const { id, help, nodes } of violations) findings.push(`${name}: ${id}: ${help}\n    ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary?.split("\n")[1] ?? ""}`).join("\n    ")}`);
      for (const complaint of page.complaints) findings.push(`${name}: ${complaint}`);
      for (const url of page.foreign) findings.push(`${name}: leaves the origin: ${url}`);
      await page.close();
    }
    await context.close();
    assert.equal(findings.join("\n"), "");
  });
}
