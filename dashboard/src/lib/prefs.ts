// What a reader has chosen for this browser. A link never changes it: what a link says stands in the URL.
import { useSyncExternalStore } from "react";
import type { Zone } from "./format";

export interface Prefs {
  theme: "system" | "light" | "dark";
  zone: Zone;
  /** Widths in pixels. */
  panelWidth: number;
  treeWidth: number;
  narrowNav: boolean;
  colourBy: "agent" | "service";
}

const DEFAULTS: Prefs = {
  theme: "system",
  zone: "local",
  panelWidth: 420,
  treeWidth: 420,
  narrowNav: false,
  colourBy: "agent",
};
const STORED = "loom.prefs";

function load(): Prefs {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    return typeof stored === "object" && stored !== null ? { ...DEFAULTS, ...stored } : DEFAULTS;
  } catch {
    return DEFAULTS;
  }
}

let prefs = load();
const listeners = new Set<() => void>();

function apply() {
  const root = document.documentElement;
  if (prefs.theme === "system") delete root.dataset.theme;
  else root.dataset.theme = prefs.theme;
}

export function setPrefs(change: Partial<Prefs>) {
  prefs = { ...prefs, ...change };
  try {
    localStorage.setItem(STORED, JSON.stringify(prefs));
  } catch {
    // It holds as long as the page does.
  }
  apply();
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const usePrefs = () => useSyncExternalStore(subscribe, () => prefs);

const darkSystem = typeof matchMedia === "undefined" ? null : matchMedia("(prefers-color-scheme: dark)");

/** Which of the two is to be seen now: canvases have to draw themselves anew when it changes. */
export function useShownTheme(): "light" | "dark" {
  const { theme } = usePrefs();
  const system = useSyncExternalStore(
    (listener) => {
      darkSystem?.addEventListener("change", listener);
      return () => darkSystem?.removeEventListener("change", listener);
    },
    () => darkSystem?.matches ?? false,
  );
  if (theme !== "system") return theme;
  return system ? "dark" : "light";
}
