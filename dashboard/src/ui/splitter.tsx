import { useRef } from "react";
import { cx } from "./basics";

interface SplitterProps {
  name: string;
  /** Of what it makes wider, in pixels. */
  width: number;
  least: number;
  most: number;
  /** At which edge of that it stands. */
  edge: "left" | "right";
  /** The width that is wished; whoever is asked holds the bounds. */
  onWidth: (width: number) => void;
  className?: string;
}

const KEY_STEP = 24;

/** An edge that can be moved, by dragging and by the arrow keys. */
export function Splitter({ name, width, least, most, edge, onWidth, className }: SplitterProps) {
  const start = useRef<{ x: number; width: number } | null>(null);
  const outward = edge === "right" ? 1 : -1;
  return (
    // A separator that can be moved is a widget, whatever the rule thinks of its role.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <div
      role="separator"
      aria-orientation="vertical"
      aria-label={name}
      aria-valuenow={Math.round(width)}
      aria-valuemin={least}
      aria-valuemax={most}
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      className={cx("absolute inset-y-0 z-10 w-[7px] cursor-col-resize touch-none hover:bg-accent-soft", edge === "right" ? "-right-1" : "-left-1", className)}
      onKeyDown={(event) => {
        const by = event.key === "ArrowLeft" ? -KEY_STEP : event.key === "ArrowRight" ? KEY_STEP : 0;
        if (by === 0) return;
        event.preventDefault();
        event.stopPropagation();
        onWidth(width + by * outward);
      }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        start.current = { x: event.clientX, width };
      }}
      onPointerMove={(event) => {
        if (start.current) onWidth(start.current.width + (event.clientX - start.current.x) * outward);
      }}
      // However it ends: by letting go, or because the browser took the pointer for a gesture of its own.
      onLostPointerCapture={() => {
        start.current = null;
      }}
    />
  );
}
