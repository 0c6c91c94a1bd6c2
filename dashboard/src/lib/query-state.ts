// State in the URL. Every value is plain text: an id that looks like a number stays the text that it is.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { useNow } from "./now";
import { parseRange, type TimeRange } from "./time-range";

export type Search = Record<string, string | undefined>;

export function parseSearch(text: string): Search {
  const found: Search = {};
  for (const [key, value] of new URLSearchParams(text)) found[key] = value;
  return found;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    if (typeof value === "string" && value !== "") params.append(key, value);
  }
  // Commas and slashes are allowed in a query, and easier to read.
  const text = params.toString().replaceAll("%2C", ",").replaceAll("%2F", "/").replaceAll("%3A", ":");
  return text === "" ? "" : `?${text}`;
}

/** What goes along from page to page. */
export function keepRange(search: Search): Search {
  return { from: search.from, to: search.to };
}

/** The same, and what else a link says. */
export const rangeWith = (more: Search) => (before: Search): Search => ({ ...keepRange(before), ...more });

export type SetSearch = (change: Search, options?: { push?: boolean }) => void;

/** The query of the URL, and how to change some of it; what is empty or undefined is left out. */
export function useQueryState(): [Search, SetSearch] {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const set = useCallback<SetSearch>(
    (change, options) => {
      void navigate({
        to: ".",
        search: (before: Search) => ({ ...before, ...change }),
        replace: !options?.push,
        resetScroll: false,
      });
    },
    [navigate],
  );
  return [search, set];
}

export function useTimeRange(): [TimeRange, (range: TimeRange) => void] {
  const [search, set] = useQueryState();
  const now = useNow(60_000);
  const range = useMemo(() => parseRange(search.from, search.to, now), [search.from, search.to, now]);
  const change = useCallback(
    (next: TimeRange) => set({ from: next.from, to: next.to, cursor: undefined }, { push: true }),
    [set],
  );
  return [range, change];
}
