import { type RefObject, useEffect, useState } from "react";

export interface Size {
  width: number;
  height: number;
}

/** The inner size of an element in pixels as it changes, in steps of `step`, at least one of them; null until it is known. */
export function useSize(ref: RefObject<Element | null>, step = 1): Size | null {
  const [size, setSize] = useState<Size | null>(null);
  useEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const stepped = (pixels: number) => Math.max(step, Math.round(pixels / step) * step);
    const observer = new ResizeObserver(() => {
      const next = { width: stepped(element.clientWidth), height: stepped(element.clientHeight) };
      setSize((before) => (before?.width === next.width && before.height === next.height ? before : next));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref, step]);
  return size;
}
