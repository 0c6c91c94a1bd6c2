// The part of a trace's time that is to be seen, as fractions of its duration.

export interface Viewport {
  from: number;
  to: number;
}

export const WHOLE: Viewport = { from: 0, to: 1 };
/** One part in ten million: a microsecond of ten seconds. */
const NARROWEST = 1e-7;

export function clamp(view: Viewport): Viewport {
  const width = Math.min(1, Math.max(NARROWEST, view.to - view.from));
  const from = Math.min(1 - width, Math.max(0, view.from));
  return { from, to: from + width };
}

/** `factor` below 1 shows less; the point `at` (0..1 of what is seen) stays where it is. */
export function zoom(view: Viewport, factor: number, at = 0.5): Viewport {
  const width = (view.to - view.from) * factor;
  if (width >= 1) return WHOLE;
  const fixed = view.from + (view.to - view.from) * at;
  return clamp({ from: fixed - width * at, to: fixed + width * (1 - at) });
}

/** Moves by a part of what is seen. */
export function pan(view: Viewport, part: number): Viewport {
  const by = (view.to - view.from) * part;
  return clamp({ from: view.from + by, to: view.to + by });
}

export const isWhole = (view: Viewport) => view.from <= 0 && view.to >= 1;

/** `0.1-0.4`, with as many digits as the width needs. */
export function viewportText(view: Viewport): string | undefined {
  if (isWhole(view)) return undefined;
  const digits = Math.min(9, Math.max(3, 2 - Math.floor(Math.log10(view.to - view.from))));
  const one = (value: number) => String(Number(value.toFixed(digits)));
  return `${one(view.from)}-${one(view.to)}`;
}

export function parseViewport(text: string | undefined): Viewport {
  const match = /^(0|1|0?\.\d+)-(0|1|0?\.\d+)$/.exec(text ?? "");
  if (!match) return WHOLE;
  const [from, to] = [Number(match[1]), Number(match[2])];
  return from < to ? clamp({ from, to }) : WHOLE;
}

/** Round times within `from..to` (ns), at most `most` of them. */
export function ticks(from: number, to: number, most: number): number[] {
  const span = to - from;
  if (!(span > 0) || most < 1) return [];
  const rough = span / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? 10 * power;
  const found: number[] = [];
  // By counting, not by adding: no error grows.
  for (let index = Math.ceil(from / step); index * step <= to; index += 1) found.push(index * step);
  return found;
}
