import { useEffect, useMemo, useRef } from "react";

/** At once, and then at most every `ms`; the last call is never lost. */
export function throttled(work: () => void, ms: number): { call: () => void; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let again = false;
  const after = () => {
    timer = null;
    if (again) call();
  };
  const call = () => {
    if (timer !== null) {
      again = true;
      return;
    }
    again = false;
    timer = setTimeout(after, ms);
    work();
  };
  const stop = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    again = false;
  };
  return { call, stop };
}

/** For what several live frames in a second ask for. */
export function useThrottled(work: () => void, ms: number): () => void {
  const latest = useRef(work);
  useEffect(() => {
    latest.current = work;
  });
  // Read when it is called, which is never while something is drawn.
  // oxlint-disable-next-line react/refs
  const { call, stop } = useMemo(() => throttled(() => latest.current(), ms), [ms]);
  useEffect(() => stop, [stop]);
  return call;
}
