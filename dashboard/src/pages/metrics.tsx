import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { api } from "../api/client";
import { statsQuery } from "../api/queries";
import type { Stats } from "../api/types";
import { formatBytes, formatCount, formatMs, formatRatio } from "../lib/format";
import { keepRange, useTimeRange } from "../lib/query-state";
import { rangeParams } from "../lib/time-range";
import { MetricCharts } from "../metrics/charts";
import { Badge, PageHead } from "../ui/basics";
import { goRow } from "../ui/listing";
import { Failure, Loading } from "../ui/states";
import { AgentName } from "../ui/values";

export function MetricsPage() {
  const [range] = useTimeRange();
  const params = rangeParams(range);
  const navigate = useNavigate();
  const metrics = useQuery({ queryKey: ["metrics", params], queryFn: ({ signal }) => api.metrics(params, signal), refetchInterval: 30_000 });
  const stats = useQuery(statsQuery());
  // Which figures an answer has depends on whose it is.
  const ranked = metrics.data && "by_agent" in metrics.data ? metrics.data : null;
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-y-auto" tabIndex={0} role="region" aria-label="Metrics">
      <PageHead title="Metrics" sub="of all agents, taken from their spans" />
      <div className="space-y-3 px-5 pb-6">
        {metrics.isPending ? (
          <Loading what="the figures" />
        ) : metrics.isError ? (
          <Failure error={metrics.error} retry={() => void metrics.refetch()} />
        ) : (
          <>
            <MetricCharts metrics={metrics.data} />
            <div className="grid gap-3 xl:grid-cols-2">
              {ranked && ranked.by_agent.length > 0 && (
                <Ranking
                  title="By agent"
                  rows={ranked.by_agent.map((row) => ({ ...row, id: row.agent_id }))}
                  agents
                  go={(id) => void navigate({ to: "/agents/$agentId", params: { agentId: id }, search: keepRange })}
                />
              )}
              {ranked && ranked.by_workflow.length > 0 && (
                <Ranking
                  title="By workflow"
                  rows={ranked.by_workflow.map((row) => ({ ...row, id: row.workflow_id }))}
                  go={(id) => void navigate({ to: "/workflows/$workflowId", params: { workflowId: id }, search: keepRange })}
                />
              )}
            </div>
          </>
        )}
        {stats.data && <Ledger stats={stats.data} />}
      </div>
    </div>
  );
}

interface Ranked {
  id: string;
  count: number;
  errors: number;
  p95_ms?: number | null;
}

function Ranking({ title, rows, agents, go }: { title: string; rows: Ranked[]; agents?: boolean; go: (id: string) => void }) {
  return (
    <section className="card overflow-x-auto" aria-label={title}>
      <h2 className="px-4 pt-3 pb-1 text-xs font-semibold">{title}</h2>
      <table className="grid-table">
        <thead>
          <tr>
            <th scope="col">{agents ? "Agent" : "Workflow"}</th>
            <th scope="col" className="right">Executions</th>
            <th scope="col" className="right">Errors</th>
            <th scope="col" className="right">p95</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id} {...goRow(() => go(row.id))}>
              <td>{agents ? <AgentName id={row.id} plain /> : row.id}</td>
              <td className="num right">{formatCount(row.count)}</td>
              <td className={row.errors > 0 ? "num right text-bad" : "num right text-text-3"}>{formatRatio(row.count > 0 ? row.errors / row.count : null)}</td>
              <td className="num right">{formatMs(row.p95_ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The books of the bus since the server began: what was published went somewhere. */
function Ledger({ stats }: { stats: Stats }) {
  const { bus } = stats;
  const columns = ["published", "delivered", "filtered", "dead_lettered", "expired", "in_flight"] as const;
  const rows = [...bus.topics.slice(0, 50), { ...bus.total, topic: "all topics" }];
  const dropped = (books: { dropped: Record<string, number> }) => Object.values(books.dropped).reduce((sum, count) => sum + count, 0);
  return (
    <section className="card overflow-x-auto" aria-label="Books of the bus" tabIndex={0}>
      <header className="flex flex-wrap items-center gap-2 px-4 pt-3 pb-1">
        <h2 className="text-xs font-semibold">Books of the bus since it started, in deliveries</h2>
        {bus.balanced ? <Badge tone="ok">they balance</Badge> : <Badge tone="bad">they do not balance</Badge>}
        <span className="ml-auto text-2xs text-text-3">
          store {formatBytes(stats.store_bytes)} · {formatCount(stats.stored)} spans{stats.lag > 0 && ` · ${formatCount(stats.lag)} behind`}
        </span>
      </header>
      <table className="grid-table">
        <thead>
          <tr>
            <th scope="col">Topic</th>
            {columns.map((column) => (
              <th key={column} scope="col" className="right">
                {column.replace("_", " ")}
              </th>
            ))}
            <th scope="col" className="right">dropped</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.topic} className={row.topic === "all topics" ? "font-semibold" : undefined}>
              <td className={row.topic === "all topics" ? "" : "mono"}>{row.topic}</td>
              {columns.map((column) => (
                <td key={column} className={column === "dead_lettered" && row[column] > 0 ? "num right text-bad" : "num right"}>
                  {formatCount(row[column])}
                </td>
              ))}
              <td className={dropped(row) > 0 ? "num right text-bad" : "num right"} title={Object.entries(row.dropped).map(([reason, count]) => `${reason}: ${count}`).join(", ")}>
                {formatCount(dropped(row))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
