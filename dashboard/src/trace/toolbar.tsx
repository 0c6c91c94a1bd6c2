import { ChevronDown, ChevronUp, Flame, GanttChart, Keyboard, LoaderCircle, Palette, Rows3, Route, Search, Share2, X } from "lucide-react";
import { ToggleGroup } from "radix-ui";
import type { RefObject } from "react";
import { formatCount } from "../lib/format";
import { setPrefs, usePrefs } from "../lib/prefs";
import { Button, IconButton, Kbd } from "../ui/basics";
import type { TraceState, View } from "./state";
import { WHOLE, isWhole } from "./viewport";

interface ToolbarProps {
  state: TraceState;
  onChange: (part: Partial<TraceState>) => void;
  searchBox: RefObject<HTMLInputElement | null>;
  matches: number;
  match: number;
  searching: boolean;
  truncated: boolean;
  onStep: (to: 1 | -1) => void;
  onLeave: () => void;
  onHelp: () => void;
  pathState: "off" | "loading" | "shown" | "failed";
}

const SHOWN: { view: View; name: string; icon: typeof Rows3 }[] = [
  { view: "waterfall", name: "Waterfall", icon: GanttChart },
  { view: "lanes", name: "Lanes", icon: Rows3 },
  { view: "flame", name: "Flame", icon: Flame },
  { view: "graph", name: "Graph", icon: Share2 },
];

export function Toolbar(props: ToolbarProps) {
  const { state, onChange, searchBox, matches, match, searching, truncated, onStep, onLeave, onHelp, pathState } = props;
  const { colourBy } = usePrefs();
  const active = state.q.trim() !== "";
  return (
    <div role="toolbar" aria-label="View of the trace" className="flex flex-none flex-wrap items-center gap-2 border-b border-line bg-surface px-5 py-1.5">
      <ToggleGroup.Root
        type="single"
        value={state.view}
        onValueChange={(view) => view && onChange({ view: view as View })}
        aria-label="View"
        className="flex rounded-md border border-line p-px"
      >
        {SHOWN.map(({ view, name, icon: Icon }) => (
          <ToggleGroup.Item
            key={view}
            value={view}
            className="flex h-6 items-center gap-1.5 rounded-[5px] px-2 text-xs text-text-2 hover:text-text data-[state=on]:bg-raised data-[state=on]:font-medium data-[state=on]:text-text"
          >
            <Icon size={13} aria-hidden />
            {name}
          </ToggleGroup.Item>
        ))}
      </ToggleGroup.Root>
      <div className="flex h-7 min-w-[180px] flex-1 items-center gap-1.5 rounded-md border border-line bg-bg px-2 focus-within:border-accent sm:max-w-[340px]">
        {searching ? <LoaderCircle size={13} className="animate-spin text-text-3" aria-hidden /> : <Search size={13} className="text-text-3" aria-hidden />}
        <input
          ref={searchBox}
          value={state.q}
          onChange={(event) => onChange({ q: event.target.value })}
          onKeyDown={(event) => {
            if (event.key === "Enter") {
              event.preventDefault();
              onStep(event.shiftKey ? -1 : 1);
            } else if (event.key === "Escape") {
              onLeave();
            }
          }}
          aria-label="Find in this trace: names, attributes, messages, ids"
          placeholder="Find: name, attribute, error, id"
          className="min-w-0 flex-1 bg-transparent text-xs outline-none!"
        />
        {active ? (
          <>
            <span role="status" className="num text-2xs text-text-3">
              {matches === 0 ? "none" : `${match >= 0 ? match + 1 : "–"}/${formatCount(matches)}${truncated ? "+" : ""}`}
            </span>
            <IconButton icon={ChevronUp} name="Match before (N)" className="size-5!" disabled={matches === 0} onClick={() => onStep(-1)} />
            <IconButton icon={ChevronDown} name="Next match (n)" className="size-5!" disabled={matches === 0} onClick={() => onStep(1)} />
            <IconButton icon={X} name="Clear" className="size-5!" onClick={() => onChange({ q: "", only: false })} />
          </>
        ) : (
          <Kbd>/</Kbd>
        )}
      </div>
      {active && state.view === "waterfall" && (
        <Button pressed={state.only} onClick={() => onChange({ only: !state.only })}>
          Matches only
        </Button>
      )}
      <span className="ml-auto flex items-center gap-2">
        {!isWhole(state.viewport) && (
          <Button look="plain" onClick={() => onChange({ viewport: WHOLE })}>
            Whole trace
          </Button>
        )}
        {state.view === "waterfall" && (
          <Button icon={Route} pressed={state.critical} onClick={() => onChange({ critical: !state.critical })} title="What the duration of the trace is made of (c)">
            {pathState === "loading" ? "Critical path …" : pathState === "failed" ? "No critical path" : "Critical path"}
          </Button>
        )}
        <Button
          look="plain"
          icon={Palette}
          onClick={() => setPrefs({ colourBy: colourBy === "agent" ? "service" : "agent" })}
          title="What the colours stand for"
        >
          {colourBy === "agent" ? "By agent" : "By service"}
        </Button>
        <IconButton icon={Keyboard} name="Keys (?)" onClick={onHelp} />
      </span>
    </div>
  );
}
