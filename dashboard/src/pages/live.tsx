import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Map as MapIcon, Table2 } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { agentsQuery, eventsQuery, topologyQuery } from "../api/queries";
import type { BusEvent } from "../api/types";
import { formatRate, plural } from "../lib/format";
import { useQueryState } from "../lib/query-state";
import { keyOf, merged } from "../live/merge";
import { eventsOf } from "../live/frames";
import { TopologyTable } from "../live/table-view";
import { useLive, useLiveState } from "../live/use-live";
import { Button, PageHead } from "../ui/basics";
import { Choice } from "../ui/filters";
import { Failure, Loading } from "../ui/states";
import { AgentName, TraceLink, When } from "../ui/values";
import { SetupPage } from "./setup";

const LiveMap = lazy(() => import("../live/map-view").then((module) => ({ default: module.LiveMap })));

const WINDOWS: [string, string][] = [["60s", "last minute"], ["5m", "last 5 min"], ["15m", "last 15 min"], ["1h", "last hour"]];
const LAST_EVENTS = 60;

export function LivePage() {
  const [search, set] = useQueryState();
  const queries = useQueryClient();
  const period = WINDOWS.find(([key]) => key === search.window)?.[0] ?? "60s";
  const isPaused = useLiveState() === "paused";
  const topology = useQuery({ ...topologyQuery({ window: period, workflow: search.workflow }), ...(isPaused && { refetchInterval: false }) });
  const agents = useQuery(agentsQuery());
  const again = () => {
    void queries.invalidateQueries({ queryKey: ["topology"] });
    void queries.invalidateQueries({ queryKey: ["agents"] });
  };
  // Somebody came or went.
  useLive("agents", { onData: again, onReset: again });

  if (topology.isPending || agents.isPending) return <Loading what="the map" />;
  if (topology.isError && agents.isError && !topology.data) return <Failure error={topology.error} retry={again} />;
  const shown = topology.data;
  // Nobody has ever been here: what is needed is the way to the first event, not an empty map.
  if ((agents.data?.items.length ?? 0) === 0 && (shown?.edges.length ?? 0) === 0 && !search.workflow) return <SetupPage />;
  if (!shown) return <Failure error={topology.error} retry={again} />;
  const asTable = search.view === "table";
  const connected = shown.agents.filter((agent) => agent.state === "connected").length;
  const perSecond = shown.topics.reduce((sum, topic) => sum + topic.published_per_s, 0);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Live" sub={`${plural(connected, "agent")} connected · ${formatRate(perSecond)} published`}>
        <Choice name="Window" value={period} options={WINDOWS} onChange={(next) => set({ window: next === "60s" ? undefined : next })} />
        <Button icon={asTable ? MapIcon : Table2} onClick={() => set({ view: asTable ? undefined : "table" })}>
          {asTable ? "As a map" : "As a table"}
        </Button>
      </PageHead>
      <div className="flex min-h-0 flex-1 max-lg:flex-col">
        <div className="relative min-h-[280px] min-w-0 flex-1 border-t border-line">
          {asTable ? (
            <div className="h-full overflow-auto bg-surface" tabIndex={0} role="region" aria-label="Edges of the map">
              <TopologyTable topology={shown} />
            </div>
          ) : (
            <Suspense fallback={<Loading what="the map" />}>
              <LiveMap topology={shown} focus={search.focus ?? null} onFocus={(focus) => set({ focus: focus ?? undefined })} />
            </Suspense>
          )}
        </div>
        <LastEvents focus={search.focus ?? null} />
      </div>
    </div>
  );
}

/** What was published last, each with the way to its trace. */
function LastEvents({ focus }: { focus: string | null }) {
  const first = useQuery(eventsQuery({ from: "now-15m", to: "now", limit: 40 }));
  const [fresh, setFresh] = useState<BusEvent[]>([]);
  useLive("events", {
    onData: (data) => {
      const events = eventsOf(data);
      if (events.length > 0) setFresh((before) => merged(events, before, LAST_EVENTS));
    },
    onReset: () => {
      setFresh([]);
      void first.refetch();
    },
  });
  const of = (event: BusEvent) => focus === null || focus === `topic:${event.topic}` || focus === `agent:${event.sender}`;
  const events = merged(fresh, first.data?.items ?? [], LAST_EVENTS).filter(of);
  return (
    <section aria-label="Last events" className="flex min-h-0 w-full flex-none flex-col border-t border-line bg-surface max-lg:max-h-[40%] lg:w-[300px] lg:border-l">
      <h2 className="label flex h-9 flex-none items-center border-b border-line px-4">Last events</h2>
      {events.length === 0 ? (
        <p className="px-4 py-6 text-center text-xs text-text-3">{focus ? "None of this one in the last 15 minutes." : "None in the last 15 minutes."}</p>
      ) : (
        <ol className="min-h-0 flex-1 overflow-y-auto" tabIndex={0} aria-label="Last events, newest first">
          {events.map((event) => (
            <li key={keyOf(event)} className="flex items-center gap-2 border-b border-line px-4 py-1.5">
              <div className="min-w-0 flex-1">
                <div className="truncate text-xs font-medium">{event.topic}</div>
                <div className="flex items-center gap-2 text-2xs text-text-3">
                  <When time={event.time} />
                  <AgentName id={event.sender} className="min-w-0" />
                </div>
              </div>
              <TraceLink trace={event.trace_id} span={event.span_id} label="trace" />
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
