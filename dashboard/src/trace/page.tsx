// The page of one trace: header, overview, tree and details, and what the keys do.
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { criticalQuery, findQuery } from "../api/queries";
import type { Trace } from "../api/types";
import { colourOf } from "../lib/colour";
import { useDebounced } from "../lib/debounced";
import { usePrefs } from "../lib/prefs";
import { Loading } from "../ui/states";
import { TraceHeader } from "./header";
import { KeyHelp } from "./key-help";
import type { Action } from "./keys";
import { Minimap } from "./minimap";
import { type TraceModel, buildModel, nextError } from "./model";
import { SpanPanel } from "./panel";
import * as rowsOf from "./rows";
import { type TraceState, useTraceState } from "./state";
import { Toolbar } from "./toolbar";
import { WHOLE, clamp, pan, zoom } from "./viewport";
import { Waterfall } from "./waterfall";

const Lanes = lazy(() => import("./lanes-view").then((module) => ({ default: module.LanesView })));
const Flame = lazy(() => import("./flame-view").then((module) => ({ default: module.FlameView })));
const Graph = lazy(() => import("./graph-view").then((module) => ({ default: module.GraphView })));

/** The colour of each node: that of its agent where it has one, else of its service. */
function coloursOf(model: TraceModel, by: "agent" | "service"): string[] {
  const { columns, services, agents } = model.trace;
  const service = services.map(colourOf);
  const agent = agents.map(colourOf);
  return Array.from(model.column, (at) => {
    if (at < 0) return "var(--warn)";
    const own = columns.agent[at];
    // The bus's own spans name the agent that they are for; they stay the bus's.
    const ofBus = services[columns.service[at]] === "loom";
    return by === "agent" && own !== null && !ofBus ? agent[own] : service[columns.service[at]];
  });
}

const focusTree = () => document.querySelector<HTMLElement>("[data-waterfall]")?.focus();

export function TracePage({ trace }: { trace: Trace }) {
  const [state, setState] = useTraceState();
  const { colourBy } = usePrefs();
  const [help, setHelp] = useState(false);
  const searchBox = useRef<HTMLInputElement>(null);
  const panel = useRef<HTMLElement>(null);
  const model = useMemo(() => buildModel(trace), [trace]);
  const colours = useMemo(() => coloursOf(model, colourBy), [model, colourBy]);

  const q = useDebounced(state.q.trim(), 200);
  const remote = useQuery(findQuery(trace.trace_id, q));
  const found = useMemo(() => {
    if (q === "") return null;
    return rowsOf.foundNodes(model, rowsOf.findLocally(model, q), remote.data?.span_ids ?? []);
  }, [model, q, remote.data]);
  const matches = useMemo(() => (found ? rowsOf.listOf(found) : new Int32Array(0)), [found]);
  const rows = useMemo(
    () => rowsOf.visibleRows(model, state.folding, state.only && found ? found : null),
    [model, state.folding, state.only, found],
  );
  const critical = useQuery(criticalQuery(trace.trace_id, state.critical));
  const selected = state.span === null ? -1 : (model.nodeOf.get(state.span) ?? -1);

  // Whoever opens a trace wants to walk through it.
  useEffect(() => {
    if (document.activeElement === document.body) focusTree();
  }, []);

  const change = useCallback((part: Partial<TraceState>) => setState((before) => ({ ...before, ...part })), [setState]);
  const select = useCallback(
    (node: number) => {
      if (node < 0) return;
      setState((before) => ({ ...before, span: model.id[node], folding: rowsOf.revealed(before.folding, model, node) }));
    },
    [model, setState],
  );
  const toggle = (node: number) => change({ folding: rowsOf.toggled(state.folding, model.id[node]) });
  const toggleRun = (node: number) => change({ folding: rowsOf.runToggled(state.folding, model.id[node]) });
  const step = (to: 1 | -1) => select(rowsOf.nextOf(matches, selected, to));

  const act = (action: Action, page: number) => {
    const row = selected < 0 ? -1 : rowsOf.rowOf(rows, model, selected);
    const go = (to: number) => {
      if (rows.length === 0) return;
      change({ span: model.id[rows[Math.min(rows.length - 1, Math.max(0, to))]] });
    };
    const node = row < 0 ? -1 : rows[row];
    const folded = node >= 0 && model.children[node] > 0 && rowsOf.isFolded(state.folding, model.id[node]);
    const view = state.viewport;
    const actions: Record<Action, () => void> = {
      down: () => go(row + 1),
      up: () => go(row < 0 ? 0 : row - 1),
      "page-down": () => go(row + page),
      "page-up": () => go(row - page),
      first: () => go(0),
      last: () => go(rows.length - 1),
      in: () => {
        if (node < 0) go(0);
        else if (rowsOf.closedRunOf(state.folding, model, node) === node) toggleRun(node);
        else if (folded) toggle(node);
        else if (model.children[node] > 0) go(row + 1);
      },
      out: () => {
        if (node < 0) return;
        if (model.children[node] > 0 && !folded) toggle(node);
        else if (model.parent[node] >= 0) select(model.parent[node]);
      },
      panel: () => {
        if (node < 0) go(0);
        panel.current?.focus();
      },
      find: () => searchBox.current?.focus(),
      "next-match": () => step(1),
      "previous-match": () => step(-1),
      "next-error": () => select(nextError(model, selected, 1)),
      critical: () => change({ critical: !state.critical }),
      "fold-all": () => change({ folding: rowsOf.ALL_FOLDED }),
      "unfold-all": () => change({ folding: rowsOf.ALL_OPEN }),
      "zoom-in": () => change({ viewport: zoom(view, 0.6, middle(model, node, view)) }),
      "zoom-out": () => change({ viewport: zoom(view, 1 / 0.6, middle(model, node, view)) }),
      fit: () => change({ viewport: WHOLE }),
      "pan-left": () => change({ viewport: pan(view, -0.2) }),
      "pan-right": () => change({ viewport: pan(view, 0.2) }),
      "zoom-span": () => {
        if (node >= 0) change({ viewport: around(model, node) });
      },
      help: () => setHelp(true),
      close: () => change({ span: null }),
    };
    actions[action]();
  };

  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <TraceHeader model={model} state={state} onChange={change} onNextError={() => select(nextError(model, selected, 1))} />
      <Toolbar
        state={state}
        onChange={change}
        searchBox={searchBox}
        matches={matches.length}
        match={matches.indexOf(selected)}
        searching={remote.isFetching}
        truncated={remote.data?.truncated ?? false}
        onStep={step}
        onLeave={focusTree}
        onHelp={() => setHelp(true)}
        pathState={state.critical ? (critical.isError ? "failed" : critical.isFetching && !critical.data ? "loading" : "shown") : "off"}
      />
      <div className="flex min-h-0 flex-1 max-lg:flex-col">
        <div className="flex min-h-0 min-w-0 flex-1 flex-col">
          {state.view === "waterfall" ? (
            <>
              <Minimap model={model} colours={colours} viewport={state.viewport} onViewport={(viewport) => change({ viewport })} />
              <Waterfall
                model={model}
                rows={rows}
                colours={colours}
                selected={selected}
                folding={state.folding}
                found={found}
                filtered={state.only && found !== null}
                path={state.critical ? (critical.data ?? null) : null}
                viewport={state.viewport}
                onViewport={(viewport) => change({ viewport })}
                onSelect={(node) => change({ span: model.id[node] })}
                onToggle={toggle}
                onToggleRun={toggleRun}
                onAction={act}
              />
            </>
          ) : (
            <Suspense fallback={<Loading what="the view" />}>
              {state.view === "lanes" ? (
                <Lanes model={model} colours={colours} selected={selected} found={found} viewport={state.viewport} onViewport={(viewport) => change({ viewport })} onSelect={select} />
              ) : state.view === "flame" ? (
                <Flame model={model} colours={colours} selected={selected} found={found} onSelect={select} />
              ) : (
                <Graph model={model} selected={selected} onSelect={select} />
              )}
            </Suspense>
          )}
        </div>
        {state.span !== null && (
          <SpanPanel
            ref={panel}
            model={model}
            node={selected}
            spanId={state.span}
            onClose={() => {
              change({ span: null });
              focusTree();
            }}
            onSelect={(id) => select(model.nodeOf.get(id) ?? -1)}
            onBack={focusTree}
          />
        )}
      </div>
      {help && <KeyHelp onClose={() => setHelp(false)} />}
    </div>
  );
}

/** Where zooming holds: the beginning of the span, if it is to be seen. */
function middle(model: TraceModel, node: number, view: { from: number; to: number }): number {
  if (node < 0) return 0.5;
  const at = (model.start[node] / model.duration - view.from) / (view.to - view.from);
  return at >= 0 && at <= 1 ? at : 0.5;
}

function around(model: TraceModel, node: number) {
  const [from, to] = [model.start[node] / model.duration, model.latest[node] / model.duration];
  const margin = Math.max((to - from) * 0.05, 1e-7);
  return clamp({ from: from - margin, to: to + margin });
}
