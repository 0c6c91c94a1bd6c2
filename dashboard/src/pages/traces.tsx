import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { CircleX, Unlink } from "lucide-react";
import { useMemo } from "react";
import { tracesQuery } from "../api/queries";
import type { Query } from "../api/routes";
import type { TraceSummary } from "../api/types";
import { formatCount, formatNs, plural } from "../lib/format";
import { useNow } from "../lib/now";
import { keepRange, useQueryState, useTimeRange } from "../lib/query-state";
import { useThrottled } from "../lib/throttled";
import { isLive, rangeParams, resolveRange } from "../lib/time-range";
import { useLive } from "../live/use-live";
import { durationText, listedRange } from "../traces/scatter";
import { Scatter } from "../traces/scatter-view";
import { Badge, PageHead, cx } from "../ui/basics";
import { Chips, Choice, TextFilter } from "../ui/filters";
import { Listing, goRow } from "../ui/listing";
import { Snippet } from "../ui/states";
import { AgentNames, When } from "../ui/values";

/** Conditions of the URL, and what the API calls them. */
const FIELDS = {
  q: "q", agent: "agent", topic: "topic", workflow: "workflow", status: "status", min: "min_duration", max: "max_duration", service: "service",
  operation: "operation", session: "session", user: "user", tenant: "tenant", thread: "thread", tags: "tags", tag: "tag",
} satisfies Record<string, keyof Query<"/api/v1/traces">>;
const CHIPS = ["service", "operation", "session", "user", "tenant", "thread", "tags", "tag", "max"];

/** ms in which spans of a trace may still be on their way: until then a missing parent means nothing. */
const STILL_COMING = 10_000;

export function TracesPage() {
  const [search, set] = useQueryState();
  const [range] = useTimeRange();
  const now = useNow(30_000);
  // Values are as they stand in the URL; the server says what is wrong with one.
  const conditions: Query<"/api/v1/traces"> = Object.fromEntries(Object.entries(FIELDS).map(([field, name]) => [name, search[field]]));
  const params: typeof conditions = {
    ...conditions,
    ...rangeParams(range),
    sort: search.sort === "slowest" ? "slowest" : "newest",
    cursor: search.cursor,
    limit: 100,
  };
  const query = useQuery(tracesQuery(params));
  const again = useThrottled(() => void query.refetch(), 3_000);
  useLive("traces", { onData: again, onReset: again }, isLive(range) && !search.cursor);
  const traces = useMemo(() => query.data?.items ?? [], [query.data]);
  const more = Boolean(query.data?.truncated || query.data?.next_cursor);
  const times = useMemo(() => {
    const chosen = resolveRange(range, now);
    return more && search.sort !== "slowest" ? listedRange(traces, chosen) : chosen;
  }, [range, now, more, search.sort, traces]);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Traces" sub={query.data && (more ? (traces.length > 0 ? `more than ${plural(traces.length, "trace")}` : "none found so far") : plural(traces.length, "trace"))}>
        <Choice name="Order" value={search.sort ?? "newest"} options={[["newest", "newest first"], ["slowest", "slowest first"]]} onChange={(sort) => set({ sort: sort === "newest" ? undefined : sort, cursor: undefined })} />
      </PageHead>
      <div className="flex flex-none flex-wrap gap-2 px-5 pb-3">
        <TextFilter name="Text" field="q" search={search} set={set} icon placeholder="Words: name, attribute, message, id" className="min-w-[220px] flex-1 sm:max-w-[320px]" />
        <TextFilter name="Agent" field="agent" search={search} set={set} suggest="agent" className="w-[150px]" />
        <TextFilter name="Topic" field="topic" search={search} set={set} suggest="topic" className="w-[170px]" />
        <TextFilter name="Workflow" field="workflow" search={search} set={set} suggest="workflow" className="w-[180px]" />
        <TextFilter name="At least" field="min" search={search} set={set} placeholder="10ms" className="w-[120px]" />
        <Choice name="Status" value={search.status ?? ""} options={[["", "any"], ["error", "with errors"], ["ok", "without"]]} onChange={(status) => set({ status: status || undefined, cursor: undefined })} />
        <Chips fields={CHIPS} search={search} set={set} />
      </div>
      <div className="flex min-h-0 flex-1 flex-col gap-3 px-5 pb-4">
        {traces.length > 0 && (
          <Scatter
            traces={traces}
            range={times}
            onSelect={({ from, to, min, max }) =>
              set({ from: String(Math.floor(from)), to: String(Math.ceil(to)), min: durationText(min), max: durationText(max), cursor: undefined }, { push: true })
            }
          />
        )}
        <Listing
          what="traces"
          query={query}
          count={traces.length}
          nextCursor={query.data?.next_cursor}
          search={search}
          set={set}
          filters={Object.keys(FIELDS)}
          empty={
            <>
              <p>No span of any trace began in this time. Three agents that make some:</p>
              <Snippet>loom run demo/trace-test</Snippet>
            </>
          }
        >
          <TraceTable traces={traces} />
        </Listing>
      </div>
    </div>
  );
}

export function TraceTable({ traces }: { traces: TraceSummary[] }) {
  const navigate = useNavigate();
  const now = useNow(5_000);
  const share = shares(traces.map((trace) => Number(trace.duration_ns)));
  return (
    <table className="grid-table">
      <thead>
        <tr>
          <th scope="col">Trace</th>
          <th scope="col">Agents</th>
          <th scope="col" className="right">Spans</th>
          <th scope="col">Duration</th>
          <th scope="col" className="right">Began</th>
        </tr>
      </thead>
      <tbody>
        {traces.map((trace) => (
          <tr key={trace.trace_id} {...goRow(() => void navigate({ to: "/traces/$traceId", params: { traceId: trace.trace_id }, search: keepRange }))}>
            <td>
              <span className="flex items-center gap-2">
                <Link to="/traces/$traceId" params={{ traceId: trace.trace_id }} search={keepRange} className="truncate font-medium hover:underline" tabIndex={-1}>
                  {trace.root_name || "root is missing"}
                </Link>
                <span className="mono text-2xs! text-text-3">{trace.trace_id.slice(0, 8)}</span>
                {trace.errors > 0 && (
                  <Badge tone="bad" icon={CircleX}>
                    {plural(trace.errors, "error")}
                  </Badge>
                )}
                {trace.orphans > 0 && now - Date.parse(trace.start_time) > STILL_COMING && (
                  <Badge tone="warn" icon={Unlink} title="Spans whose parent is not there">
                    {plural(trace.orphans, "orphan")}
                  </Badge>
                )}
              </span>
            </td>
            <td>
              <AgentNames ids={trace.agents.length > 0 ? trace.agents : trace.services} />
            </td>
            <td className="num right text-text-2">{formatCount(trace.spans)}</td>
            <td className="w-[190px]">
              <span className="flex items-center gap-2">
                <span className="num w-[62px] flex-none text-right">{formatNs(Number(trace.duration_ns))}</span>
                <span aria-hidden className="h-1.5 min-w-0 flex-1 rounded-full bg-raised">
                  <span className={cx("block h-1.5 min-w-[2px] rounded-full", trace.errors > 0 ? "bg-bad" : "bg-[var(--c0)]")} style={{ width: `${share(Number(trace.duration_ns)) * 100}%` }} />
                </span>
              </span>
            </td>
            <td className="right text-text-2">
              <When time={trace.start_time} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** How long a bar is: durations differ by factors, so it grows with their logarithm, from a little to the whole. */
function shares(durations: number[]): (ns: number) => number {
  const known = durations.filter((ns) => ns > 0);
  const low = Math.min(...known, 1e12) / 2;
  const high = Math.max(...known, low * 4);
  return (ns) => (ns <= low ? 0 : Math.log(ns / low) / Math.log(high / low));
}
