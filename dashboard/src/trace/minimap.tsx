// The whole trace on a canvas: where it is busy, where it failed, and which part the waterfall shows. Dragging chooses another.
import { type PointerEvent, useEffect, useRef, useState } from "react";
import { type Drawing, drawingOn } from "../lib/canvas";
import { formatNs } from "../lib/format";
import { useShownTheme } from "../lib/prefs";
import { useSize } from "../lib/size";
import type { TraceModel } from "./model";
import { type Viewport, WHOLE, clamp, isWhole } from "./viewport";

const HEIGHT = 52;

interface MinimapProps {
  model: TraceModel;
  colours: string[];
  viewport: Viewport;
  onViewport: (viewport: Viewport) => void;
}

/** Each span as a line, from the first row at the top to the last at the bottom. */
function draw({ context, colour }: Drawing, width: number, model: TraceModel, colours: string[]) {
  const pad = 3;
  const room = HEIGHT - 2 * pad;
  const line = Math.max(1, Math.min(4, room / Math.max(1, model.count) - 0.5));
  const bad = colour("--bad");
  for (const failed of [0, 1]) {
    for (let node = 0; node < model.count; node += 1) {
      if (model.failed[node] !== failed) continue;
      const x = (model.start[node] / model.duration) * width;
      const length = Math.max(1, ((model.stop[node] - model.start[node]) / model.duration) * width);
      const y = pad + (node / model.count) * room;
      context.fillStyle = failed ? bad : colour(colours[node]);
      context.fillRect(x, y, length, failed ? Math.max(2, line) : line);
    }
  }
}

export function Minimap({ model, colours, viewport, onViewport }: MinimapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const width = useSize(canvas)?.width;
  const theme = useShownTheme();
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  useEffect(() => {
    if (width === undefined) return undefined;
    // Fifty thousand lines take a moment; the first rows do not wait for them.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => {
        const drawing = drawingOn(canvas.current, width, HEIGHT);
        if (drawing) draw(drawing, width, model, colours);
      });
    });
    return () => cancelAnimationFrame(frame);
    // The theme is not read here, but what is drawn has its colours.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [model, colours, width, theme]);

  const at = (event: PointerEvent) => {
    const rect = box.current?.getBoundingClientRect();
    return rect ? Math.min(1, Math.max(0, (event.clientX - rect.left) / rect.width)) : 0;
  };
  const shown = drag ? { from: Math.min(drag.from, drag.to), to: Math.max(drag.from, drag.to) } : viewport;
  const percent = (value: number) => `${value * 100}%`;
  return (
    <div
      ref={box}
      className="relative cursor-crosshair touch-none border-b border-line bg-surface select-none"
      style={{ height: HEIGHT }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        setDrag({ from: at(event), to: at(event) });
      }}
      onPointerMove={(event) => {
        if (drag) setDrag({ ...drag, to: at(event) });
      }}
      onPointerUp={() => {
        // A press without a drag shows the place in the middle, as wide as before.
        if (drag) {
          const width = Math.abs(drag.to - drag.from);
          const half = (viewport.to - viewport.from) / 2;
          onViewport(width > 0.002 ? clamp(shown) : isWhole(viewport) ? WHOLE : clamp({ from: drag.to - half, to: drag.to + half }));
        }
        setDrag(null);
      }}
      onPointerCancel={() => setDrag(null)}
      onDoubleClick={() => onViewport(WHOLE)}
      title="Drag to show a part; double-click for the whole"
    >
      <canvas ref={canvas} className="block h-full w-full" role="img" aria-label={`Overview of ${model.count} spans in ${formatNs(model.duration)}`} />
      {!isWhole(shown) && (
        <>
          <span className="absolute inset-y-0 left-0 bg-bg opacity-75" style={{ width: percent(shown.from) }} />
          <span className="absolute inset-y-0 right-0 bg-bg opacity-75" style={{ width: percent(1 - shown.to) }} />
          <span className="absolute inset-y-0 border-x-2 border-accent" style={{ left: percent(shown.from), width: percent(shown.to - shown.from) }} />
        </>
      )}
    </div>
  );
}
