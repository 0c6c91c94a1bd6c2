// Filters of a list: each stands in the URL, and each that is set can be seen and taken away.
import { skipToken, useQuery } from "@tanstack/react-query";
import { Search as SearchIcon, X } from "lucide-react";
import { useCallback, useEffect, useId, useRef, useState } from "react";
import { api } from "../api/client";
import type { Query } from "../api/routes";
import { useDebounced } from "../lib/debounced";
import type { Search, SetSearch } from "../lib/query-state";
import { cx } from "./basics";

const BOX = "flex h-7 items-center gap-1.5 rounded-md border border-line bg-surface px-2 text-xs focus-within:border-accent";

interface TextFilterProps {
  name: string;
  field: string;
  search: Search;
  set: SetSearch;
  placeholder?: string;
  /** Which of the server's lists of values to offer. */
  suggest?: Query<"/api/v1/suggest">["field"];
  icon?: boolean;
  className?: string;
}

/** Text that becomes a condition when it is entered, or left alone for a moment. */
export function TextFilter({ name, field, search, set, placeholder, suggest, icon, className }: TextFilterProps) {
  const given = search[field] ?? "";
  const [text, setText] = useState(given);
  const [focused, setFocused] = useState(false);
  const id = useId();
  const written = useRef(given);
  const write = useCallback(
    (value: string) => {
      written.current = value;
      set({ [field]: value || undefined, cursor: undefined });
    },
    [field, set],
  );
  // From elsewhere: what comes back of our own writing may be older than what has been typed since.
  useEffect(() => {
    if (given === written.current) return;
    written.current = given;
    setText(given);
  }, [given]);
  const settled = useDebounced(text, 500);
  useEffect(() => {
    // What was typed last and not what the URL has become since.
    if (focused && settled === text && settled !== given) write(settled);
  }, [settled, text, given, focused, write]);
  const values = useQuery({
    queryKey: ["suggest", suggest, settled],
    queryFn: suggest && focused ? ({ signal }) => api.suggest({ field: suggest, prefix: settled }, signal) : skipToken,
    retry: false,
    staleTime: 30_000,
  });
  return (
    <label className={cx(BOX, className)}>
      {icon && <SearchIcon size={13} className="flex-none text-text-3" aria-hidden />}
      <span className={icon ? "sr-only" : "flex-none text-text-3"}>{name}</span>
      <input
        value={text}
        placeholder={placeholder}
        list={suggest ? id : undefined}
        onChange={(event) => setText(event.target.value)}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
        onKeyDown={(event) => {
          if (event.key === "Enter") write(text);
        }}
        className="min-w-0 flex-1 bg-transparent outline-none!"
      />
      {suggest && (
        <datalist id={id}>
          {values.data?.values.map((value) => <option key={value} value={value} />)}
        </datalist>
      )}
      {given !== "" && (
        <button type="button" aria-label={`Any ${name}`} className="text-text-3 hover:text-text" onClick={() => set({ [field]: undefined, cursor: undefined })}>
          <X size={12} aria-hidden />
        </button>
      )}
    </label>
  );
}

/** Conditions that a link has brought and no field is there for. */
export function Chips({ fields, search, set }: { fields: string[]; search: Search; set: SetSearch }) {
  const there = fields.filter((field) => search[field]);
  return there.map((field) => (
    <span key={field} className="inline-flex h-7 max-w-[320px] items-center gap-1 rounded-md border border-line bg-accent-soft pr-1 pl-2 text-xs text-accent">
      <span className="truncate">
        {field}: {search[field]}
      </span>
      <button type="button" aria-label={`Without ${field}`} className="flex size-5 flex-none items-center justify-center rounded hover:bg-surface" onClick={() => set({ [field]: undefined, cursor: undefined })}>
        <X size={12} aria-hidden />
      </button>
    </span>
  ));
}

/** A choice of few. */
export function Choice({ name, value, options, onChange }: { name: string; value: string; options: [string, string][]; onChange: (value: string) => void }) {
  return (
    <label className={BOX}>
      <span className="text-text-3">{name}</span>
      <select value={value} onChange={(event) => onChange(event.target.value)} className="cursor-pointer bg-surface outline-none!">
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
