import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { SearchX } from "lucide-react";
import { Tabs } from "radix-ui";
import { api } from "../api/client";
import { executionsQuery, isMissing, tracesQuery } from "../api/queries";
import type { Agent } from "../api/types";
import { colourOf } from "../lib/colour";
import { formatTime, isKnown } from "../lib/format";
import { usePrefs } from "../lib/prefs";
import { useQueryState, useTimeRange } from "../lib/query-state";
import { rangeParams } from "../lib/time-range";
import { MetricCharts } from "../metrics/charts";
import { Value } from "../trace/attributes";
import { PageHead, Swatch } from "../ui/basics";
import { Failure, Loading, Notice } from "../ui/states";
import { AgentState } from "./agents";
import { ExecutionTable } from "./executions";
import { TraceTable } from "./traces";

const TAB = "h-8 border-b-2 border-transparent px-2.5 text-[13px] text-text-2 hover:text-text data-[state=active]:border-accent data-[state=active]:font-medium data-[state=active]:text-text";
const TABS = ["overview", "executions", "traces", "config"] as const;
const NAMES = { overview: "Overview", executions: "Executions", traces: "Slowest traces", config: "Subscriptions" };

export function AgentPage() {
  const { agentId } = useParams({ from: "/agents/$agentId" });
  const [search, set] = useQueryState();
  const agent = useQuery({ queryKey: ["agents", agentId, "one"], queryFn: ({ signal }) => api.agent(agentId, signal), refetchInterval: 15_000 });
  const tab = TABS.find((one) => one === search.tab) ?? "overview";
  if (agent.isPending) return <Loading what="the agent" />;
  if (agent.isError) {
    return isMissing(agent.error) ? (
      <Notice page icon={SearchX} title="Nobody knows this agent">
        <p className="mono [overflow-wrap:anywhere]">{agentId}</p>
        <p>It is not connected, and no span of the last day names it.</p>
      </Notice>
    ) : (
      <Failure error={agent.error} retry={() => void agent.refetch()} />
    );
  }
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-y-auto" tabIndex={0} role="region" aria-label="Agent">
      <PageHead
        title={
          <span className="flex items-center gap-2">
            <Swatch colour={colourOf(agentId)} round />
            <span className="[overflow-wrap:anywhere]">{agentId}</span>
          </span>
        }
        sub={agent.data.client}
      >
        <AgentState state={agent.data.state} />
      </PageHead>
      <Tabs.Root value={tab} onValueChange={(next) => set({ tab: next === "overview" ? undefined : next })}>
        <Tabs.List aria-label="About the agent" className="mb-4 flex gap-1 border-b border-line px-4">
          {TABS.map((one) => (
            <Tabs.Trigger key={one} value={one} className={TAB}>
              {NAMES[one]}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        <div className="px-5 pb-6">
          <Tabs.Content value="overview">
            <Overview id={agentId} />
          </Tabs.Content>
          <Tabs.Content value="executions">
            <Executions id={agentId} />
          </Tabs.Content>
          <Tabs.Content value="traces">
            <Slowest id={agentId} />
          </Tabs.Content>
          <Tabs.Content value="config">
            <Config agent={agent.data} />
          </Tabs.Content>
        </div>
      </Tabs.Root>
    </div>
  );
}

function Overview({ id }: { id: string }) {
  const [range] = useTimeRange();
  const params = rangeParams(range);
  const metrics = useQuery({ queryKey: ["agents", id, "metrics", params], queryFn: ({ signal }) => api.agentMetrics(id, params, signal), refetchInterval: 30_000 });
  if (metrics.isPending) return <Loading what="the figures" />;
  if (metrics.isError) return <Failure error={metrics.error} retry={() => void metrics.refetch()} />;
  return <MetricCharts metrics={metrics.data} />;
}

function Executions({ id }: { id: string }) {
  const [range] = useTimeRange();
  const navigate = useNavigate();
  const query = useQuery(executionsQuery({ agent: id, ...rangeParams(range), limit: 50 }));
  if (query.isPending) return <Loading what="executions" />;
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  if (query.data.items.length === 0) return <Notice icon={SearchX} title="No executions in this time" />;
  return (
    <div className="card overflow-x-auto">
      <ExecutionTable
        executions={query.data.items}
        onSelect={(execution) => void navigate({ to: "/executions", search: { agent: id, execution, from: range.from, to: range.to } })}
      />
    </div>
  );
}

function Slowest({ id }: { id: string }) {
  const [range] = useTimeRange();
  const query = useQuery(tracesQuery({ agent: id, sort: "slowest", ...rangeParams(range), limit: 50 }));
  if (query.isPending) return <Loading what="traces" />;
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  if (query.data.items.length === 0) return <Notice icon={SearchX} title="No traces in this time" />;
  return (
    <div className="card overflow-x-auto">
      <TraceTable traces={query.data.items} />
    </div>
  );
}

function Config({ agent }: { agent: Agent }) {
  const { zone } = usePrefs();
  return (
    <div className="grid gap-4 xl:grid-cols-2">
      <section className="card p-4">
        <h2 className="label mb-2">Subscriptions</h2>
        {agent.subscriptions.length === 0 ? (
          <p className="text-sm text-text-2">None.</p>
        ) : (
          <ul className="divide-y divide-line">
            {agent.subscriptions.map((one) => (
              <li key={`${one.id} ${one.pattern}`} className="flex items-center gap-3 py-1.5">
                <span className="mono flex-1">{one.pattern}</span>
                <span className="text-xs text-text-3">{one.qos}</span>
              </li>
            ))}
          </ul>
        )}
      </section>
      <section className="card p-4">
        <h2 className="label mb-2">Capabilities</h2>
        {agent.capabilities.length === 0 ? (
          <p className="text-sm text-text-2">None.</p>
        ) : (
          <ul className="divide-y divide-line">
            {agent.capabilities.map((one) => (
              <li key={one.name} className="py-1.5">
                <div className="mono">{one.name}</div>
                {one.description && <p className="text-xs text-text-2">{one.description}</p>}
                {isKnown(one.input_schema) && (
                  <details className="mt-1 text-xs">
                    <summary className="text-text-3">schema</summary>
                    <Value value={one.input_schema} />
                  </details>
                )}
              </li>
            ))}
          </ul>
        )}
      </section>
      <section className="card p-4">
        <h2 className="label mb-2">Connection</h2>
        <dl className="grid grid-cols-[110px_1fr] gap-y-1 text-[13px]">
          <dt className="text-text-3">instance</dt>
          <dd className="mono [overflow-wrap:anywhere]">{agent.instance_id ?? "–"}</dd>
          <dt className="text-text-3">connected</dt>
          <dd className="num">{formatTime(agent.connected_at, zone)}</dd>
          <dt className="text-text-3">last seen</dt>
          <dd className="num">{formatTime(agent.last_seen_at, zone)}</dd>
        </dl>
      </section>
    </div>
  );
}
