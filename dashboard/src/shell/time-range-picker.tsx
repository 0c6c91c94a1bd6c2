import { Calendar, ChevronDown } from "lucide-react";
import { type FormEvent, useCallback, useState } from "react";
import { formatTime } from "../lib/format";
import { usePrefs } from "../lib/prefs";
import { useTimeRange } from "../lib/query-state";
import { PRESETS, type TimeRange, labelOf, resolveRange, resolveTime } from "../lib/time-range";
import { Button, cx } from "../ui/basics";
import { Drop } from "../ui/drop";

/** The range of all pages: a preset, or two times. */
export function TimeRangePicker() {
  const [range, setRange] = useTimeRange();
  const [open, setOpen] = useState(false);
  const { zone } = usePrefs();
  const choose = (next: TimeRange) => {
    setRange(next);
    setOpen(false);
  };
  const close = useCallback(() => setOpen(false), []);
  const button = (
    <Button
      icon={Calendar}
      aria-haspopup="dialog"
      aria-expanded={open}
      aria-label={`Time range: ${labelOf(range, (ms) => formatTime(ms, zone))}`}
      onClick={() => setOpen(!open)}
    >
      <span className="max-w-[260px] truncate">{labelOf(range, (ms) => formatTime(ms, zone).slice(5, 16))}</span>
      <ChevronDown size={12} aria-hidden />
    </Button>
  );
  return (
    <Drop name="Time range" open={open} onClose={close} button={button} className="w-[300px]">
      <div className="grid grid-cols-2 gap-1">
        {PRESETS.map((preset) => {
          const chosen = preset.from === range.from && range.to === "now";
          return (
            <button
              key={preset.from}
              type="button"
              aria-pressed={chosen}
              onClick={() => choose({ from: preset.from, to: "now" })}
              className={cx("h-8 rounded-md px-2.5 text-left text-xs hover:bg-raised", chosen && "bg-accent-soft font-medium text-accent")}
            >
              {preset.label}
            </button>
          );
        })}
      </div>
      <Absolute key={`${range.from} ${range.to}`} range={range} choose={choose} />
    </Drop>
  );
}

function Absolute({ range, choose }: { range: TimeRange; choose: (range: TimeRange) => void }) {
  const { zone } = usePrefs();
  const shown = () => {
    const { from, to } = resolveRange(range, Date.now());
    const text = (ms: number) => formatTime(ms, zone).slice(0, 19);
    return { from: text(from), to: range.to === "now" ? "now" : text(to) };
  };
  const [given, setGiven] = useState(shown);
  const [wrong, setWrong] = useState("");
  const read = (text: string) => {
    const trimmed = text.trim();
    if (trimmed.startsWith("now")) return resolveTime(trimmed, Date.now()) === null ? null : trimmed;
    const ms = Date.parse(trimmed.replace(" ", "T") + (zone === "utc" && !/Z|[+-]\d\d:?\d\d$/.test(trimmed) ? "Z" : ""));
    return Number.isNaN(ms) ? null : String(ms);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const [from, to] = [read(given.from), read(given.to)];
    const now = Date.now();
    if (from === null || to === null) setWrong("A time is written as 2026-01-31 12:00:00, or as now-2h.");
    else if ((resolveTime(from, now) ?? 0) >= (resolveTime(to, now) ?? 0)) setWrong("It has to begin before it ends.");
    else choose({ from, to });
  };
  return (
    <form onSubmit={submit} className="mt-2 space-y-2 border-t border-line px-1 pt-3">
      {(["from", "to"] as const).map((end) => (
        <label key={end} className="flex items-center gap-2 text-xs text-text-2">
          <span className="w-8">{end === "from" ? "From" : "To"}</span>
          <input
            value={given[end]}
            onChange={(event) => setGiven({ ...given, [end]: event.target.value })}
            className="mono h-7 min-w-0 flex-1 rounded-md border border-line bg-bg px-2"
          />
        </label>
      ))}
      {wrong && (
        <p role="alert" className="text-xs text-bad">
          {wrong}
        </p>
      )}
      <div className="flex items-center justify-between">
        <span className="text-2xs text-text-3">{zone === "utc" ? "UTC" : "local time"}</span>
        <Button type="submit" look="primary">
          Show
        </Button>
      </div>
    </form>
  );
}
