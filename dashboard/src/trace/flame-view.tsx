import { ArrowUp } from "lucide-react";
import { type PointerEvent, useEffect, useMemo, useRef, useState } from "react";
import { drawingOn } from "../lib/canvas";
import { formatCount, formatNs, formatRatio, plural } from "../lib/format";
import { useShownTheme } from "../lib/prefs";
import { useSize } from "../lib/size";
import { Button, Swatch } from "../ui/basics";
import { goRow } from "../ui/listing";
import { type Flame, type Placed, flameOf, placed, sharesOf } from "./flame";
import type { TraceModel } from "./model";

const LEVEL = 19;
/** What is deeper is seen from a frame further down: nobody reads a tower of thousands. */
const MOST_LEVELS = 40;
const MOST_SHARES = 100;

interface FlameProps {
  model: TraceModel;
  colours: string[];
  selected: number;
  found: Uint8Array | null;
  onSelect: (node: number) => void;
}

/** What the work of the trace was, whenever it was done: as frames, and as a list for those who use keys. */
export function FlameView({ model, colours, selected, found, onSelect }: FlameProps) {
  const flame = useMemo(() => flameOf(model), [model]);
  const shares = useMemo(() => sharesOf(flame, model).slice(0, MOST_SHARES), [flame, model]);
  const [top, setTop] = useState(-1);
  // Another trace, or one that has grown, has other frames.
  const shown = top < flame.frames.length ? top : -1;
  const above = shown < 0 ? null : flame.frames[shown];
  return (
    <div className="min-h-0 flex-1 overflow-y-auto bg-surface" tabIndex={0} role="region" aria-label="Flame graph">
      <div className="flex h-9 items-center gap-2 border-b border-line px-4 text-xs text-text-2">
        {above ? (
          <>
            <Button icon={ArrowUp} onClick={() => setTop(above.parent)}>
              Up
            </Button>
            <Button look="plain" onClick={() => setTop(-1)}>
              All
            </Button>
            <span className="truncate font-medium text-text">{above.name}</span>
          </>
        ) : (
          <span className="truncate">Spans of one path are one frame, as wide as their own time with all below: {formatNs(flame.total)} of work in {formatNs(model.duration)}</span>
        )}
        <span className="ml-auto truncate text-text-3">press: its longest span · double-press: from there</span>
      </div>
      <Frames flame={flame} top={shown} colours={colours} selected={selected} found={found} onSelect={onSelect} onTop={setTop} />
      <table className="grid-table border-t border-line">
        <thead>
          <tr>
            <th scope="col">Span</th>
            <th scope="col">Of</th>
            <th scope="col" className="right">Own time</th>
            <th scope="col" className="right">Share</th>
            <th scope="col" className="right">Spans</th>
            <th scope="col" className="right">Errors</th>
            <th scope="col" className="right">Longest</th>
          </tr>
        </thead>
        <tbody>
          {shares.map((share) => (
            <tr key={`${share.who} ${share.name}`} title="To the longest of them" {...goRow(() => onSelect(share.node))}>
              <td>
                <span className="flex items-center gap-2">
                  <Swatch colour={colours[share.node]} />
                  <span className="truncate font-medium">{share.name}</span>
                </span>
              </td>
              <td className="text-text-2">{share.who || "–"}</td>
              <td className="num right">{formatNs(share.own)}</td>
              <td className="num right text-text-2">{formatRatio(flame.total > 0 ? share.own / flame.total : null)}</td>
              <td className="num right">{formatCount(share.count)}</td>
              <td className={share.errors > 0 ? "num right text-bad" : "num right text-text-3"}>{formatCount(share.errors)}</td>
              <td className="num right text-text-2">{formatNs(model.stop[share.node] - model.start[share.node])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface FramesProps {
  flame: Flame;
  top: number;
  colours: string[];
  selected: number;
  found: Uint8Array | null;
  onSelect: (node: number) => void;
  onTop: (frame: number) => void;
}

function Frames({ flame, top, colours, selected, found, onSelect, onTop }: FramesProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useShownTheme();
  const width = useSize(canvas)?.width ?? 800;
  const [over, setOver] = useState<{ frame: number; x: number; y: number } | null>(null);
  const all = useMemo(() => placed(flame, top, 0.5 / width, MOST_LEVELS), [flame, top, width]);
  const levels = all.reduce((most, one) => Math.max(most, one.level + 1), 1);
  const height = levels * LEVEL + 8;

  useEffect(() => {
    const drawing = drawingOn(canvas.current, width, height);
    if (!drawing) return;
    const { context, colour } = drawing;
    const [surface, bad, accent] = ["--surface", "--bad", "--accent"].map(colour);
    for (const one of all) {
      const frame = flame.frames[one.frame];
      const [x, y] = [one.from * width, 4 + one.level * LEVEL];
      const wide = Math.max(0.5, (one.to - one.from) * width - 1);
      context.globalAlpha = found && !found[frame.node] ? 0.25 : 1;
      context.fillStyle = colour(colours[frame.node]);
      context.fillRect(x, y, wide, LEVEL - 2);
      if (frame.errors > 0) {
        context.fillStyle = bad;
        context.fillRect(x, y + LEVEL - 5, wide, 3);
      }
      if (frame.node === selected) {
        context.strokeStyle = accent;
        context.lineWidth = 2;
        context.strokeRect(x + 1, y + 1, Math.max(1, wide - 2), LEVEL - 4);
      }
      if (wide > 34) {
        context.save();
        context.beginPath();
        context.rect(x, y, wide - 4, LEVEL);
        context.clip();
        context.fillStyle = surface;
        context.fillText(frame.count > 1 ? `${frame.name} ×${frame.count}` : frame.name, x + 5, y + LEVEL / 2 - 0.5);
        context.restore();
      }
      context.globalAlpha = 1;
    }
    // The theme is not read here, but what is drawn has its colours.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [all, flame, colours, selected, found, width, height, theme]);

  const frameAt = (event: PointerEvent | React.MouseEvent): Placed | undefined => {
    const rect = event.currentTarget.getBoundingClientRect();
    const [x, level] = [(event.clientX - rect.left) / width, Math.floor((event.clientY - rect.top - 4) / LEVEL)];
    return all.find((one) => one.level === level && one.from <= x && x < one.to);
  };
  const frame = over ? flame.frames[over.frame] : null;
  return (
    <div className="relative px-4 py-2">
      <canvas
        ref={canvas}
        role="img"
        aria-label={`Flame graph of ${plural(flame.frames.length, "frame")}; the table below says the same`}
        className="block w-full"
        style={{ height, cursor: over ? "pointer" : "default" }}
        onPointerMove={(event) => {
          const one = frameAt(event);
          const rect = event.currentTarget.getBoundingClientRect();
          setOver(one ? { frame: one.frame, x: event.clientX - rect.left, y: event.clientY - rect.top } : null);
        }}
        onPointerLeave={() => setOver(null)}
        onClick={(event) => {
          const one = frameAt(event);
          if (one) onSelect(flame.frames[one.frame].node);
        }}
        onDoubleClick={(event) => {
          const one = frameAt(event);
          if (one) onTop(one.frame);
        }}
      />
      {over && frame && (
        <div className="pointer-events-none absolute z-10 max-w-[280px] rounded-md border border-line bg-surface px-2.5 py-1.5 text-xs shadow-pop" style={{ left: Math.min(over.x + 28, Math.max(0, width - 260)), top: over.y + 22 }}>
          <div className="truncate font-medium">{frame.name}</div>
          <div className="num text-text-2">
            {formatNs(frame.total)} with all below · {formatNs(frame.own)} own
          </div>
          <div className="num text-text-3">
            {plural(frame.count, "span")}
            {frame.errors > 0 && ` · ${plural(frame.errors, "error")}`}
            {frame.who && ` · ${frame.who}`}
          </div>
        </div>
      )}
    </div>
  );
}
