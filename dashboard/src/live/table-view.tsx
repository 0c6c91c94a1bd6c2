import type { Topology } from "../api/types";
import { formatCount, formatMs, formatRate } from "../lib/format";
import { AgentName } from "../ui/values";
import { edgeId } from "./map";

const WORDS = { publish: "publishes to", deliver: "is delivered to", call: "calls" };

/** The map in words: for those who do not see it, and for copying. */
export function TopologyTable({ topology }: { topology: Topology }) {
  const edges = [...topology.edges].sort((a, b) => b.per_s - a.per_s);
  return (
    <table className="grid-table">
      <thead>
        <tr>
          <th scope="col">From</th>
          <th scope="col">How</th>
          <th scope="col">To</th>
          <th scope="col" className="right">Rate</th>
          <th scope="col" className="right">p50</th>
          <th scope="col" className="right">p95</th>
          <th scope="col" className="right">Errors</th>
        </tr>
      </thead>
      <tbody>
        {edges.map((edge) => (
          <tr key={edgeId(edge)}>
            <td>{edge.from.kind === "agent" ? <AgentName id={edge.from.id} /> : <span className="mono">{edge.from.id}</span>}</td>
            <td className="text-text-3">{WORDS[edge.kind]}</td>
            <td>{edge.to.kind === "agent" ? <AgentName id={edge.to.id} /> : <span className="mono">{edge.to.id}</span>}</td>
            <td className="num right">{formatRate(edge.per_s)}</td>
            <td className="num right">{formatMs(edge.p50_ms)}</td>
            <td className="num right">{formatMs(edge.p95_ms)}</td>
            <td className={edge.errors > 0 ? "num right text-bad" : "num right text-text-3"}>{formatCount(edge.errors)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
