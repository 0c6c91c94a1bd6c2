// Which rows are to be seen: what is folded, what is found, and how the keys move between them.
import type { TraceModel } from "./model";

/** Either some nodes are folded, or all but some; and of runs of like siblings which are open, or all of them. */
export interface Folding {
  all: boolean;
  except: ReadonlySet<string>;
  /** First spans of the runs that are not as `runsOpen` says. */
  runs: ReadonlySet<string>;
  runsOpen: boolean;
}

/** As a trace is opened: everything but the runs. */
export const UNFOLDED: Folding = { all: false, except: new Set(), runs: new Set(), runsOpen: false };
export const ALL_FOLDED: Folding = { ...UNFOLDED, all: true };
export const ALL_OPEN: Folding = { ...UNFOLDED, runsOpen: true };
/** More ids would make a URL that nobody can send. */
const MAX_IN_URL = 64;

export const isFolded = (folding: Folding, id: string) => folding.all !== folding.except.has(id);

export const isRunOpen = (folding: Folding, id: string) => folding.runsOpen !== folding.runs.has(id);

/** The first node of the closed run that hides this one, or is it; -1: none. */
export function closedRunOf(folding: Folding, model: TraceModel, node: number): number {
  const head = model.runs.head[node];
  return head >= 0 && !isRunOpen(folding, model.id[head]) ? head : -1;
}

export function runToggled(folding: Folding, id: string): Folding {
  const runs = new Set(folding.runs);
  if (!runs.delete(id)) runs.add(id);
  return { ...folding, runs };
}

export function toggled(folding: Folding, id: string): Folding {
  const except = new Set(folding.except);
  if (!except.delete(id)) except.add(id);
  return { ...folding, except };
}

/** Every node above `node` opened, and the run that hides it, so that it can be seen. */
export function revealed(folding: Folding, model: TraceModel, node: number): Folding {
  let open = folding;
  for (let at = node; at >= 0; at = model.parent[at]) {
    if (at !== node && isFolded(open, model.id[at])) open = toggled(open, model.id[at]);
    const head = closedRunOf(open, model, at);
    // Of a closed run the first can be seen, and nothing below it.
    if (head >= 0 && !(head === at && at === node)) open = runToggled(open, model.id[head]);
  }
  return open;
}

/** `a1b2.c3d4`: these are folded; `all-a1b2`: all but these; `xa1b2`: this run is open; `runs`: all of them are, but those with an x. */
export function foldingText(folding: Folding): string | undefined {
  const ids = [...(folding.runsOpen ? ["runs"] : []), ...folding.except, ...[...folding.runs].map((id) => `x${id}`)];
  const text = ids.slice(0, MAX_IN_URL).join(".");
  if (folding.all) return text === "" ? "all" : `all-${text}`;
  return text === "" ? undefined : text;
}

export function parseFolding(text: string | undefined): Folding {
  if (!text) return UNFOLDED;
  const all = text === "all" || text.startsWith("all-");
  const parts = (all ? text.slice(4) : text).split(".");
  const ids = (pattern: RegExp) => new Set(parts.filter((part) => pattern.test(part)).map((part) => part.slice(-16)));
  return { all, except: ids(/^[0-9a-f]{16}$/), runs: ids(/^x[0-9a-f]{16}$/), runsOpen: parts.includes("runs") };
}

/**
 * Nodes of the rows from top to bottom. With `found`, only what is found and what stands above it, whatever is folded.
 */
export function visibleRows(model: TraceModel, folding: Folding, found: Uint8Array | null): Int32Array {
  const rows = new Int32Array(model.count);
  let length = 0;
  if (found) {
    const keep = new Uint8Array(model.count);
    for (let node = model.count - 1; node >= 0; node -= 1) {
      if (!found[node] && !keep[node]) continue;
      keep[node] = 1;
      if (model.parent[node] >= 0) keep[model.parent[node]] = 1;
    }
    for (let node = 0; node < model.count; node += 1) {
      if (!keep[node]) continue;
      rows[length] = node;
      length += 1;
    }
    return rows.subarray(0, length);
  }
  const nothingFolded = !folding.all && folding.except.size === 0;
  for (let node = 0; node < model.count; ) {
    const run = closedRunOf(folding, model, node);
    if (run >= 0 && run !== node) {
      node = model.end[node];
      continue;
    }
    rows[length] = node;
    length += 1;
    // What is below the first of a closed run is as little to be seen as the others.
    const skip = run === node || (!nothingFolded && model.children[node] > 0 && isFolded(folding, model.id[node]));
    node = skip ? model.end[node] : node + 1;
  }
  return rows.subarray(0, length);
}

/** Where a node stands among the rows, or the row of the nearest folded one or run that hides it; -1: nowhere. */
export function rowOf(rows: Int32Array, model: TraceModel, node: number): number {
  const find = (wanted: number): number => {
    let low = 0;
    let high = rows.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (rows[middle] === wanted) return middle;
      if (rows[middle] < wanted) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  };
  for (let at = node; at >= 0; at = model.parent[at]) {
    const row = find(at);
    if (row >= 0) return row;
    const head = model.runs.head[at];
    const run = head >= 0 ? find(head) : -1;
    if (run >= 0) return run;
  }
  return -1;
}

/** 1 for each node in which every word is found: in its name, service, agent, topic or id. */
export function findLocally(model: TraceModel, query: string): Uint8Array {
  const found = new Uint8Array(model.count);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return found;
  const { columns, names, services, agents, topics } = model.trace;
  const has = (table: string[], word: string) => table.map((text) => text.toLowerCase().includes(word));
  const tables = words.map((word) => ({
    word,
    names: has(names, word),
    services: has(services, word),
    agents: has(agents, word),
    topics: has(topics, word),
  }));
  for (let node = 0; node < model.count; node += 1) {
    const at = model.column[node];
    const everyWord = tables.every((table) => {
      if (model.id[node].includes(table.word)) return true;
      if (at < 0) return false;
      const agent = columns.agent[at];
      const topic = columns.topic[at];
      return (
        table.names[columns.name[at]] ||
        table.services[columns.service[at]] ||
        (agent !== null && table.agents[agent]) ||
        (topic !== null && table.topics[topic])
      );
    });
    if (everyWord) found[node] = 1;
  }
  return found;
}

/** The found nodes in order; `more` are ids that the server found. */
export function foundNodes(model: TraceModel, local: Uint8Array, more: readonly string[]): Uint8Array {
  if (more.length === 0) return local;
  const found = local.slice();
  for (const id of more) {
    const node = model.nodeOf.get(id);
    if (node !== undefined) found[node] = 1;
  }
  return found;
}

export function listOf(found: Uint8Array): Int32Array {
  const nodes: number[] = [];
  for (let node = 0; node < found.length; node += 1) if (found[node]) nodes.push(node);
  return Int32Array.from(nodes);
}

/** The next of `nodes` after `node`, or before it; it goes round. -1: there is none. */
export function nextOf(nodes: Int32Array, node: number, step: 1 | -1): number {
  if (nodes.length === 0) return -1;
  if (step === 1) return nodes.find((one) => one > node) ?? nodes[0];
  return nodes.findLast((one) => one < node) ?? nodes[nodes.length - 1];
}
