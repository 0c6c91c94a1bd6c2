// Ids, times, states and names as they stand in every table.
import { Link } from "@tanstack/react-router";
import { Ban, CircleCheck, CircleDashed, CircleX, Hourglass, type LucideIcon, Play, Skull, Waypoints } from "lucide-react";
import type { ExecutionState } from "../api/types";
import { colourOf } from "../lib/colour";
import { formatAgo, formatTime, formatWhen, shortId } from "../lib/format";
import { useNow } from "../lib/now";
import { usePrefs } from "../lib/prefs";
import { keepRange, rangeWith } from "../lib/query-state";
import { Badge, Swatch, type Tone, cx } from "./basics";

/** In the order of a life. */
export const STATE_LOOK: Record<ExecutionState, { tone: Tone; icon: LucideIcon; hint: string }> = {
  PENDING: { tone: "plain", icon: CircleDashed, hint: "waits for its agent" },
  RUNNING: { tone: "run", icon: Play, hint: "its agent has it" },
  COMPLETED: { tone: "ok", icon: CircleCheck, hint: "the handler returned" },
  FAILED: { tone: "bad", icon: CircleX, hint: "the handler raised" },
  TIMEOUT: { tone: "warn", icon: Hourglass, hint: "its time was up" },
  DEAD: { tone: "dead", icon: Skull, hint: "its process was lost" },
};

export const EXECUTION_STATES = Object.keys(STATE_LOOK) as ExecutionState[];

export function StateBadge({ state }: { state: ExecutionState | null }) {
  if (!state) return <Badge icon={Ban}>unknown</Badge>;
  const { tone, icon, hint } = STATE_LOOK[state];
  return (
    <Badge tone={tone} icon={icon} title={hint}>
      {state}
    </Badge>
  );
}

export function When({ time, ago }: { time: string | null | undefined; ago?: boolean }) {
  const { zone } = usePrefs();
  const now = useNow(ago ? 5_000 : 60_000);
  return (
    <time dateTime={time ?? undefined} title={formatTime(time, zone)} className="num">
      {ago ? formatAgo(time, now) : formatWhen(time, zone, now)}
    </time>
  );
}

export function AgentName({ id, plain, className }: { id: string | null | undefined; plain?: boolean; className?: string }) {
  if (!id) return <span className="text-text-3">–</span>;
  const inside = (
    <>
      <Swatch colour={colourOf(id)} round />
      <span className="truncate">{id}</span>
    </>
  );
  const look = cx("inline-flex max-w-full items-center gap-1.5 align-middle", className);
  if (plain) return <span className={look}>{inside}</span>;
  return (
    <Link to="/agents/$agentId" params={{ agentId: id }} search={keepRange} className={cx(look, "hover:underline")}>
      {inside}
    </Link>
  );
}

export function AgentNames({ ids, most = 4 }: { ids: string[]; most?: number }) {
  return (
    <span className="flex min-w-0 items-center gap-2.5 overflow-hidden" title={ids.join(", ")}>
      {ids.slice(0, most).map((id) => (
        <AgentName key={id} id={id} plain className="min-w-0 text-xs text-text-2" />
      ))}
      {ids.length > most && <span className="flex-none text-xs text-text-3">+{ids.length - most}</span>}
    </span>
  );
}

/** The way from anything to its place in its trace. */
export function TraceLink({ trace, span, label }: { trace: string | null | undefined; span?: string | null; label?: string }) {
  if (!trace) return <span className="text-text-3">–</span>;
  return (
    <Link
      to="/traces/$traceId"
      params={{ traceId: trace }}
      search={rangeWith({ span: span ?? undefined })}
      className="inline-flex items-center gap-1.5 rounded px-1 py-0.5 text-accent hover:bg-accent-soft"
      title="Open this place in its trace"
      onClick={(event) => event.stopPropagation()}
    >
      <Waypoints size={13} aria-hidden />
      <span className={label ? "" : "mono"}>{label ?? shortId(trace)}</span>
      {!label && <span className="sr-only">open trace</span>}
    </Link>
  );
}
