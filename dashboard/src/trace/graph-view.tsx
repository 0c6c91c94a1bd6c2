import { useMemo } from "react";
import type { Edge, Topology } from "../api/types";
import { formatCount, formatMs, isKnown, plural } from "../lib/format";
import { nodeId } from "../live/map";
import { LiveMap } from "../live/map-view";
import { TopologyTable } from "../live/table-view";
import { Notice } from "../ui/states";
import { Share2 } from "lucide-react";
import { handoffs } from "./handoffs";
import { type TraceModel, spanView } from "./model";

const edgeText = (edge: Edge) => `${formatCount(edge.count)}×${isKnown(edge.p95_ms) ? ` · ${formatMs(edge.p95_ms)}` : ""}`;
const agentText = (agent: Topology["agents"][number]) => `${plural(agent.executions_per_s, "span")}`;

interface GraphProps {
  model: TraceModel;
  selected: number;
  onSelect: (node: number) => void;
}

/** Which agents took part, and what they handed to each other. Pressing one selects its first span. */
export function GraphView({ model, selected, onSelect }: GraphProps) {
  const topology = useMemo(() => handoffs(model), [model]);
  const view = selected >= 0 ? spanView(model, selected) : null;
  const focus = view ? nodeId(view.service === "loom" && view.topic ? { kind: "topic", id: view.topic } : { kind: "agent", id: view.agent ?? view.service }) : null;
  const known = focus !== null && (topology.agents.some((agent) => `agent:${agent.agent_id}` === focus) || topology.edges.some((edge) => nodeId(edge.to) === focus || nodeId(edge.from) === focus));
  const select = (id: string | null) => {
    if (id === null) return;
    for (let node = 0; node < model.count; node += 1) {
      const one = spanView(model, node);
      if (one && (id === `agent:${one.agent ?? one.service}` ? one.service !== "loom" : id === `topic:${one.topic}`)) {
        onSelect(node);
        return;
      }
    }
  };
  if (topology.edges.length === 0) {
    return (
      <Notice icon={Share2} title="Nothing was handed over">
        <p>No event and no call went from one agent to another in this trace.</p>
      </Notice>
    );
  }
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="relative min-h-[260px] flex-1">
        <LiveMap topology={topology} edgeText={edgeText} agentText={agentText} inOrder focus={known ? focus : null} onFocus={select} />
      </div>
      <details className="max-h-[40%] flex-none overflow-auto border-t border-line bg-surface">
        <summary className="px-5 py-2 text-xs text-text-2">As a table; rates are counts of this trace</summary>
        <TopologyTable topology={topology} />
      </details>
    </div>
  );
}
