import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { SearchX } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { api } from "../api/client";
import { isMissing, tracesQuery } from "../api/queries";
import type { Edge, Topology, WorkflowDetail } from "../api/types";
import { formatCount, formatMs, isKnown, plural } from "../lib/format";
import { rangeWith, useTimeRange } from "../lib/query-state";
import { rangeParams } from "../lib/time-range";
import { edgesFrom, nodeId } from "../live/map";
import { TopologyTable } from "../live/table-view";
import { MetricCharts } from "../metrics/charts";
import { buttonClass, cx, PageHead } from "../ui/basics";
import { Failure, Loading, Notice } from "../ui/states";
import { TraceTable } from "./traces";

const LiveMap = lazy(() => import("../live/map-view").then((module) => ({ default: module.LiveMap })));

export function WorkflowPage() {
  const { workflowId } = useParams({ from: "/workflows/$workflowId" });
  const [range] = useTimeRange();
  const params = rangeParams(range);
  const workflow = useQuery({ queryKey: ["workflows", workflowId, "one", params], queryFn: ({ signal }) => api.workflow(workflowId, params, signal) });
  const metrics = useQuery({ queryKey: ["workflows", workflowId, "metrics", params], queryFn: ({ signal }) => api.workflowMetrics(workflowId, params, signal) });
  const runs = useQuery(tracesQuery({ workflow: workflowId, ...params, limit: 25 }));
  if (workflow.isPending) return <Loading what="the workflow" />;
  if (workflow.isError) {
    return isMissing(workflow.error) ? (
      <Notice page icon={SearchX} title="Nothing is known of this workflow in this time">
        <p className="mono [overflow-wrap:anywhere]">{workflowId}</p>
      </Notice>
    ) : (
      <Failure error={workflow.error} retry={() => void workflow.refetch()} />
    );
  }
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-y-auto" tabIndex={0} role="region" aria-label="Workflow">
      <PageHead title={<span className="[overflow-wrap:anywhere]">{workflowId}</span>} sub={`workflow · ${formatCount(workflow.data.traces)} runs`}>
        <Link to="/traces" search={rangeWith({ workflow: workflowId })} className={buttonClass()}>
          All runs
        </Link>
      </PageHead>
      <div className="space-y-3 px-5 pb-6">
        {metrics.isPending ? <Loading what="the figures" /> : metrics.isError ? <Failure error={metrics.error} retry={() => void metrics.refetch()} /> : <MetricCharts metrics={metrics.data} />}
        <Steps workflow={workflow.data} begin={runs.data?.items[0]?.root_service ?? null} />
        <section className="card overflow-x-auto" aria-label="Last runs">
          <h2 className="px-4 pt-3 pb-1 text-xs font-semibold">Last runs</h2>
          {runs.isPending ? <Loading what="runs" /> : runs.isError ? <Failure error={runs.error} retry={() => void runs.refetch()} /> : <TraceTable traces={runs.data.items} />}
        </section>
      </div>
    </div>
  );
}

/** What its agents hand to each other, as a map and as a table. `begin`: the service in which a run of it began. */
function Steps({ workflow, begin }: { workflow: WorkflowDetail; begin: string | null }) {
  const [focus, setFocus] = useState<string | null>(null);
  const first = workflow.agents.find((agent) => begin === `agent-${agent}`);
  const edges = first === undefined ? workflow.steps : edgesFrom(workflow.steps, nodeId({ kind: "agent", id: first }));
  if (edges.length === 0) return null;
  const topology: Topology = {
    window_s: 0,
    at: "",
    seq: "",
    agents: workflow.agents.map((agent_id) => {
      const into = edges.filter((edge) => edge.to.kind === "agent" && edge.to.id === agent_id);
      const count = into.reduce((sum, edge) => sum + edge.count, 0);
      const errors = into.reduce((sum, edge) => sum + edge.errors, 0);
      return { agent_id, state: "connected", executions_per_s: count, errors_per_s: errors, p95_ms: null };
    }),
    topics: [],
    edges,
  };
  return (
    <section className="card overflow-hidden" aria-label="Steps">
      <h2 className="px-4 pt-3 pb-1 text-xs font-semibold">Steps</h2>
      {/* A long way from agent to agent goes down, where it can be read. */}
      <div className={cx("relative", edges.length > 12 ? "h-[700px]" : "h-[420px]")}>
        <Suspense fallback={<Loading what="the steps" />}>
          <LiveMap topology={topology} edgeText={edgeText} agentText={agentText} inOrder={first !== undefined} focus={focus} onFocus={setFocus} />
        </Suspense>
      </div>
      <details className="border-t border-line">
        <summary className="px-4 py-2 text-xs text-text-2">As a table</summary>
        <TopologyTable topology={topology} />
      </details>
    </section>
  );
}

const edgeText = (edge: Edge) => `${formatCount(edge.count)}×${edge.kind !== "publish" && isKnown(edge.p95_ms) ? ` · ${formatMs(edge.p95_ms)}` : ""}`;
/** Of a workflow's agent its runs stand where the live map has their rate. */
const agentText = (agent: Topology["agents"][number]) => plural(agent.executions_per_s, "execution");
