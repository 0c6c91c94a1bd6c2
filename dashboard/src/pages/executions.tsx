import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Waypoints, X } from "lucide-react";
import { api } from "../api/client";
import { executionStatesQuery, executionsQuery, isMissing } from "../api/queries";
import type { Execution, ExecutionDetail, ExecutionState } from "../api/types";
import { formatCount, formatMs, formatTime } from "../lib/format";
import { usePrefs } from "../lib/prefs";
import { useThrottled } from "../lib/throttled";
import { keepRange, rangeWith, useQueryState, useTimeRange } from "../lib/query-state";
import { rangeParams } from "../lib/time-range";
import { useLive } from "../live/use-live";
import { Attributes, Value } from "../trace/attributes";
import { CopyButton, IconButton, PageHead, buttonClass, cx } from "../ui/basics";
import { TimeBars } from "../ui/bars";
import { TextFilter } from "../ui/filters";
import { Listing, goRow } from "../ui/listing";
import { Failure, Loading } from "../ui/states";
import { AgentName, EXECUTION_STATES, STATE_LOOK, StateBadge, TraceLink, When } from "../ui/values";

const FILTERS = ["state", "agent", "workflow"];

export function ExecutionsPage() {
  const [search, set] = useQueryState();
  const [range] = useTimeRange();
  const queries = useQueryClient();
  const wanted = (search.state ?? "").split(",");
  const chosen = EXECUTION_STATES.filter((state) => wanted.includes(state));
  const conditions = { agent: search.agent, workflow: search.workflow, ...rangeParams(range) };
  const query = useQuery(executionsQuery({ ...conditions, state: chosen, cursor: search.cursor, limit: 100 }));
  const states = useQuery(executionStatesQuery(conditions));
  const again = useThrottled(() => void queries.invalidateQueries({ queryKey: ["executions"] }), 2_000);
  useLive("executions", { onData: again, onReset: again });
  const executions = query.data?.items ?? [];
  const toggle = (state: ExecutionState) => {
    const next = chosen.includes(state) ? chosen.filter((one) => one !== state) : [...chosen, state];
    set({ state: next.join(",") || undefined, cursor: undefined }, { push: true });
  };
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Executions" sub="one row for each attempt to handle an event, and for each call" />
      <div role="group" aria-label="States" className="grid flex-none grid-cols-2 gap-2 px-5 pb-3 sm:grid-cols-3 xl:grid-cols-6">
        {EXECUTION_STATES.map((state) => (
          <StateCard key={state} state={state} count={states.data?.states[state]} pressed={chosen.includes(state)} onToggle={() => toggle(state)} />
        ))}
      </div>
      <div className="flex flex-none flex-wrap gap-2 px-5 pb-3">
        <TextFilter name="Agent" field="agent" search={search} set={set} suggest="agent" className="w-[200px]" />
        <TextFilter name="Workflow" field="workflow" search={search} set={set} suggest="workflow" className="w-[220px]" />
      </div>
      <div className="flex min-h-0 flex-1">
        <div className="flex min-h-0 min-w-0 flex-1 flex-col px-5 pb-4">
          <Listing what="executions" query={query} count={executions.length} nextCursor={query.data?.next_cursor} search={search} set={set} filters={FILTERS} empty={<p>No handler ran in the chosen time range, and none waits.</p>}>
            <ExecutionTable executions={executions} selected={search.execution} onSelect={(execution) => set({ execution })} />
          </Listing>
        </div>
        {search.execution && <Drawer id={search.execution} onClose={() => set({ execution: undefined })} />}
      </div>
    </div>
  );
}

function StateCard({ state, count, pressed, onToggle }: { state: ExecutionState; count: number | undefined; pressed: boolean; onToggle: () => void }) {
  const { icon: Icon, hint, tone } = STATE_LOOK[state];
  const colour = { plain: "text-text-2", run: "text-run", ok: "text-ok", bad: "text-bad", warn: "text-warn", dead: "text-dead", accent: "text-accent" }[tone];
  return (
    <button
      type="button"
      aria-pressed={pressed}
      title={hint}
      onClick={onToggle}
      className={cx("card flex items-center gap-3 px-3.5 py-2.5 text-left hover:border-line-strong", pressed && "border-accent! bg-accent-soft!")}
    >
      <Icon size={18} aria-hidden className={colour} />
      <span className="min-w-0">
        <span className="num block text-[17px] leading-5 font-semibold">{formatCount(count)}</span>
        <span className={cx("block truncate text-2xs font-medium", colour)}>{state}</span>
      </span>
    </button>
  );
}

export function ExecutionTable({ executions, selected, onSelect }: { executions: Execution[]; selected?: string; onSelect: (id: string) => void }) {
  return (
    <table className="grid-table">
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Agent</th>
          <th scope="col">Operation</th>
          <th scope="col">Workflow</th>
          <th scope="col">Started</th>
          <th scope="col" className="right">Duration</th>
          <th scope="col" className="right">Try</th>
          <th scope="col">Error</th>
          <th scope="col">Trace</th>
        </tr>
      </thead>
      <tbody>
        {executions.map((execution) => (
          <tr key={`${execution.execution_id} ${execution.span_id}`} aria-selected={execution.execution_id === selected} {...goRow(() => onSelect(execution.execution_id))}>
            <td>
              <StateBadge state={execution.state} />
            </td>
            <td>
              <AgentName id={execution.agent_name} />
            </td>
            <td className="font-medium">{execution.operation || "–"}</td>
            <td className="text-text-2">{execution.workflow_id ?? "–"}</td>
            <td className="text-text-2">
              <When time={execution.start_time} />
            </td>
            <td className="num right">{formatMs(execution.duration_ms)}</td>
            <td className="num right text-text-2">{formatCount(execution.attempt)}</td>
            <td className="max-w-[260px]! text-bad" title={execution.error_message ?? undefined}>
              {execution.error_message ?? ""}
            </td>
            <td>
              <TraceLink trace={execution.trace_id} span={execution.span_id ?? execution.parent_span_id} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** One execution: what it was, where its time went, and the way to its trace. */
function Drawer({ id, onClose }: { id: string; onClose: () => void }) {
  const query = useQuery({ queryKey: ["executions", id], queryFn: ({ signal }) => api.execution(id, signal), retry: (count, error) => isMissing(error) && count < 5, retryDelay: 1000 });
  return (
    <aside
      aria-label="Details of the execution"
      className="rise flex w-[400px] max-w-full flex-none flex-col overflow-y-auto border-t border-l border-line bg-surface max-lg:fixed max-lg:inset-y-0 max-lg:right-0 max-lg:z-20 max-lg:shadow-pop"
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <header className="flex items-center gap-2 border-b border-line py-2 pr-2 pl-4">
        <h2 className="flex-1 text-sm font-semibold">Execution</h2>
        <IconButton icon={X} name="Close the details" onClick={onClose} />
      </header>
      {query.isPending ? <Loading what="the execution" /> : query.isError ? <Failure error={query.error} retry={() => void query.refetch()} /> : <Details execution={query.data} />}
    </aside>
  );
}

function Details({ execution }: { execution: ExecutionDetail }) {
  const { zone } = usePrefs();
  const { timing } = execution;
  const known: [string, number][] = timing
    ? [
        ["Waited in the mailbox", timing.queue_wait_ms ?? 0],
        ["Models", timing.llm_ms],
        ["Tools", timing.tool_ms],
        ["Databases", timing.database_ms],
        ["HTTP", timing.http_ms],
        ...Object.entries(timing.phases),
      ]
    : [];
  const parts = known.filter(([, ms]) => ms > 0);
  return (
    <>
      <div className="space-y-3 border-b border-line px-4 py-3">
        <div className="flex flex-wrap items-center gap-2">
          <StateBadge state={execution.state} />
          <span className="num font-semibold">{formatMs(execution.duration_ms)}</span>
          <span className="text-text-3">of</span>
          <span className="font-medium">{execution.operation || "–"}</span>
        </div>
        <div className="flex flex-wrap gap-2">
          <Link
            to="/traces/$traceId"
            params={{ traceId: execution.trace_id }}
            search={rangeWith({ span: execution.span_id ?? execution.parent_span_id ?? undefined })}
            className={buttonClass("primary")}
          >
            <Waypoints size={14} aria-hidden />
            Open trace
          </Link>
          {execution.event_id && (
            <Link to="/events/$eventId" params={{ eventId: execution.event_id }} search={keepRange} className={buttonClass()}>
              Event
            </Link>
          )}
        </div>
        <dl className="grid grid-cols-[84px_minmax(0,1fr)] items-center gap-x-3 gap-y-1 text-xs">
          <dt className="text-text-3">execution</dt>
          <dd className="flex items-center gap-1">
            <span className="mono">{execution.execution_id}</span>
            <CopyButton text={execution.execution_id} name="Copy the execution id" />
          </dd>
          <dt className="text-text-3">agent</dt>
          <dd>
            <AgentName id={execution.agent_name} />
          </dd>
          <dt className="text-text-3">started</dt>
          <dd className="num">{formatTime(execution.start_time, zone)}</dd>
          <dt className="text-text-3">ended</dt>
          <dd className="num">{execution.end_time ? formatTime(execution.end_time, zone) : "not yet"}</dd>
          <dt className="text-text-3">attempt</dt>
          <dd className="num">{formatCount(execution.attempt)}</dd>
        </dl>
      </div>
      {execution.error_message && (
        <div className="border-b border-line bg-bad-soft px-4 py-2 text-xs">
          <div className="font-medium text-bad">Error</div>
          <Value value={execution.error_message} />
        </div>
      )}
      {parts.length > 0 && (
        <section className="border-b border-line px-4 py-3">
          <h3 className="label">Where its time went</h3>
          <TimeBars parts={parts} whole={timing?.total_ms ?? 0} className="mt-2 space-y-1.5" />
          <p className="mt-2 text-2xs text-text-3">Parts overlap: a call of a model is an HTTP request too.</p>
        </section>
      )}
      {execution.metadata && <Attributes values={execution.metadata} searchable />}
    </>
  );
}
