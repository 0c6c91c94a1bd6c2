import { Background, BaseEdge, type Edge as FlowEdge, EdgeLabelRenderer, type EdgeProps, Handle, type Node as FlowNode, type NodeProps, Position, ReactFlow, getBezierPath, useReactFlow } from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { Maximize2, ZoomIn, ZoomOut } from "lucide-react";
import { useEffect, useMemo, useRef } from "react";
import type { Edge, Topology } from "../api/types";
import { colourOf } from "../lib/colour";
import { formatMs, formatRate, isKnown } from "../lib/format";
import { type Size, useSize } from "../lib/size";
import { IconButton, cx } from "../ui/basics";
import { type Direction, MOST_ANIMATED, around, edgeId, nodeId, place, shapeOf, thickness } from "./map";

type MapNode = FlowNode<{ topology: Topology; text: NonNullable<MapProps["agentText"]>; dim: boolean; id: string; selected: boolean; direction: Direction }>;
type MapEdge = FlowEdge<{ edge: Edge; text: string; dim: boolean; still: boolean }>;

const rateText = (edge: Edge) => `${formatRate(edge.per_s)}${edge.kind !== "publish" && isKnown(edge.p95_ms) ? ` · ${formatMs(edge.p95_ms)}` : ""}`;
const agentRates: NonNullable<MapProps["agentText"]> = (agent) => `${formatRate(agent.executions_per_s)} · p95 ${formatMs(agent.p95_ms)}`;

interface MapProps {
  topology: Topology;
  /** What stands on an edge and below an agent's name, where it is not the rates of a live map. */
  edgeText?: (edge: Edge) => string;
  agentText?: (agent: Topology["agents"][number]) => string;
  /** The edges stand in the order in which they happened. */
  inOrder?: boolean;
  focus: string | null;
  onFocus: (focus: string | null) => void;
}

/** Agents and topics with what goes between them. The table beside it says the same in words. */
export function LiveMap(props: MapProps) {
  const box = useRef<HTMLDivElement>(null);
  // In steps: a few pixels more or less are no reason to draw another picture.
  const room = useSize(box, 160);
  return (
    <div ref={box} className="absolute inset-0">
      {room && <Drawing {...props} room={room} />}
    </div>
  );
}

function Drawing({ topology, edgeText = rateText, agentText = agentRates, inOrder, focus, onFocus, room }: MapProps & { room: Size }) {
  const shape = shapeOf(topology);
  // Only what is there decides where it stands; how much goes through it does not.
  // oxlint-disable-next-line react/exhaustive-deps
  const { nodes: placed, direction } = useMemo(() => place(topology, room, inOrder), [shape, room, inOrder]);
  const [from, to] = direction === "LR" ? [Position.Right, Position.Left] : [Position.Bottom, Position.Top];
  const near = useMemo(() => (focus ? around(topology, focus) : null), [topology, focus]);
  const nodes: MapNode[] = placed.map((one) => ({
    id: one.id,
    type: one.node.kind,
    position: { x: one.x, y: one.y },
    width: one.width,
    height: one.height,
    data: { topology, text: agentText, id: one.node.id, dim: near !== null && !near.has(one.id), selected: focus === one.id, direction },
    ariaLabel: `${one.node.kind} ${one.node.id}`,
    sourcePosition: from,
    targetPosition: to,
  }));
  const edges: MapEdge[] = topology.edges.map((edge) => {
    const [source, target] = [nodeId(edge.from), nodeId(edge.to)];
    return { id: edgeId(edge), source, target, type: "rate", data: { edge, text: edgeText(edge), dim: focus !== null && source !== focus && target !== focus, still: topology.edges.length > MOST_ANIMATED } };
  });
  return (
    <ReactFlow
      key={`${direction} ${shape}`}
      nodes={nodes}
      edges={edges}
      nodeTypes={NODES}
      edgeTypes={EDGES}
      fitView
      fitViewOptions={FIT}
      minZoom={0.1}
      maxZoom={2}
      nodesDraggable={false}
      nodesConnectable={false}
      edgesFocusable={false}
      elementsSelectable
      proOptions={{ hideAttribution: true }}
      onNodeClick={(_, node) => onFocus(node.id === focus ? null : node.id)}
      onPaneClick={() => onFocus(null)}
      aria-label="Map of agents and topics"
    >
      <Background gap={20} size={1} color="var(--line)" />
      <Controls room={room} />
    </ReactFlow>
  );
}

/** With room below for the buttons. */
const FIT = { padding: { top: "24px", right: "24px", bottom: "60px", left: "24px" } as const, maxZoom: 1.2 };

function Controls({ room }: { room: Size }) {
  const flow = useReactFlow();
  const { fitView } = flow;
  // In another room the whole has to be seen again.
  useEffect(() => {
    const frame = requestAnimationFrame(() => void fitView(FIT));
    return () => cancelAnimationFrame(frame);
    // The room is not read here: its change is the reason.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [room, fitView]);
  return (
    <div className="absolute bottom-3 left-3 z-10 flex rounded-md border border-line bg-surface">
      <IconButton icon={ZoomIn} name="Zoom in" onClick={() => void flow.zoomIn()} />
      <IconButton icon={ZoomOut} name="Zoom out" onClick={() => void flow.zoomOut()} />
      <IconButton icon={Maximize2} name="Show all" onClick={() => void fitView(FIT)} />
    </div>
  );
}

function Ports({ direction }: { direction: Direction }) {
  const [from, to] = direction === "LR" ? [Position.Right, Position.Left] : [Position.Bottom, Position.Top];
  return (
    <>
      <Handle type="target" position={to} isConnectable={false} className="opacity-0" />
      <Handle type="source" position={from} isConnectable={false} className="opacity-0" />
    </>
  );
}

function AgentNode({ data }: NodeProps<MapNode>) {
  const agent = data.topology.agents.find((one) => one.agent_id === data.id);
  const gone = agent?.state === "gone";
  const bad = (agent?.errors_per_s ?? 0) > 0;
  return (
    <div className={cx("flex h-full w-full overflow-hidden rounded-lg border bg-surface shadow-sm", data.selected ? "border-accent" : "border-line-strong", data.dim && "opacity-50", gone && "border-dashed")}>
      <Ports direction={data.direction} />
      <span aria-hidden className="w-1 flex-none" style={{ background: colourOf(data.id) }} />
      <div className="min-w-0 flex-1 px-2.5 py-1.5">
        <div className="flex items-center gap-1.5">
          <span className="min-w-0 flex-1 truncate text-[13px] font-medium">{data.id}</span>
          {gone && <span className="text-[10px] text-text-3">gone</span>}
          {bad && !gone && <span className="rounded bg-bad-soft px-1 text-[10px] font-medium text-bad">errors</span>}
        </div>
        <div className="num text-2xs text-text-3">
          {agent ? data.text(agent) : "–"}
        </div>
      </div>
    </div>
  );
}

function TopicNode({ data }: NodeProps<MapNode>) {
  return (
    <div className={cx("flex h-full w-full items-center rounded-full border bg-raised px-3", data.selected ? "border-accent" : "border-line", data.dim && "opacity-50")}>
      <Ports direction={data.direction} />
      <span className="mono min-w-0 flex-1 truncate text-center text-[11.5px]!">{data.id}</span>
    </div>
  );
}

function RateEdge({ id, sourceX, sourceY, targetX, targetY, sourcePosition, targetPosition, data }: EdgeProps<MapEdge>) {
  const [path, x, y] = getBezierPath({ sourceX, sourceY, targetX, targetY, sourcePosition, targetPosition });
  if (!data) return null;
  const { edge, text, dim, still } = data;
  const bad = edge.errors > 0;
  const moves = !still && edge.per_s > 0;
  return (
    <>
      <BaseEdge
        id={id}
        path={path}
        className={moves ? "flow-edge" : undefined}
        style={{ stroke: bad ? "var(--bad)" : "var(--line-strong)", strokeWidth: thickness(edge.per_s), opacity: dim ? 0.25 : 1, strokeDasharray: edge.kind === "call" ? "2 4" : undefined }}
      />
      {!dim && (
        <EdgeLabelRenderer>
          <span className={cx("num absolute rounded bg-bg px-1 text-[10.5px]", bad ? "text-bad" : "text-text-3")} style={{ transform: `translate(-50%, -50%) translate(${x}px, ${y}px)` }}>
            {text}
          </span>
        </EdgeLabelRenderer>
      )}
    </>
  );
}

const NODES = { agent: AgentNode, topic: TopicNode };
const EDGES = { rate: RateEdge };
