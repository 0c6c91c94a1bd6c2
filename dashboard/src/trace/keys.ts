// The keys of the waterfall, while it has the focus.

export type Action =
  | "down" | "up" | "page-down" | "page-up" | "first" | "last" | "in" | "out" | "panel" | "find" | "next-match"
  | "previous-match" | "next-error" | "critical" | "fold-all" | "unfold-all" | "zoom-in" | "zoom-out" | "fit"
  | "pan-left" | "pan-right" | "zoom-span" | "help" | "close";

interface Key {
  keys: string[];
  action: Action;
  /** What it does, as the help says it. */
  text: string;
}

export const KEYS: Key[] = [
  { keys: ["ArrowDown", "j"], action: "down", text: "Next span" },
  { keys: ["ArrowUp", "k"], action: "up", text: "Span before" },
  { keys: ["ArrowRight", "l"], action: "in", text: "Unfold, or go to the first child" },
  { keys: ["ArrowLeft", "h"], action: "out", text: "Fold, or go to the parent" },
  { keys: ["PageDown"], action: "page-down", text: "A page down" },
  { keys: ["PageUp"], action: "page-up", text: "A page up" },
  { keys: ["Home"], action: "first", text: "First span" },
  { keys: ["End"], action: "last", text: "Last span" },
  { keys: ["Enter"], action: "panel", text: "To the span's details, and back with Escape" },
  { keys: ["/"], action: "find", text: "Find in this trace" },
  { keys: ["n"], action: "next-match", text: "Next match" },
  { keys: ["N"], action: "previous-match", text: "Match before" },
  { keys: ["e"], action: "next-error", text: "Next error" },
  { keys: ["c"], action: "critical", text: "Critical path" },
  { keys: ["["], action: "fold-all", text: "Fold all" },
  { keys: ["]"], action: "unfold-all", text: "Unfold all" },
  { keys: ["+", "="], action: "zoom-in", text: "Zoom in" },
  { keys: ["-"], action: "zoom-out", text: "Zoom out" },
  { keys: ["z"], action: "zoom-span", text: "Zoom to the span and what is below it" },
  { keys: ["0"], action: "fit", text: "Show the whole trace" },
  { keys: ["a"], action: "pan-left", text: "Earlier" },
  { keys: ["d"], action: "pan-right", text: "Later" },
  { keys: ["?"], action: "help", text: "These keys" },
  { keys: ["Escape"], action: "close", text: "Close the details" },
];

const ACTIONS = new Map(KEYS.flatMap(({ keys, action }) => keys.map((key) => [key, action] as const)));

/** What a key does; nothing where it belongs to the browser. */
export function actionOf(event: { key: string; ctrlKey: boolean; metaKey: boolean; altKey: boolean }): Action | null {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  return ACTIONS.get(event.key) ?? null;
}

const SHOWN: Record<string, string> = {
  ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", PageDown: "PgDn", PageUp: "PgUp", Escape: "Esc",
};
export const shownKey = (key: string) => SHOWN[key] ?? key;
