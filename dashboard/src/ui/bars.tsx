import { formatMs } from "../lib/format";
import { cx } from "./basics";

interface TimeBarsProps {
  /** Names with ms. */
  parts: [string, number][];
  /** ms of the whole width, where it is not that of the longest part. */
  whole?: number;
  large?: boolean;
  className?: string;
}

/** Times beside each other: a name, a duration, and how much that is of the longest. */
export function TimeBars({ parts, whole = 0, large, className }: TimeBarsProps) {
  const longest = Math.max(whole, ...parts.map(([, ms]) => ms), 0.001);
  const bar = large ? "h-1.5" : "h-1";
  return (
    <ul className={className}>
      {parts.map(([name, ms]) => (
        <li key={name} className="grid grid-cols-[1fr_auto] gap-x-3 text-xs">
          <span className="truncate text-text-2">{name.replace(/_ms$/, "")}</span>
          <span className="num">{formatMs(ms)}</span>
          <span className={cx("col-span-2 rounded-full bg-raised", bar, large ? "mt-1" : "mt-0.5")}>
            <span className={cx("block min-w-[2px] rounded-full", bar, large ? "bg-[var(--c8)]" : "bg-accent")} style={{ width: `${(ms / longest) * 100}%` }} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Phases of handlers, the longest first. */
export const phasesOf = (phases: Record<string, number>): [string, number][] => Object.entries(phases).sort(([, a], [, b]) => b - a);
