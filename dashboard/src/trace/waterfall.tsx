// The tree of spans beside its time: only the rows that are to be seen are in the document, however many there are.
import { useVirtualizer } from "@tanstack/react-virtual";
import { type PointerEvent, type WheelEvent, useEffect, useMemo, useRef, useState } from "react";
import type { CriticalPath } from "../api/types";
import { formatNs } from "../lib/format";
import { setPrefs, usePrefs } from "../lib/prefs";
import { useSize } from "../lib/size";
import { Splitter } from "../ui/splitter";
import { type Action, actionOf } from "./keys";
import type { TraceModel } from "./model";
import { Row, rowId } from "./row";
import { type Folding, isFolded, isRunOpen, rowOf } from "./rows";
import { type Viewport, clamp, pan, ticks, zoom } from "./viewport";

const ROW = 26;
const HEAD = 28;
/** Pixels of the tree beside the time. */
const TREE = { least: 140, most: 900 };

const setTreeWidth = (width: number) => setPrefs({ treeWidth: Math.min(TREE.most, Math.max(TREE.least, width)) });

interface WaterfallProps {
  model: TraceModel;
  rows: Int32Array;
  colours: string[];
  selected: number;
  folding: Folding;
  found: Uint8Array | null;
  /** Only what is found is shown, whatever is folded. */
  filtered: boolean;
  path: CriticalPath | null;
  viewport: Viewport;
  onViewport: (viewport: Viewport) => void;
  onSelect: (node: number) => void;
  onToggle: (node: number) => void;
  onToggleRun: (node: number) => void;
  onAction: (action: Action, pageRows: number) => void;
}

export function Waterfall(props: WaterfallProps) {
  const { model, rows, colours, selected, folding, found, filtered, path, viewport, onViewport, onSelect, onToggle, onToggleRun, onAction } = props;
  const { treeWidth: wished } = usePrefs();
  const box = useRef<HTMLDivElement>(null);
  const width = useSize(box)?.width ?? 1000;
  const treeWidth = Math.max(TREE.least, Math.min(wished, width * 0.65));

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 10,
    scrollMargin: HEAD,
    scrollPaddingStart: HEAD + ROW,
    scrollPaddingEnd: ROW * 2,
  });
  const row = selected >= 0 ? rowOf(rows, model, selected) : -1;
  const { scrollToIndex } = virtual;
  useEffect(() => {
    if (row >= 0) scrollToIndex(row, { align: "auto" });
  }, [row, scrollToIndex]);

  const segments = useMemo(() => {
    const bySpan = new Map<string, CriticalPath["segments"]>();
    for (const segment of path?.segments ?? []) {
      const before = bySpan.get(segment.span_id);
      if (before) before.push(segment);
      else bySpan.set(segment.span_id, [segment]);
    }
    return bySpan;
  }, [path]);

  // The same functions for all rows and all renders, so that rows stay as they are.
  const latest = useRef({ onSelect, onToggle, onToggleRun });
  useEffect(() => {
    latest.current = { onSelect, onToggle, onToggleRun };
  });
  const [handlers] = useState(() => ({
    select: (node: number) => latest.current.onSelect(node),
    toggle: (node: number) => latest.current.onToggle(node),
    toggleRun: (node: number) => latest.current.onToggleRun(node),
  }));

  const timeWidth = Math.max(0, width - treeWidth);
  const marks = useMemo(
    () => ticks(viewport.from * model.duration, viewport.to * model.duration, Math.max(1, Math.floor(timeWidth / 110))),
    [viewport, model.duration, timeWidth],
  );
  const placeOf = (ns: number) => `${((ns / model.duration - viewport.from) / (viewport.to - viewport.from)) * 100}%`;

  const onWheel = (event: WheelEvent) => {
    // Only with a modifier (a pinch on a trackpad is one): who scrolls the list does not want to lose his place in time.
    if (!event.ctrlKey && !event.altKey && !(event.shiftKey && event.deltaX === 0)) return;
    const rect = box.current?.getBoundingClientRect();
    if (!rect) return;
    const at = Math.min(1, Math.max(0, (event.clientX - rect.left - treeWidth) / timeWidth));
    if (event.shiftKey) onViewport(pan(viewport, event.deltaY / 500));
    else onViewport(zoom(viewport, Math.exp(event.deltaY / 200), at));
  };
  // React listens passively, and then the browser would zoom the page.
  useEffect(() => {
    const element = box.current;
    const stop = (event: globalThis.WheelEvent) => {
      if (event.ctrlKey || event.altKey) event.preventDefault();
    };
    element?.addEventListener("wheel", stop, { passive: false });
    return () => element?.removeEventListener("wheel", stop);
  }, []);

  return (
    <div
      ref={box}
      role="treegrid"
      aria-label="Spans of the trace"
      aria-rowcount={rows.length + 1}
      aria-colcount={2}
      aria-activedescendant={row >= 0 ? rowId(rows[row]) : undefined}
      tabIndex={0}
      data-waterfall
      className="relative min-h-0 flex-1 overflow-x-hidden overflow-y-auto bg-surface outline-offset-[-1px]! focus-visible:outline-1!"
      onWheel={onWheel}
      onKeyDown={(event) => {
        if (event.target instanceof HTMLInputElement) return;
        const action = actionOf(event);
        if (!action) return;
        event.preventDefault();
        onAction(action, Math.max(1, Math.floor((box.current?.clientHeight ?? 400) / ROW) - 2));
      }}
    >
      <div role="rowgroup" className="sticky top-0 z-10">
        <div role="row" aria-rowindex={1} className="flex border-b border-line bg-surface" style={{ height: HEAD }}>
          <div role="columnheader" className="label relative flex flex-none items-center border-r border-line pl-3" style={{ width: treeWidth }}>
            Span
            <Splitter name="Width of the tree" edge="right" width={treeWidth} least={TREE.least} most={TREE.most} onWidth={setTreeWidth} />
          </div>
          <div role="columnheader" aria-label="Time" className="relative flex-1 overflow-hidden">
            <Brush viewport={viewport} onViewport={onViewport}>
              {marks.map((ns) => (
                <span key={ns} className="num absolute top-1.5 border-l border-line pl-1 text-2xs text-text-3" style={{ left: placeOf(ns) }}>
                  {formatNs(ns)}
                </span>
              ))}
            </Brush>
          </div>
        </div>
      </div>
      <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
        <div role="presentation" className="wf-gridlines" style={{ left: treeWidth }}>
          {marks.map((ns) => (
            <i key={ns} style={{ left: placeOf(ns) }} />
          ))}
        </div>
        {virtual.getVirtualItems().map((item) => {
          const node = rows[item.index];
          const onPath = segments.get(model.id[node]);
          return (
            <Row
              key={node}
              model={model}
              node={node}
              index={item.index}
              top={item.start - HEAD}
              treeWidth={treeWidth}
              timeWidth={timeWidth}
              viewport={viewport}
              colour={colours[node]}
              folded={!filtered && model.children[node] > 0 && isFolded(folding, model.id[node])}
              run={filtered ? "none" : model.runs.length[node] === 0 ? "none" : isRunOpen(folding, model.id[node]) ? "open" : "closed"}
              selected={item.index === row}
              found={found === null ? null : found[node] === 1}
              path={onPath}
              offPath={path !== null && onPath === undefined}
              onSelect={handlers.select}
              onToggle={handlers.toggle}
              onToggleRun={handlers.toggleRun}
            />
          );
        })}
      </div>
    </div>
  );
}

/** Dragging over the axis shows that part. */
function Brush({ viewport, onViewport, children }: { viewport: Viewport; onViewport: (viewport: Viewport) => void; children: React.ReactNode }) {
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const at = (event: PointerEvent) => {
    const rect = event.currentTarget.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - rect.left) / rect.width));
  };
  const [from, to] = drag ? [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)] : [0, 0];
  return (
    <div
      className="absolute inset-0 cursor-col-resize touch-none select-none"
      title="Drag to zoom"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag({ from: at(event), to: at(event) });
      }}
      onPointerMove={(event) => drag && setDrag({ ...drag, to: at(event) })}
      onPointerUp={() => {
        const wide = viewport.to - viewport.from;
        if (to - from > 0.01) onViewport(clamp({ from: viewport.from + from * wide, to: viewport.from + to * wide }));
        setDrag(null);
      }}
      onPointerCancel={() => setDrag(null)}
    >
      {children}
      {drag && <span className="absolute inset-y-0 bg-accent opacity-25" style={{ left: `${from * 100}%`, width: `${(to - from) * 100}%` }} />}
    </div>
  );
}
