// What the dashboard may weigh. Fails when it weighs more: the first page has to be there at once, and the binary carries all of it.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url);
const KB = 1000;
const MAX = { entry: 130 * KB, chunk: 100 * KB, total: 400 * KB, raw: 1500 * KB };

const files = readdirSync(DIST, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => {
    const content = readFileSync(`${entry.parentPath}/${entry.name}`);
    return { name: entry.name, raw: content.length, gz: gzipSync(content, { level: 9 }).length };
  });
const sum = (list, field) => list.reduce((total, file) => total + file[field], 0);
// What the page loads before it shows anything: the entry, and what its imports name.
const html = readFileSync(new URL("index.html", DIST), "utf8");
const first = new Set([...html.matchAll(/assets\/([\w.-]+\.(?:js|css))/g)].map((match) => match[1]));
const entry = files.filter((file) => first.has(file.name) && file.name.endsWith(".js"));
const lazy = files.filter((file) => !first.has(file.name) && /\.(js|css)$/.test(file.name));

const kb = (bytes) => `${(bytes / KB).toFixed(1)} kB`;
const findings = [];
const check = (what, bytes, most) => {
  const over = bytes > most;
  if (over) findings.push(what);
  process.stdout.write(`${over ? "OVER " : "     "}${what.padEnd(24)} ${kb(bytes).padStart(10)} of ${kb(most)}\n`);
};
check("entry, gzip", sum(entry, "gz"), MAX.entry);
for (const file of lazy.toSorted((a, b) => b.gz - a.gz).slice(0, 5)) check(`${file.name}, gzip`, file.gz, MAX.chunk);
check("everything, gzip", sum(files, "gz"), MAX.total);
check("everything, raw", sum(files, "raw"), MAX.raw);
if (findings.length > 0) {
  process.stderr.write(`over budget: ${findings.join("; ")}\n`);
  process.exit(1);
}
