// The time range of the pages: `from` and `to` in the URL, as `now`, `now-15m`, ms since 1970, or RFC 3339.

export interface TimeRange {
  from: string;
  to: string;
}

export const DEFAULT_RANGE: TimeRange = { from: "now-1h", to: "now" };

export const PRESETS = [
  { from: "now-5m", label: "Last 5 min" },
  { from: "now-15m", label: "Last 15 min" },
  { from: "now-1h", label: "Last 1 h" },
  { from: "now-6h", label: "Last 6 h" },
  { from: "now-24h", label: "Last 24 h" },
  { from: "now-7d", label: "Last 7 days" },
] as const;

const UNIT_MS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };
const RELATIVE = /^now(?:-(\d{1,6})([smhd]))?$/;

/** ms since 1970, or null where the text says no time. */
export function resolveTime(text: string, now: number): number | null {
  const relative = RELATIVE.exec(text);
  if (relative) return now - Number(relative[1] ?? 0) * UNIT_MS[relative[2] ?? "s"];
  if (/^\d{10,14}$/.test(text)) return Number(text);
  const ms = Date.parse(text);
  return /^\d{4}-/.test(text) && !Number.isNaN(ms) ? ms : null;
}

/** What the URL says, if it makes sense; else the default. */
export function parseRange(from: string | undefined, to: string | undefined, now: number): TimeRange {
  const range = { from: from ?? DEFAULT_RANGE.from, to: to ?? DEFAULT_RANGE.to };
  const [start, end] = [resolveTime(range.from, now), resolveTime(range.to, now)];
  return start === null || end === null || start >= end ? DEFAULT_RANGE : range;
}

export function resolveRange(range: TimeRange, now: number): { from: number; to: number } {
  return { from: resolveTime(range.from, now) ?? now - 3600e3, to: resolveTime(range.to, now) ?? now };
}

/** Ends now, so that what comes belongs to it. */
export const isLive = (range: TimeRange) => range.to === "now" && RELATIVE.test(range.from);

/** As the API takes it: relative times as they are, so that every page of a list has the same query; ms become RFC 3339. */
export function rangeParams(range: TimeRange): { from: string; to: string } {
  const one = (text: string) => (/^\d+$/.test(text) ? new Date(Number(text)).toISOString() : text);
  return { from: one(range.from), to: one(range.to) };
}

/** Lengths that the metrics routes know by name. */
export function labelOf(range: TimeRange, format: (ms: number) => string): string {
  const preset = range.to === "now" && PRESETS.find((one) => one.from === range.from);
  if (preset) return preset.label;
  const relative = range.to === "now" && RELATIVE.exec(range.from);
  if (relative && relative[1]) return `Last ${relative[1]} ${relative[2] === "m" ? "min" : relative[2]}`;
  const one = (text: string) => {
    if (RELATIVE.test(text)) return text;
    const ms = resolveTime(text, 0);
    return ms === null ? text : format(ms);
  };
  return `${one(range.from)} – ${one(range.to)}`;
}
