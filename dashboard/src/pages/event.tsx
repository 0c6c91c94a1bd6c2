import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { CircleX, SearchX, Waypoints } from "lucide-react";
import type { ReactNode } from "react";
import { api } from "../api/client";
import { infoQuery, isMissing } from "../api/queries";
import type { BusEventDetail } from "../api/types";
import { formatBytes, formatCount, formatMs, formatTime, isKnown } from "../lib/format";
import { usePrefs } from "../lib/prefs";
import { keepRange, rangeWith } from "../lib/query-state";
import { streamOf } from "../lib/topics";
import { Value } from "../trace/attributes";
import { Badge, CopyButton, PageHead, buttonClass } from "../ui/basics";
import { goRow } from "../ui/listing";
import { Failure, Loading, Notice } from "../ui/states";
import { AgentName, StateBadge, TraceLink } from "../ui/values";

export function EventPage() {
  const { eventId } = useParams({ from: "/events/$eventId" });
  const query = useQuery({ queryKey: ["events", eventId], queryFn: ({ signal }) => api.event(eventId, signal) });
  if (query.isPending) return <Loading what="the event" />;
  if (query.isError) {
    return isMissing(query.error) ? (
      <Notice page icon={SearchX} title="This event is not here">
        <p className="mono [overflow-wrap:anywhere]">{eventId}</p>
        <p>Its span may not have come yet, was not sampled, or is older than what the store keeps.</p>
      </Notice>
    ) : (
      <Failure error={query.error} retry={() => void query.refetch()} />
    );
  }
  return <Shown event={query.data} />;
}

function Shown({ event }: { event: BusEventDetail }) {
  const { zone } = usePrefs();
  const info = useQuery(infoQuery());
  const facts: [string, ReactNode][] = [
    ["Event", <Id key="event" text={event.event_id} />],
    ["Published", <span key="time" className="num">{formatTime(event.time, zone)}</span>],
    ["Sender", <AgentName key="sender" id={event.sender} />],
    ["Type", event.event_type],
    ["Size", formatBytes(event.size)],
    ["Stream", streamOf(event.topic, info.data?.streams)],
    ["Subscriptions", formatCount(event.matched)],
    ["Thread", event.thread_id],
    ["Correlation", event.correlation_id],
    ["Workflow", event.workflow_id && <Link key="workflow" to="/workflows/$workflowId" params={{ workflowId: event.workflow_id }} search={keepRange} className="link">{event.workflow_id}</Link>],
  ];
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-y-auto" tabIndex={0} role="region" aria-label="The event">
      <PageHead title={event.topic} sub="event">
        {event.status === "error" && (
          <Badge tone="bad" icon={CircleX}>
            error
          </Badge>
        )}
        <Link to="/events" search={rangeWith({ topic: event.topic })} className={buttonClass()}>
          Events of this topic
        </Link>
        <Link to="/traces/$traceId" params={{ traceId: event.trace_id }} search={rangeWith({ span: event.span_id })} className={buttonClass("primary")}>
          <Waypoints size={14} aria-hidden />
          Open trace
        </Link>
      </PageHead>
      <div className="grid flex-none gap-4 px-5 pb-6 xl:grid-cols-[minmax(0,1fr)_380px]">
        <div className="min-w-0 space-y-4">
          <section className="card overflow-x-auto" aria-label="Deliveries" tabIndex={0}>
            <h2 className="label px-4 pt-3 pb-2">Deliveries</h2>
            <Deliveries event={event} />
          </section>
          <section className="card">
            <h2 className="label px-4 pt-3">Payload</h2>
            <Payload kept={event.kept} stream={streamOf(event.topic, info.data?.streams)} />
          </section>
        </div>
        <dl className="card grid h-fit grid-cols-[104px_minmax(0,1fr)] items-center gap-x-3 gap-y-2 p-4 text-[13px]">
          {facts.map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="text-text-3">{name}</dt>
              <dd className="min-w-0 [overflow-wrap:anywhere]">{value || <span className="text-text-3">–</span>}</dd>
            </div>
          ))}
        </dl>
      </div>
    </div>
  );
}

function Id({ text }: { text: string }) {
  return (
    <span className="flex items-center gap-1">
      <span className="mono min-w-0 [overflow-wrap:anywhere]">{text}</span>
      <CopyButton text={text} name="Copy the event id" />
    </span>
  );
}

function Deliveries({ event }: { event: BusEventDetail }) {
  const navigate = useNavigate();
  if (event.deliveries.length === 0) {
    return <p className="px-4 pb-4 text-sm text-text-2">{event.matched === 0 && !event.kept ? "No subscription wanted it." : "No delivery of it is known yet."}</p>;
  }
  return (
    <table className="grid-table">
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Subscriber</th>
          <th scope="col">Subscription</th>
          <th scope="col" className="right">Try</th>
          <th scope="col" className="right">Waited</th>
          <th scope="col" className="right">Took</th>
          <th scope="col" className="w-full">Error</th>
          <th scope="col">Trace</th>
        </tr>
      </thead>
      <tbody>
        {event.deliveries.map((delivery) => (
          <tr
            key={`${delivery.span_id} ${delivery.subscriber}`}
            {...goRow(() => void navigate({ to: "/traces/$traceId", params: { traceId: event.trace_id }, search: rangeWith({ span: delivery.span_id }) }))}
          >
            <td>
              <StateBadge state={delivery.state} />
            </td>
            <td>
              <AgentName id={delivery.subscriber} />
            </td>
            <td className="text-text-2">{[delivery.subscription, delivery.group && `group ${delivery.group}`].filter(Boolean).join(" · ") || "–"}</td>
            <td className="num right">{delivery.attempt}</td>
            <td className="num right">{formatMs(delivery.wait_ms)}</td>
            <td className="num right">{formatMs(delivery.duration_ms)}</td>
            <td className="max-w-0! text-bad" title={delivery.error_message ?? undefined}>
              {delivery.error_message ?? ""}
            </td>
            <td>
              <TraceLink trace={event.trace_id} span={delivery.span_id} label="open" />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Payload({ kept, stream }: { kept: BusEventDetail["kept"]; stream: string | null }) {
  if (!kept) {
    const why = stream === null ? "Not kept: its topic belongs to no stream." : `Not here any more: the stream ${stream} has released it.`;
    return <p className="px-4 pt-1 pb-4 text-sm text-text-2">{why} Payloads are never in spans.</p>;
  }
  const metadata = Object.entries(kept.metadata);
  return (
    <div className="space-y-3 px-4 pt-1 pb-4">
      <p className="text-xs text-text-3">
        stream {kept.stream}, offset <span className="num">{kept.offset}</span>
        {kept.truncated && " · cut off here"}
      </p>
      <div className="max-h-[420px] overflow-auto rounded-md bg-raised p-3" tabIndex={0} role="region" aria-label="Payload">
        {isKnown(kept.payload_text) ? <Value value={kept.payload_text} /> : <span className="mono [overflow-wrap:anywhere]">base64: {kept.payload_base64 ?? ""}</span>}
      </div>
      {metadata.length > 0 && (
        <dl className="grid grid-cols-[160px_1fr] gap-x-3 gap-y-1">
          {metadata.map(([key, value]) => (
            <div key={key} className="contents">
              <dt className="mono text-text-3">{key}</dt>
              <dd>
                <Value value={value} />
              </dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
