import { useEffect, useRef, useSyncExternalStore } from "react";
import { type Channel, type Listener, LiveConnection, type LiveState } from "./connection";

const connection = new LiveConnection();
if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => connection.setHidden(document.hidden));
}

/** What a channel tells, as long as the component is there. The handlers may be new in each render. */
export function useLive(channel: Channel, listener: Listener, wanted = true) {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    if (!wanted) return undefined;
    return connection.subscribe(channel, {
      onData: (data) => latest.current.onData?.(data),
      onReset: () => latest.current.onReset?.(),
      onGap: (dropped) => latest.current.onGap?.(dropped),
    });
  }, [channel, wanted]);
}

export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (watcher) => connection.watch(watcher),
    () => connection.state,
  );
}

export const pauseLive = (paused: boolean) => connection.setPaused(paused);
