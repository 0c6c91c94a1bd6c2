// The fingerprint of what dist/ is built from, so that a stale build is found without node: a test in Rust computes the same.
//
// SHA-256 over the files below, in the order of their paths' bytes. For each: path relative to dashboard/ with `/`, a NUL, the size in bytes
// as decimal text, a NUL, the content. Files: index.html, package.json, package-lock.json, tsconfig.json, vite.config.ts, everything in public/, and
// everything in src/ but tests (`*.test.ts`, `*.test.tsx`) and src/trace/fixture.ts. It is written as 64 lower-case hex digits and a line end.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);
const FILE = new URL("dist.sha256", ROOT);

export function sources() {
  const inside = (folder) =>
    readdirSync(new URL(folder, ROOT), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll("\\", "/").slice(fileURLToPath(ROOT).length));
  const kept = inside("src").filter((path) => !/\.test\.tsx?$/.test(path) && path !== "src/trace/fixture.ts");
  const all = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", ...inside("public"), ...kept];
  return all.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function fingerprint() {
  const hash = createHash("sha256");
  for (const path of sources()) {
    const content = readFileSync(new URL(path, ROOT));
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

const now = fingerprint();
if (process.argv.includes("--write")) {
  writeFileSync(FILE, `${now}\n`);
} else if (readFileSync(FILE, "utf8").trim() !== now) {
  process.stderr.write("dashboard/dist is not what dashboard/src would build: run `make ui` and commit both\n");
  process.exit(1);
}
