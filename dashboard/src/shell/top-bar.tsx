import { Command, Moon, Pause, Play, Search, Sun, SunMoon } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { pauseLive, useLiveState } from "../live/use-live";
import { type Prefs, setPrefs, usePrefs } from "../lib/prefs";
import { IconButton, Kbd, cx } from "../ui/basics";
import { TimeRangePicker } from "./time-range-picker";

const Palette = lazy(() => import("./palette"));

const THEMES: Record<Prefs["theme"], { next: Prefs["theme"]; icon: typeof Sun; name: string }> = {
  system: { next: "light", icon: SunMoon, name: "Theme: as the system" },
  light: { next: "dark", icon: Sun, name: "Theme: light" },
  dark: { next: "system", icon: Moon, name: "Theme: dark" },
};

export function TopBar() {
  const { theme, zone } = usePrefs();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen((before) => !before);
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  const look = THEMES[theme] ?? THEMES.system;
  return (
    <header className="flex h-12 flex-none items-center gap-2 border-b border-line bg-surface px-4">
      <button
        type="button"
        onClick={() => setOpen(true)}
        className="flex h-8 min-w-0 flex-1 items-center gap-2 rounded-md border border-line bg-bg px-2.5 text-left text-text-3 hover:border-line-strong sm:max-w-[380px]"
      >
        <Search size={14} aria-hidden className="flex-none" />
        <span className="flex-1 truncate text-[13px]">Find a page, or any id</span>
        <span className="hidden items-center gap-0.5 sm:flex">
          <Kbd>{isApple() ? <Command size={10} aria-label="Command" /> : "Ctrl"}</Kbd>
          <Kbd>K</Kbd>
        </span>
      </button>
      <div className="ml-auto flex items-center gap-1.5">
        <TimeRangePicker />
        <LiveSwitch />
        <button
          type="button"
          title={zone === "utc" ? "Times are UTC" : "Times are local"}
          aria-label={zone === "utc" ? "Times are UTC; show local times" : "Times are local; show UTC"}
          onClick={() => setPrefs({ zone: zone === "utc" ? "local" : "utc" })}
          className="hidden h-7 rounded-md px-2 text-2xs font-medium text-text-2 hover:bg-raised md:block"
        >
          {zone === "utc" ? "UTC" : "Local"}
        </button>
        <IconButton icon={look.icon} name={look.name} onClick={() => setPrefs({ theme: look.next })} />
      </div>
      {open && (
        <Suspense>
          <Palette onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </header>
  );
}

const isApple = () => /Mac|iPhone|iPad/.test(navigator.platform);

const LIVE = {
  live: { text: "Live", dot: "bg-ok", hint: "What happens is shown as it happens. Press to pause." },
  connecting: { text: "Connecting", dot: "bg-warn pulse", hint: "The live stream is being opened." },
  paused: { text: "Paused", dot: "bg-text-3", hint: "Nothing moves. Press to go on." },
  hidden: { text: "Asleep", dot: "bg-text-3", hint: "The stream is closed while the tab is hidden." },
  unavailable: { text: "Not live", dot: "bg-bad", hint: "This server has no live stream; pages fetch anew now and then." },
  off: { text: "Idle", dot: "bg-text-3", hint: "Nothing on this page changes by itself." },
} as const;

function LiveSwitch() {
  const state = useLiveState();
  const { text, dot, hint } = LIVE[state];
  const paused = state === "paused";
  return (
    <button
      type="button"
      title={hint}
      aria-label={paused ? "Paused. Go on" : `${text}. Pause live updates`}
      onClick={() => pauseLive(!paused)}
      className="group flex h-7 items-center gap-1.5 rounded-md px-2 text-xs text-text-2 hover:bg-raised"
    >
      <span className="relative flex size-3 items-center justify-center">
        <span className={cx("size-2 rounded-full group-hover:opacity-0", dot)} />
        {paused ? (
          <Play size={11} aria-hidden className="absolute opacity-0 group-hover:opacity-100" />
        ) : (
          <Pause size={11} aria-hidden className="absolute opacity-0 group-hover:opacity-100" />
        )}
      </span>
      <span className="hidden sm:inline">{text}</span>
    </button>
  );
}
