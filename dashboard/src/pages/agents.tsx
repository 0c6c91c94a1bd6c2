import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleCheck, CircleOff } from "lucide-react";
import { agentsQuery } from "../api/queries";
import type { Agent } from "../api/types";
import { formatCount, formatMs, formatRatio, plural } from "../lib/format";
import { keepRange, useQueryState } from "../lib/query-state";
import { useThrottled } from "../lib/throttled";
import { useLive } from "../live/use-live";
import { Badge, PageHead } from "../ui/basics";
import { Choice } from "../ui/filters";
import { Listing, goRow } from "../ui/listing";
import { Snippet } from "../ui/states";
import { AgentName, When } from "../ui/values";

export function AgentState({ state }: { state: Agent["state"] }) {
  return state === "connected" ? (
    <Badge tone="ok" icon={CircleCheck}>
      connected
    </Badge>
  ) : (
    <Badge icon={CircleOff} title="Seen in spans, and not connected now">
      gone
    </Badge>
  );
}

export function AgentsPage() {
  const [search, set] = useQueryState();
  const query = useQuery(agentsQuery());
  const again = useThrottled(() => void query.refetch(), 2_000);
  useLive("agents", { onData: again, onReset: again });
  const all = query.data?.items ?? [];
  const agents = search.state ? all.filter((agent) => agent.state === search.state) : all;
  const connected = all.filter((agent) => agent.state === "connected").length;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Agents" sub={query.data && `${plural(connected, "agent")} connected, ${formatCount(all.length - connected)} gone · figures of the last hour`}>
        <Choice name="State" value={search.state ?? ""} options={[["", "any"], ["connected", "connected"], ["gone", "gone"]]} onChange={(state) => set({ state: state || undefined })} />
      </PageHead>
      <div className="flex min-h-0 flex-1 flex-col px-5 pb-4">
        <Listing
          what="agents"
          query={query}
          count={agents.length}
          nextCursor={null}
          search={search}
          set={set}
          filters={["state"]}
          empty={
            <>
              <p>No agent is connected, and no span tells of one.</p>
              <Snippet>loom run demo/trace-test</Snippet>
            </>
          }
        >
          <AgentTable agents={agents} />
        </Listing>
      </div>
    </div>
  );
}

function AgentTable({ agents }: { agents: Agent[] }) {
  const navigate = useNavigate();
  return (
    <table className="grid-table">
      <thead>
        <tr>
          <th scope="col">Agent</th>
          <th scope="col">State</th>
          <th scope="col" className="right">Executions</th>
          <th scope="col" className="right">Errors</th>
          <th scope="col" className="right">p50</th>
          <th scope="col" className="right">p95</th>
          <th scope="col">Subscriptions and capabilities</th>
          <th scope="col" className="right">Last seen</th>
        </tr>
      </thead>
      <tbody>
        {agents.map((agent) => {
          const offers = [...agent.subscriptions.map((one) => one.pattern), ...agent.capabilities.map((one) => `${one.name}()`)];
          return (
            <tr key={agent.agent_id} {...goRow(() => void navigate({ to: "/agents/$agentId", params: { agentId: agent.agent_id }, search: keepRange }))}>
              <td className="font-medium">
                <AgentName id={agent.agent_id} />
              </td>
              <td>
                <AgentState state={agent.state} />
              </td>
              <td className="num right">{formatCount(agent.activity.executions)}</td>
              <td className={agent.activity.errors > 0 ? "num right text-bad" : "num right text-text-3"}>
                {formatRatio(agent.activity.error_rate)}
              </td>
              <td className="num right">{formatMs(agent.activity.p50_ms)}</td>
              <td className="num right">{formatMs(agent.activity.p95_ms)}</td>
              <td className="mono max-w-[300px]! text-text-3" title={offers.join(", ")}>
                {offers.join(", ") || "–"}
              </td>
              <td className="right text-text-2">
                <When time={agent.last_seen_at} ago />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
