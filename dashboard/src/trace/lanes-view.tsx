import { type PointerEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { drawingOn } from "../lib/canvas";
import { colourOf } from "../lib/colour";
import { formatNs } from "../lib/format";
import { useShownTheme } from "../lib/prefs";
import { useSize } from "../lib/size";
import { Swatch } from "../ui/basics";
import { type Lanes, lanesOf } from "./lanes";
import { Minimap } from "./minimap";
import { type TraceModel, spanView } from "./model";
import { type Viewport, ticks } from "./viewport";

const LINE = 20;
const BAR = 15;
const GAP = 10;
const HEAD = 26;
const NAMES = 150;

interface LanesProps {
  model: TraceModel;
  colours: string[];
  selected: number;
  found: Uint8Array | null;
  viewport: Viewport;
  onViewport: (viewport: Viewport) => void;
  onSelect: (node: number) => void;
}

const topOf = (lanes: Lanes, at: number) => HEAD + lanes.lanes[at].top * LINE + at * GAP + GAP / 2;

/** Who worked when, and who handed to whom. The waterfall has the same spans for those who use keys. */
export function LanesView({ model, colours, selected, found, viewport, onViewport, onSelect }: LanesProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useShownTheme();
  const width = useSize(canvas)?.width ?? 800;
  const [over, setOver] = useState<{ node: number; x: number; y: number } | null>(null);
  const lanes = useMemo(() => lanesOf(model), [model]);
  const last = lanes.lanes.length - 1;
  const height = last < 0 ? HEAD : topOf(lanes, last) + lanes.lanes[last].lines * LINE + GAP;
  const { from, to } = viewport;
  const { duration } = model;
  const xOf = useCallback((ns: number) => ((ns / duration - from) / (to - from)) * width, [duration, from, to, width]);

  useEffect(() => {
    const drawing = drawingOn(canvas.current, width, height);
    if (!drawing) return;
    const { context, colour } = drawing;
    const [line, text, bad, surface] = ["--line", "--text-3", "--bad", "--surface"].map(colour);
    for (const tick of ticks(viewport.from * model.duration, viewport.to * model.duration, Math.max(1, Math.floor(width / 110)))) {
      const x = Math.round(xOf(tick)) + 0.5;
      context.fillStyle = line;
      context.fillRect(x, 0, 1, height);
      context.fillStyle = text;
      context.fillText(formatNs(tick), x + 5, HEAD / 2);
    }
    context.fillStyle = line;
    for (let at = 0; at < lanes.lanes.length; at += 1) context.fillRect(0, topOf(lanes, at) - GAP / 2, width, 1);
    const yOf = (node: number) => topOf(lanes, lanes.lane[node]) + lanes.line[node] * LINE;
    for (let node = 0; node < model.count; node += 1) {
      if (lanes.lane[node] < 0) continue;
      const [x0, x1] = [xOf(model.start[node]), xOf(model.stop[node])];
      if (x1 < 0 || x0 > width) continue;
      const [left, wide] = [Math.max(-2, x0), Math.max(2, Math.min(width + 2, x1) - Math.max(-2, x0))];
      context.globalAlpha = found && !found[node] ? 0.25 : 1;
      context.fillStyle = colour(colours[node]);
      context.beginPath();
      context.roundRect(left, yOf(node), wide, BAR, 2);
      context.fill();
      if (model.failed[node]) {
        context.fillStyle = bad;
        context.fillRect(left, yOf(node) + BAR - 2, wide, 3);
      }
      if (node === selected) {
        context.strokeStyle = colour("--accent");
        context.lineWidth = 2;
        context.strokeRect(left - 1.5, yOf(node) - 1.5, wide + 3, BAR + 3);
      }
      const name = spanView(model, node)?.name ?? "";
      if (wide > 44) {
        context.save();
        context.beginPath();
        context.rect(Math.max(0, left), yOf(node), wide - 4, BAR);
        context.clip();
        context.fillStyle = surface;
        context.fillText(name, Math.max(0, left) + 5, yOf(node) + BAR / 2 + 0.5);
        context.restore();
      }
    }
    context.globalAlpha = 0.75;
    context.strokeStyle = text;
    context.fillStyle = text;
    context.lineWidth = 1.2;
    for (const handover of lanes.handovers.slice(0, 2000)) {
      const [giver, taker] = [handover.from, handover.to];
      const x = xOf(model.start[taker]);
      if (x < 0 || x > width) continue;
      const down = yOf(taker) > yOf(giver);
      const [y0, y1] = [down ? yOf(giver) + BAR : yOf(giver), down ? yOf(taker) : yOf(taker) + BAR];
      // It leaves when the bus took it, at the latest at the end of who handed it over.
      const x0 = Math.max(0, Math.min(x, xOf(Math.min(model.stop[giver], model.start[taker]))));
      context.beginPath();
      context.moveTo(x0, y0);
      context.bezierCurveTo(x0, (y0 + y1) / 2, x, (y0 + y1) / 2, x, y1);
      context.stroke();
      context.beginPath();
      context.arc(x, y1, 2.5, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
    // The theme is not read here, but what is drawn has its colours.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [model, lanes, colours, selected, found, viewport, width, height, theme, xOf]);

  const nodeAt = (event: PointerEvent): number => {
    const rect = event.currentTarget.getBoundingClientRect();
    const [x, y] = [event.clientX - rect.left, event.clientY - rect.top];
    let best = -1;
    for (let node = 0; node < model.count; node += 1) {
      if (lanes.lane[node] < 0) continue;
      const top = topOf(lanes, lanes.lane[node]) + lanes.line[node] * LINE;
      if (y < top || y > top + BAR) continue;
      if (x >= xOf(model.start[node]) - 3 && x <= Math.max(xOf(model.stop[node]), xOf(model.start[node]) + 2) + 3) best = node;
    }
    return best;
  };
  const view = over ? spanView(model, over.node) : null;
  return (
    <>
      <Minimap model={model} colours={colours} viewport={viewport} onViewport={onViewport} />
      <div className="relative flex min-h-0 flex-1 overflow-y-auto bg-surface" tabIndex={0} role="region" aria-label="Lanes of the agents">
        <ul className="relative flex-none border-r border-line" style={{ width: NAMES, height }}>
          {lanes.lanes.map((lane, at) => (
            <li key={lane.name} className="absolute right-0 left-0 flex items-center gap-1.5 truncate border-t border-line px-3 pt-1 text-xs" style={{ top: topOf(lanes, at) - GAP / 2 }}>
              <Swatch colour={colourOf(lane.name)} />
              <span className="truncate">{lane.name}</span>
            </li>
          ))}
        </ul>
        <div className="relative min-w-0 flex-1" style={{ height }}>
          <canvas
            ref={canvas}
            role="img"
            aria-label={`${lanes.lanes.length} agents and ${lanes.handovers.length} handovers`}
            className="block h-full w-full"
            style={{ cursor: over ? "pointer" : "default" }}
            onPointerMove={(event) => {
              const node = nodeAt(event);
              const rect = event.currentTarget.getBoundingClientRect();
              setOver(node < 0 ? null : { node, x: event.clientX - rect.left, y: event.clientY - rect.top });
            }}
            onPointerLeave={() => setOver(null)}
            onPointerUp={(event) => {
              const node = nodeAt(event);
              if (node >= 0) onSelect(node);
            }}
          />
          {over && view && (
            <div className="pointer-events-none absolute z-10 max-w-[260px] rounded-md border border-line bg-surface px-2.5 py-1.5 text-xs shadow-pop" style={{ left: Math.min(over.x + 12, Math.max(0, width - 270)), top: over.y + 14 }}>
              <div className="truncate font-medium">{view.name}</div>
              <div className="num text-text-3">
                {formatNs(view.duration)}
                {view.topic && ` · ${view.topic}`}
              </div>
            </div>
          )}
        </div>
      </div>
    </>
  );
}
