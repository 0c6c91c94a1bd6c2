import { ChevronDown, ChevronRight, CircleX, Ghost, Link2, Sparkles, Unlink, Wrench } from "lucide-react";
import { type CSSProperties, memo } from "react";
import type { CriticalPath } from "../api/types";
import { formatCount, formatNs, plural } from "../lib/format";
import { Swatch, cx } from "../ui/basics";
import { type SpanView, type TraceModel, isLlm, isStandIn, isTool, spanView } from "./model";
import { runTimes } from "./runs";
import { lookOf } from "./time-kinds";
import type { Viewport } from "./viewport";

/** Deeper rows stand below each other: a chain of thousands would leave no room for names. */
const MAX_INDENT = 22;
const INDENT = 12;

interface RowProps {
  model: TraceModel;
  node: number;
  index: number;
  top: number;
  treeWidth: number;
  timeWidth: number;
  viewport: Viewport;
  colour: string;
  folded: boolean;
  /** Whether siblings like it follow, and can be seen. */
  run: "none" | "open" | "closed";
  selected: boolean;
  /** Whether it is found; null: nothing is sought. */
  found: boolean | null;
  path: CriticalPath["segments"] | undefined;
  /** The critical path is shown, and this row is not on it. */
  offPath: boolean;
  onSelect: (node: number) => void;
  onToggle: (node: number) => void;
  onToggleRun: (node: number) => void;
}

export const rowId = (node: number) => `span-row-${node}`;

/** Drawn again only when something of it has changed: while one scrolls, that is the rows which come into sight. */
export const Row = memo(function Row(props: RowProps) {
  const { model, node, index, top, treeWidth, run, selected, found, onSelect, onToggle, onToggleRun } = props;
  const alike = model.runs.length[node];
  // What is below the first of a closed run is not to be seen either.
  const folded = props.folded || run === "closed";
  const view = spanView(model, node);
  const level = model.depth[node] + 1;
  const children = model.children[node];
  const below = model.failedBelow[node];
  const label = view
    ? `${view.name}, ${view.agent ?? view.service}, ${formatNs(view.duration)}${model.failed[node] ? ", failed" : ""}${below ? `, ${plural(below, "error")} below` : ""}${run === "closed" ? `, the first of ${alike} alike` : ""}`
    : `missing parent ${model.id[node]}`;
  return (
    // The keys are the grid's.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
    <div
      role="row"
      id={rowId(node)}
      aria-rowindex={index + 2}
      aria-level={level}
      aria-expanded={children > 0 ? !folded : undefined}
      aria-selected={selected}
      aria-label={label}
      data-dim={found === false || props.offPath}
      className="wf-row"
      style={{ top }}
      onClick={() => onSelect(node)}
    >
      <div role="gridcell" className="wf-text flex flex-none items-center gap-1.5 overflow-hidden border-r border-line pr-2 pl-1.5" style={{ width: treeWidth }}>
        <span className="wf-guides" style={{ width: Math.min(model.depth[node], MAX_INDENT) * INDENT }} />
        {children > 0 && run !== "closed" ? (
          <button
            type="button"
            tabIndex={-1}
            aria-label={folded ? "Unfold" : "Fold"}
            onClick={(event) => {
              event.stopPropagation();
              onToggle(node);
            }}
            className="-ml-1 flex h-5 flex-none items-center rounded text-text-3 hover:bg-raised hover:text-text"
          >
            {folded ? <ChevronRight size={14} aria-hidden /> : <ChevronDown size={14} aria-hidden />}
            {folded && <span className="num pr-1 text-[10.5px]">{formatCount(model.end[node] - node - 1)}</span>}
          </button>
        ) : (
          <span className="w-[10px] flex-none" />
        )}
        {view ? (
          <>
            <Swatch colour={props.colour} />
            {run !== "none" && (
              <button
                type="button"
                tabIndex={-1}
                aria-label={run === "open" ? `Fold ${alike} alike` : `Unfold ${alike} alike`}
                title={run === "open" ? "Show the first of them alone" : `${alike} alike, one after the other: show them all`}
                onClick={(event) => {
                  event.stopPropagation();
                  onToggleRun(node);
                }}
                className={cx("num flex-none rounded border border-line px-1 text-[10.5px] leading-4 hover:bg-raised", run === "closed" ? "font-semibold text-text" : "text-text-3")}
              >
                ×{formatCount(alike)}
              </button>
            )}
            <span className={cx("truncate", model.failed[node] ? "font-medium text-bad" : "text-text", found && "rounded-sm bg-mark")}>{view.name || "(no name)"}</span>
            <span className="min-w-0 flex-1 truncate text-2xs text-text-3">{whose(view)}</span>
            <Marks failed={model.failed[node] === 1} below={folded ? below : 0} links={view.links} llm={isLlm(view)} tool={isTool(view)} standIn={isStandIn(view)} />
          </>
        ) : (
          <>
            <Unlink size={13} aria-hidden className="flex-none text-warn" />
            <span className="truncate text-warn italic">parent is missing</span>
            <span className="mono min-w-0 flex-1 truncate text-2xs! text-text-3">{model.id[node]}</span>
          </>
        )}
      </div>
      <div role="gridcell" className="relative min-w-0 flex-1 overflow-hidden">
        <Timeline {...props} />
      </div>
    </div>
  );
});

/** Of a hop of the bus its topic, of a handler its agent too; of anything else whose it is. */
function whose(view: SpanView): string {
  const agent = view.agent ?? view.service;
  if (view.topic === null) return agent;
  return view.service === "loom" ? view.topic : `${agent} · ${view.topic}`;
}

function Marks({ failed, below, links, llm, tool, standIn }: { failed: boolean; below: number; links: number; llm: boolean; tool: boolean; standIn: boolean }) {
  return (
    <span className="flex flex-none items-center gap-1 text-text-3">
      {llm && <Sparkles size={12} aria-label="call of a model" />}
      {tool && <Wrench size={12} aria-label="tool" />}
      {links > 0 && <Link2 size={12} aria-label={plural(links, "link")} />}
      {standIn && <Ghost size={12} aria-label="stands in for a span that was lost" />}
      {failed && <CircleX size={13} className="text-bad" aria-label="failed" />}
      {!failed && below > 0 && (
        <span className="num flex items-center gap-0.5 rounded border border-bad px-1 text-[10px] leading-[14px] text-bad" title={`${plural(below, "error")} below`}>
          {below}
        </span>
      )}
    </span>
  );
}

function Timeline({ model, node, timeWidth, viewport, colour, run, path, ...props }: RowProps) {
  const folded = props.folded || run === "closed";
  const all = run === "closed" ? runTimes(model, node) : null;
  const view = spanView(model, node);
  const width = viewport.to - viewport.from;
  const at = (ns: number) => ((ns / model.duration - viewport.from) / width) * 100;
  const [left, right] = [at(model.start[node]), at(model.stop[node])];
  const late = at(all?.latest ?? model.latest[node]);
  const wait = view && view.wait > 0 ? at(model.start[node] - view.wait) : left;
  if (Math.max(right, folded ? late : right) < 0) return <span className="wf-label left-1">◂</span>;
  if (wait > 100) return <span className="wf-label right-1">▸</span>;
  const standIn = view === null || isStandIn(view);
  const failed = model.failed[node] === 1;
  // Far outside of what is seen an element would be millions of pixels wide.
  const span = (from: number, to: number): CSSProperties => {
    const [low, high] = [Math.max(-1, from), Math.min(101, to)];
    return { left: `${low}%`, width: `${Math.max(0, high - low)}%` };
  };
  const text = all
    ? `${formatNs(view?.duration)} · all ${formatNs(all.sum)}`
    : view === null
      ? "not told yet, or lost"
      : view.wait > 0
        ? `${formatNs(view.duration)} · wait ${formatNs(view.wait)}`
        : formatNs(view.duration);
  const end = Math.max(right, folded ? late : right);
  // What the text needs, in hundredths of the width: digits of this size are six pixels wide.
  const room = ((text.length * 6 + 14) / Math.max(1, timeWidth)) * 100;
  const label: CSSProperties =
    end < 100 - room
      ? { left: `calc(${Math.max(0, end)}% + 6px)` }
      : wait > room
        ? { right: `calc(${100 - Math.max(0, wait)}% + 6px)` }
        : { right: 0, background: "var(--surface)", paddingLeft: 5, paddingRight: 6 };
  return (
    <>
      {wait < left && <span className="wf-bar hatched" style={{ ...span(wait, left), color: "var(--c4)" }} title={`waited ${formatNs(view?.wait)} in the mailbox`} />}
      {folded && late > right && <span className="absolute h-[2px] opacity-60" style={{ ...span(right, late), top: 12, background: colour }} />}
      <span
        className={cx("wf-bar", standIn && "border border-dashed")}
        style={{ ...span(left, right), background: standIn ? "transparent" : colour, borderColor: view ? colour : "var(--warn)" }}
      />
      {failed && <span className="wf-bar" style={{ ...span(left, right), top: 16, height: 2, background: "var(--bad)" }} />}
      {path?.map((segment) => {
        const look = lookOf(segment.kind);
        return (
          <span
            key={`${segment.from} ${segment.kind}`}
            className={cx("absolute h-[5px] min-w-[2px] rounded-[1px]", look.hatched && "hatched")}
            style={{ ...span(at(segment.from), at(segment.to)), top: 20, color: look.colour, background: look.hatched ? undefined : look.colour }}
            title={`${look.name}: ${formatNs(segment.to - segment.from)}`}
          />
        );
      })}
      <span className="wf-label" style={label}>
        {text}
      </span>
    </>
  );
}
