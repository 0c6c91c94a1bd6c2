// What a reader has done with a trace: all of it stands in the URL, so that a link shows the same.
import { useEffect, useRef, useState, type Dispatch, type SetStateAction } from "react";
import { type Search, useQueryState } from "../lib/query-state";
import { type Folding, foldingText, parseFolding } from "./rows";
import { type Viewport, parseViewport, viewportText } from "./viewport";

export type View = "waterfall" | "lanes" | "flame" | "graph";
const VIEWS: View[] = ["waterfall", "lanes", "flame", "graph"];

export interface TraceState {
  span: string | null;
  q: string;
  only: boolean;
  critical: boolean;
  view: View;
  viewport: Viewport;
  folding: Folding;
}

function parseState(search: Search): TraceState {
  const view = VIEWS.find((one) => one === search.view);
  return {
    span: /^[0-9a-f]{16}$/.test(search.span ?? "") ? (search.span as string) : null,
    q: search.q ?? "",
    only: search.only === "match",
    critical: search.critical === "1",
    view: view ?? "waterfall",
    viewport: parseViewport(search.z),
    folding: parseFolding(search.fold),
  };
}

function searchOf(state: TraceState): Search {
  return {
    span: state.span ?? undefined,
    q: state.q || undefined,
    only: state.only ? "match" : undefined,
    critical: state.critical ? "1" : undefined,
    view: state.view === "waterfall" ? undefined : state.view,
    z: viewportText(state.viewport),
    fold: foldingText(state.folding),
  };
}

const keyOf = (search: Search) => JSON.stringify(searchOf(parseState(search)));
/** Browsers refuse more than some changes of the URL in a second, and an arrow key that is held makes many. */
const SETTLES_AFTER = 250;

export function useTraceState(): [TraceState, Dispatch<SetStateAction<TraceState>>] {
  const [search, set] = useQueryState();
  const [state, change] = useState(() => parseState(search));
  const written = useRef(keyOf(search));
  // Somebody went back, or followed a link.
  useEffect(() => {
    const key = keyOf(search);
    if (key === written.current) return;
    written.current = key;
    change(parseState(search));
  }, [search]);
  useEffect(() => {
    const next = searchOf(state);
    const key = JSON.stringify(next);
    if (key === written.current) return undefined;
    const timer = setTimeout(() => {
      written.current = key;
      set(next);
    }, SETTLES_AFTER);
    return () => clearTimeout(timer);
  }, [state, set]);
  return [state, change];
}
