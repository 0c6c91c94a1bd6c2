import type { TimeSummary } from "../api/types";
import { formatNs, formatRatio } from "../lib/format";
import { cx } from "../ui/basics";
import { shares } from "./time-kinds";

/** The critical path as one bar: what the time of the trace was spent with. */
export function TimeSplit({ summary }: { summary: TimeSummary }) {
  const parts = shares(summary);
  if (parts.length === 0) return null;
  return (
    <div className="flex min-w-0 flex-wrap items-center gap-x-4 gap-y-1.5">
      <div className="flex h-2 w-[220px] flex-none gap-px overflow-hidden rounded-full bg-raised" role="img" aria-label={parts.map(({ look, share }) => `${look.name} ${formatRatio(share)}`).join(", ")}>
        {parts.map(({ look, share }) => (
          <span key={look.kind} className={cx("min-w-[2px]", look.hatched && "hatched")} style={{ flexGrow: share, flexBasis: 0, color: look.colour, background: look.hatched ? undefined : look.colour }} />
        ))}
      </div>
      <ul className="flex flex-wrap gap-x-3.5 gap-y-1 text-xs text-text-2">
        {parts.map(({ look, ns, share }) => (
          <li key={look.kind} title={look.hint} className="flex items-center gap-1.5">
            <span aria-hidden className={cx("size-2.5 rounded-[3px]", look.hatched && "hatched")} style={{ color: look.colour, background: look.hatched ? undefined : look.colour }} />
            {look.name}
            <span className="num font-medium text-text">{formatNs(ns)}</span>
            <span className="num text-text-3">{formatRatio(share)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
