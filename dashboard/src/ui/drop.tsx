// A panel that opens below its button. The top bar is on every page, so it does with few lines what a library would do with many.
import { type ReactNode, useEffect, useRef } from "react";
import { cx } from "./basics";

interface DropProps {
  name: string;
  open: boolean;
  onClose: () => void;
  button: ReactNode;
  children: ReactNode;
  className?: string;
}

export function Drop({ name, open, onClose, button, children, className }: DropProps) {
  const box = useRef<HTMLDivElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    panel.current?.focus();
    const outside = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as Node)) onClose();
    };
    window.addEventListener("pointerdown", outside);
    return () => window.removeEventListener("pointerdown", outside);
  }, [open, onClose]);
  return (
    <div
      ref={box}
      className="relative"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        onClose();
        box.current?.querySelector("button")?.focus();
      }}
    >
      {button}
      {open && (
        <div
          ref={panel}
          role="dialog"
          aria-label={name}
          tabIndex={-1}
          className={cx("rise absolute top-full right-0 z-40 mt-1.5 rounded-lg border border-line bg-surface p-2 shadow-pop outline-none!", className)}
        >
          {children}
        </div>
      )}
    </div>
  );
}
