import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { workflowsQuery } from "../api/queries";
import { formatCount, formatMs, formatRatio } from "../lib/format";
import { keepRange, useQueryState, useTimeRange } from "../lib/query-state";
import { rangeParams } from "../lib/time-range";
import { PageHead } from "../ui/basics";
import { Listing, goRow } from "../ui/listing";
import { Snippet } from "../ui/states";
import { AgentNames, When } from "../ui/values";

export function WorkflowsPage() {
  const [search, set] = useQueryState();
  const [range] = useTimeRange();
  const navigate = useNavigate();
  const query = useQuery(workflowsQuery(rangeParams(range)));
  const workflows = query.data?.items ?? [];
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Workflows" sub="runs that carry the same workflow id" />
      <div className="flex min-h-0 flex-1 flex-col px-5 pb-4">
        <Listing
          what="workflows"
          query={query}
          count={workflows.length}
          nextCursor={query.data?.next_cursor}
          search={search}
          set={set}
          filters={[]}
          empty={
            <>
              <p>No span of this time names a workflow. In an agent, what belongs to one is said once:</p>
              <Snippet>{'with loom.workflow("my-workflow"):'}</Snippet>
            </>
          }
        >
          <table className="grid-table">
            <thead>
              <tr>
                <th scope="col">Workflow</th>
                <th scope="col">Agents</th>
                <th scope="col" className="right">Runs</th>
                <th scope="col" className="right">Executions</th>
                <th scope="col" className="right">Errors</th>
                <th scope="col" className="right">p50</th>
                <th scope="col" className="right">p95</th>
                <th scope="col" className="right">Last run</th>
              </tr>
            </thead>
            <tbody>
              {workflows.map((one) => (
                <tr key={one.workflow_id} {...goRow(() => void navigate({ to: "/workflows/$workflowId", params: { workflowId: one.workflow_id }, search: keepRange }))}>
                  <td className="font-medium">
                    <Link to="/workflows/$workflowId" params={{ workflowId: one.workflow_id }} search={keepRange} className="hover:underline" tabIndex={-1}>
                      {one.workflow_id}
                    </Link>
                  </td>
                  <td>
                    <AgentNames ids={one.agents} most={6} />
                  </td>
                  <td className="num right">{formatCount(one.traces)}</td>
                  <td className="num right">{formatCount(one.executions)}</td>
                  <td className={one.errors > 0 ? "num right text-bad" : "num right text-text-3"}>{formatRatio(one.error_rate)}</td>
                  <td className="num right">{formatMs(one.p50_ms)}</td>
                  <td className="num right">{formatMs(one.p95_ms)}</td>
                  <td className="right text-text-2">
                    <When time={one.last_at} ago />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Listing>
      </div>
    </div>
  );
}
