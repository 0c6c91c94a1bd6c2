import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleX, Radio, Unplug } from "lucide-react";
import { useState } from "react";
import { eventsQuery, infoQuery } from "../api/queries";
import type { BusEvent } from "../api/types";
import { formatBytes, formatCount, plural } from "../lib/format";
import { streamOf } from "../lib/topics";
import { keepRange, useQueryState, useTimeRange } from "../lib/query-state";
import { isLive, rangeParams } from "../lib/time-range";
import { useLive } from "../live/use-live";
import { eventsOf, skippedOf } from "../live/frames";
import { keyOf, merged } from "../live/merge";
import { Badge, Button, PageHead } from "../ui/basics";
import { Chips, TextFilter } from "../ui/filters";
import { Listing, goRow } from "../ui/listing";
import { AgentName, TraceLink, When } from "../ui/values";

const FILTERS = ["topic", "sender", "event_id", "workflow"];
/** Rows of a live list: what is older is on the next page. */
const KEPT = 200;

export function EventsPage() {
  const [search, set] = useQueryState();
  const [range] = useTimeRange();
  const live = search.live === "1" && isLive(range) && !search.cursor;
  const [fresh, setFresh] = useState<BusEvent[]>([]);
  const [skipped, setSkipped] = useState({ frames: 0, spans: 0 });
  const conditions = Object.fromEntries(FILTERS.map((field) => [field, search[field]]));
  const query = useQuery(eventsQuery({ ...conditions, ...rangeParams(range), cursor: search.cursor, limit: 100 }));
  const wanted = (event: BusEvent) =>
    (!search.sender || event.sender === search.sender) &&
    (!search.topic || event.topic === search.topic) &&
    (!search.workflow || event.workflow_id === search.workflow) &&
    (!search.event_id || event.event_id === search.event_id);
  useLive(
    "events",
    {
      onData: (data) => {
        const spans = skippedOf(data);
        if (spans > 0) setSkipped((before) => ({ ...before, spans: before.spans + spans }));
        // What nobody wants to see takes no place from the rest.
        const events = eventsOf(data).filter(wanted);
        if (events.length > 0) setFresh((before) => merged(events, before, KEPT));
      },
      onReset: () => {
        setFresh([]);
        void query.refetch();
      },
      onGap: (dropped) => setSkipped((before) => ({ ...before, frames: before.frames + dropped })),
    },
    live,
  );
  const events = live ? merged(fresh.filter(wanted), query.data?.items ?? [], KEPT) : (query.data?.items ?? []);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Events" sub="one row for each publish">
        {live && skipped.frames > 0 && <Badge tone="warn">{plural(skipped.frames, "frame")} skipped: more came than this page could take</Badge>}
        {live && skipped.spans > 0 && <Badge tone="warn">{plural(skipped.spans, "span")} skipped: more came at once than the server tells</Badge>}
        <Button icon={Radio} pressed={live} disabled={!isLive(range)} title={isLive(range) ? "Add events as they come" : "The time range does not end now"} onClick={() => set({ live: live ? undefined : "1", cursor: undefined })}>
          Follow
        </Button>
      </PageHead>
      <div className="flex flex-none flex-wrap gap-2 px-5 pb-3">
        <TextFilter name="Topic" field="topic" search={search} set={set} suggest="topic" className="w-[220px]" />
        <TextFilter name="Sender" field="sender" search={search} set={set} suggest="agent" className="w-[180px]" />
        <TextFilter name="Event id" field="event_id" search={search} set={set} className="w-[300px]" />
        <Chips fields={["workflow"]} search={search} set={set} />
      </div>
      <div className="flex min-h-0 flex-1 flex-col px-5 pb-4">
        <Listing what="events" query={query} count={events.length} nextCursor={query.data?.next_cursor} search={search} set={set} filters={FILTERS} empty={<p>No agent has published anything in the chosen time range.</p>}>
          <EventTable events={events} />
        </Listing>
      </div>
    </div>
  );
}

function EventTable({ events }: { events: BusEvent[] }) {
  const navigate = useNavigate();
  const info = useQuery(infoQuery());
  return (
    <table className="grid-table">
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Topic</th>
          <th scope="col">Sender</th>
          <th scope="col" className="right">Delivered to</th>
          <th scope="col">Type</th>
          <th scope="col">Thread, correlation</th>
          <th scope="col" className="right">Size</th>
          <th scope="col">Trace</th>
        </tr>
      </thead>
      <tbody>
        {events.map((event) => (
          <tr key={keyOf(event)} {...goRow(() => void navigate({ to: "/events/$eventId", params: { eventId: event.event_id }, search: keepRange }))}>
            <td className="text-text-2">
              <When time={event.time} />
            </td>
            <td>
              <span className="flex items-center gap-2">
                <span className="truncate font-medium">{event.topic}</span>
                {event.status === "error" && (
                  <Badge tone="bad" icon={CircleX}>
                    error
                  </Badge>
                )}
              </span>
            </td>
            <td>
              <AgentName id={event.sender} />
            </td>
            <td className="right">
              <DeliveredTo matched={event.matched} stream={streamOf(event.topic, info.data?.streams)} />
            </td>
            <td className="text-text-2">{event.event_type ?? "–"}</td>
            <td className="mono max-w-[220px]! text-text-3">{event.thread_id ?? event.correlation_id ?? "–"}</td>
            <td className="num right text-text-2">{formatBytes(event.size)}</td>
            <td>
              <TraceLink trace={event.trace_id} span={event.span_id} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Groups take from their stream, and are no subscriptions that the publish has found. */
function DeliveredTo({ matched, stream }: { matched: BusEvent["matched"]; stream: string | null }) {
  if (stream !== null) {
    return (
      <span className="text-text-2" title="The groups of the stream take it from there">
        stream {stream}
        {matched ? <span className="num"> + {formatCount(matched)}</span> : ""}
      </span>
    );
  }
  if (matched !== 0) return <span className="num">{formatCount(matched)}</span>;
  return (
    <Badge tone="warn" icon={Unplug} title="No subscription wanted it">
      nobody
    </Badge>
  );
}
