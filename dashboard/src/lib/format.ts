// Numbers and times as people read them. What nobody measured is a dash, never a zero.

const NONE = "–";

export const isKnown = <T>(value: T | null | undefined): value is T => value !== null && value !== undefined;

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 12 345, with thin spaces. */
export function formatCount(value: number | null | undefined): string {
  return isKnown(value) ? number.format(value).replaceAll(",", "\u202f") : NONE;
}

/** Three significant digits at most, without trailing zeros. */
function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  const text = value >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.replace(/\.?0+$/, "");
}

/** A duration in ns: 640 ns, 12.4 µs, 6.6 ms, 1.12 s, 2m 03s, 1h 02m, 3d 04h. */
export function formatNs(ns: number | null | undefined): string {
  if (!isKnown(ns) || Number.isNaN(ns)) return NONE;
  if (ns < 0) return `−${formatNs(-ns)}`;
  if (ns === 0) return "0";
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  // The bounds are where rounding would show a thousand.
  if (ns < 999.5e3) return `${digits(ns / 1e3)} µs`;
  if (ns < 999.5e6) return `${digits(ns / 1e6)} ms`;
  if (ns < 59.95e9) return `${digits(ns / 1e9)} s`;
  const seconds = Math.round(ns / 1e9);
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${two(Math.floor((seconds % 3600) / 60))}m`;
  return `${Math.floor(seconds / 86400)}d ${two(Math.floor((seconds % 86400) / 3600))}h`;
}

export const formatMs = (ms: number | null | undefined) => formatNs(isKnown(ms) ? ms * 1e6 : null);

export function formatBytes(bytes: number | null | undefined): string {
  if (!isKnown(bytes)) return NONE;
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${digits(value)} ${units[unit]}`;
}

/** A ratio as percent: 0.2 %, 12 %; what is above nothing is never shown as 0 %. */
export function formatRatio(ratio: number | null | undefined): string {
  if (!isKnown(ratio)) return NONE;
  if (ratio === 0) return "0 %";
  if (ratio < 0.001) return "< 0.1 %";
  return `${digits(ratio * 100)} %`;
}

/** Per second: 0.2/s, 12/s, 1.2 k/s. */
export function formatRate(perSecond: number | null | undefined): string {
  if (!isKnown(perSecond)) return NONE;
  if (perSecond >= 1000) return `${digits(perSecond / 1000)} k/s`;
  if (perSecond > 0 && perSecond < 0.01) return "< 0.01/s";
  return `${digits(perSecond)}/s`;
}

export function formatUsd(usd: number | null | undefined): string {
  if (!isKnown(usd)) return NONE;
  if (usd === 0) return "$0";
  if (usd < 0.0001) return "< $0.0001";
  return usd < 0.1 ? `$${usd.toFixed(4)}` : `$${usd.toFixed(2)}`;
}

/** At an axis, where each of several values has to differ from the next. */
export function formatUsdAt(usd: number): string {
  if (usd === 0 || usd >= 0.1) return formatUsd(usd);
  // Two digits that count, and never an exponent.
  return `$${usd.toFixed(Math.min(20, 1 - Math.floor(Math.log10(Math.abs(usd))))).replace(/0+$/, "")}`;
}

export type Zone = "local" | "utc";

const options = (zone: Zone): Intl.DateTimeFormatOptions => ({
  hourCycle: "h23",
  timeZone: zone === "utc" ? "UTC" : undefined,
});

/** 12:04:31.250 */
export function formatClock(ms: number, zone: Zone, withMillis = true): string {
  const text = new Intl.DateTimeFormat("en-GB", {
    ...options(zone),
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: withMillis ? 3 : undefined,
  });
  return text.format(ms);
}

/** 2026-11-22 12:04:31.250; the zone is named where it is not the reader's own. */
export function formatTime(time: string | number | null | undefined, zone: Zone): string {
  const ms = typeof time === "string" ? Date.parse(time) : time;
  if (!isKnown(ms) || Number.isNaN(ms)) return NONE;
  const day = new Intl.DateTimeFormat("sv-SE", { ...options(zone), dateStyle: "short" }).format(ms);
  return `${day} ${formatClock(ms, zone)}${zone === "utc" ? " UTC" : ""}`;
}

/** Only the clock for today, the day before it for other days. */
export function formatWhen(time: string | null | undefined, zone: Zone, now: number): string {
  const ms = time ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(ms)) return NONE;
  const whole = formatTime(ms, zone).replace(" UTC", "");
  const sameDay = formatTime(now, zone).slice(0, 10) === whole.slice(0, 10);
  return sameDay ? whole.slice(11) : whole.slice(5, 19);
}

/** just now, 12 s ago, 3 m ago, 2 h ago, 4 d ago */
export function formatAgo(time: string | null | undefined, now: number): string {
  const ms = time ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(ms)) return NONE;
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** ns since 1970, as text of any size, in ms; the fraction is kept as far as a double can. */
export function msOfNs(ns: string): number {
  if (!/^\d+$/.test(ns)) return Number.NaN;
  const whole = BigInt(ns);
  return Number(whole / 1_000_000n) + Number(whole % 1_000_000n) / 1e6;
}

export const plural = (count: number, one: string, many = `${one}s`) => `${formatCount(count)} ${count === 1 ? one : many}`;

/** The first characters of an id, as they stand in lists. */
export const shortId = (id: string, length = 8) => (id.length > length ? id.slice(0, length) : id);
