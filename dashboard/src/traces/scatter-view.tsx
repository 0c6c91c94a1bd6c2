import { useNavigate } from "@tanstack/react-router";
import { type PointerEvent, useEffect, useMemo, useRef, useState } from "react";
import type { TraceSummary } from "../api/types";
import { drawingOn } from "../lib/canvas";
import { formatClock, formatNs } from "../lib/format";
import { usePrefs, useShownTheme } from "../lib/prefs";
import { keepRange } from "../lib/query-state";
import { useSize } from "../lib/size";
import { ticks } from "../trace/viewport";
import { type Point, durationAt, hit, pointsOf, scalesOf, timeAt, xOf, yOf } from "./scatter";

const HEIGHT = 150;
const LEFT = 56;
const TOP = 10;
const BOTTOM = 20;

export interface Selection {
  from: number;
  to: number;
  min: number;
  max: number;
}

interface ScatterProps {
  traces: TraceSummary[];
  range: { from: number; to: number };
  onSelect: (selection: Selection) => void;
}

/** The list below says the same in words; dragging over the points chooses some of them. */
export function Scatter({ traces, range, onSelect }: ScatterProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const width = useSize(box)?.width ?? 800;
  const [over, setOver] = useState<Point | null>(null);
  const [drag, setDrag] = useState<{ x0: number; y0: number; x1: number; y1: number } | null>(null);
  const theme = useShownTheme();
  const { zone } = usePrefs();
  const navigate = useNavigate();
  const plot = { width: Math.max(50, width - LEFT - 12), height: HEIGHT - BOTTOM - TOP };
  const scales = useMemo(() => scalesOf(traces, range, plot.width, plot.height), [traces, range, plot.width, plot.height]);
  const points = useMemo(() => pointsOf(traces, scales), [traces, scales]);

  useEffect(() => {
    const drawing = drawingOn(canvas.current, width, HEIGHT, LEFT, TOP);
    if (!drawing) return;
    const { context, colour } = drawing;
    for (let decade = scales.low; decade <= scales.high * 1.01; decade *= 10) {
      const y = Math.round(yOf(scales, decade)) + 0.5;
      context.fillStyle = colour("--line");
      context.fillRect(0, y, scales.width, 1);
      context.fillStyle = colour("--text-3");
      context.textAlign = "right";
      context.fillText(formatNs(decade), -8, y);
    }
    context.textAlign = "center";
    // In whole minutes, or in seconds where the minutes are few.
    const inSeconds = scales.to - scales.from < 5 * 60e3;
    const unit = inSeconds ? 1e3 : 60e3;
    for (const tick of ticks(scales.from / unit, scales.to / unit, Math.max(2, Math.floor(scales.width / 130)))) {
      const x = xOf(scales, tick * unit);
      if (x < 24 || x > scales.width - 24) continue;
      context.fillText(formatClock(tick * unit, zone, false).slice(0, inSeconds ? 8 : 5), x, scales.height + 12);
    }
    const [plain, bad] = [colour("--c0"), colour("--bad")];
    for (const { trace, x, y } of points) {
      context.beginPath();
      context.globalAlpha = 0.75;
      if (trace.errors > 0) {
        // A shape of its own too: colour alone is not seen by everybody.
        context.strokeStyle = bad;
        context.lineWidth = 1.8;
        context.moveTo(x - 3.2, y - 3.2);
        context.lineTo(x + 3.2, y + 3.2);
        context.moveTo(x + 3.2, y - 3.2);
        context.lineTo(x - 3.2, y + 3.2);
        context.stroke();
      } else {
        context.fillStyle = plain;
        context.arc(x, y, Math.min(7, 2.2 + Math.log10(trace.spans + 1)), 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    // The theme is not read here, but what is drawn has its colours.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [points, scales, width, theme, zone]);

  const place = (event: PointerEvent) => {
    const rect = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - rect.left - LEFT, y: event.clientY - rect.top - TOP };
  };
  const within = (value: number, most: number) => Math.min(most, Math.max(0, value));
  const onUp = (event: PointerEvent) => {
    const { x, y } = place(event);
    if (drag && Math.abs(drag.x1 - drag.x0) > 6) {
      const [x0, x1] = [drag.x0, drag.x1].map((one) => within(one, plot.width)).sort((a, b) => a - b);
      const [y0, y1] = [drag.y0, drag.y1].map((one) => within(one, plot.height)).sort((a, b) => a - b);
      onSelect({ from: timeAt(scales, x0), to: timeAt(scales, x1), min: durationAt(scales, y1), max: durationAt(scales, y0) });
    } else {
      const point = hit(points, x, y);
      if (point) void navigate({ to: "/traces/$traceId", params: { traceId: point.trace.trace_id }, search: keepRange });
    }
    setDrag(null);
  };
  return (
    <div
      ref={box}
      className="card relative flex-none touch-none select-none"
      style={{ height: HEIGHT, cursor: over ? "pointer" : "crosshair" }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        const { x, y } = place(event);
        setDrag({ x0: x, y0: y, x1: x, y1: y });
      }}
      onPointerMove={(event) => {
        const { x, y } = place(event);
        setOver(hit(points, x, y));
        if (drag) setDrag({ ...drag, x1: x, y1: y });
      }}
      onPointerLeave={() => setOver(null)}
      onPointerCancel={() => setDrag(null)}
      onPointerUp={onUp}
    >
      <canvas ref={canvas} className="block h-full w-full" role="img" aria-label={`${traces.length} traces by time and duration; the list below has them all`} />
      {drag && (
        <span
          className="pointer-events-none absolute border border-accent bg-accent opacity-20"
          style={{ left: LEFT + Math.min(drag.x0, drag.x1), top: TOP + Math.min(drag.y0, drag.y1), width: Math.abs(drag.x1 - drag.x0), height: Math.abs(drag.y1 - drag.y0) }}
        />
      )}
      {over && !drag && (
        <div
          className="pointer-events-none absolute z-10 max-w-[280px] rounded-md border border-line bg-surface px-2.5 py-1.5 text-xs shadow-pop"
          style={{ left: Math.min(LEFT + over.x + 10, width - 230), top: Math.max(4, over.y - 34) }}
        >
          <div className="truncate font-medium">{over.trace.root_name || "root is missing"}</div>
          <div className="num text-text-3">
            {formatNs(Number(over.trace.duration_ns))} · {over.trace.spans} spans{over.trace.errors > 0 && ` · ${over.trace.errors} errors`}
          </div>
        </div>
      )}
    </div>
  );
}
