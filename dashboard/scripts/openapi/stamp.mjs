// Beside the types, the SHA-256 of the description that they were generated from (64 lower-case hex digits and a line end): a test in Rust
// finds types that are not of docs/openapi.json without node.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const description = readFileSync(new URL("../../../docs/openapi.json", import.meta.url));
const stamp = createHash("sha256").update(description).digest("hex");
writeFileSync(new URL("../../src/api/generated/openapi.sha256", import.meta.url), `${stamp}\n`);
