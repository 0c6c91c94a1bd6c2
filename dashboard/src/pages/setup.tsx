import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleCheck, CircleDashed, Star } from "lucide-react";
import type { ReactNode } from "react";
import { agentsQuery, infoQuery, statsQuery, tracesQuery } from "../api/queries";
import { formatAgo, formatBytes, formatCount, formatNs, plural } from "../lib/format";
import { useNow } from "../lib/now";
import { useThrottled } from "../lib/throttled";
import { useLive } from "../live/use-live";
import { PageHead, buttonClass, cx } from "../ui/basics";
import { Failure, Snippet } from "../ui/states";
import { AgentNames } from "../ui/values";

const EXAMPLE = `from loom import Agent

agent = Agent("greeter")

@agent.on("guest.arrived")
async def greet(ctx, topic, event):
    await ctx.emit("guest.greeted", payload={"text": "Welcome!"})

agent.run()`;

/** From a server that has seen nothing to the first trace through several agents. Steps turn green by themselves. */
export function SetupPage() {
  const info = useQuery({ ...infoQuery(), refetchInterval: 5_000 });
  const stats = useQuery({ ...statsQuery(), refetchInterval: 2_000 });
  const agents = useQuery({ ...agentsQuery(), refetchInterval: 2_000 });
  const traces = useQuery({ ...tracesQuery({ from: "now-24h", to: "now", limit: 50 }), refetchInterval: 2_000 });
  const now = useNow(1_000);
  const look = useThrottled(() => {
    void agents.refetch();
    void traces.refetch();
  }, 1_000);
  useLive("agents", { onData: look, onReset: look });
  useLive("traces", { onData: look });

  if (info.isError) return <Failure error={info.error} retry={() => void info.refetch()} />;
  const { addresses } = info.data ?? {};
  const known = agents.data?.items ?? [];
  const connected = known.filter((agent) => agent.state === "connected");
  const events = stats.data?.bus.total.events ?? 0;
  const found = traces.data?.items ?? [];
  // The oldest of those that went through more than one agent.
  const whole = found.findLast((trace) => trace.agents.length >= 2);
  const last = found[0];
  return (
    <div className="min-h-0 flex-1 overflow-y-auto" tabIndex={0} role="region" aria-label="Setup">
      <PageHead title={events === 0 ? "Waiting for your first event" : "Setup"} sub={info.data && `Loom ${info.data.version}`} />
      <div className="mx-auto max-w-3xl space-y-4 px-5 pb-10">
        {whole && (
          <section role="status" className="rise card flex flex-wrap items-center gap-4 border-accent! bg-accent-soft! px-5 py-4">
            <Star size={22} aria-hidden className="flex-none text-accent" />
            <div className="min-w-0 flex-1">
              <h2 className="font-semibold">First full trace: {plural(whole.agents.length, "agent")}, {plural(whole.spans, "span")}, {formatNs(Number(whole.duration_ns))}</h2>
              <div className="mt-1"><AgentNames ids={whole.agents} most={6} /></div>
            </div>
            <Link to="/traces/$traceId" params={{ traceId: whole.trace_id }} className={buttonClass("primary")}>
              Open trace
            </Link>
          </section>
        )}
        <ol className="card divide-y divide-line">
          <Step done={info.data !== undefined} title="The server is up">
            {addresses && (
              <dl className="grid grid-cols-[110px_1fr] gap-y-0.5 text-xs">
                <Port name="agents" at={addresses.bridge} />
                <Port name="OTLP / gRPC" at={addresses.otlp_grpc} />
                <Port name="OTLP / HTTP" at={addresses.otlp_http} />
              </dl>
            )}
          </Step>
          <Step done={connected.length > 0} title={connected.length > 0 ? `${plural(connected.length, "agent")} connected` : events > 0 ? "No agent is connected now" : "No agent has connected yet"}>
            {connected.length > 0 ? (
              <AgentNames ids={connected.map((agent) => agent.agent_id)} most={8} />
            ) : (
              <>
                <p>Three agents to see it work, from Loom's own folder:</p>
                <Snippet>loom run demo/trace-test</Snippet>
                <p>Or one of your own:</p>
                <Snippet>{EXAMPLE}</Snippet>
              </>
            )}
          </Step>
          <Step done={events > 0} title={events > 0 ? `${formatCount(events)} events on the bus` : "No event was published yet"}>
            {events > 0 ? <Link to="/events" className="link text-xs">See them</Link> : <p>Whatever an agent emits is counted here at once.</p>}
          </Step>
          <Step done={last !== undefined} title={last ? `Spans have arrived, the last trace began ${formatAgo(last.start_time, now)}` : "No trace was stored yet"}>
            {last ? (
              <Link to="/traces" className="link text-xs">
                See the traces
              </Link>
            ) : (
              <p>Processes hand on their spans about a second after they ended. Your own OpenTelemetry SDK can send here too: OTEL_EXPORTER_OTLP_ENDPOINT=http://{addresses?.otlp_grpc ?? "localhost:4317"}</p>
            )}
          </Step>
          <Step done={whole !== undefined} title={whole ? "A trace went through several agents" : "No trace went through two agents yet"}>
            {!whole && <p>As soon as one agent handles what another has published, both stand in one trace.</p>}
          </Step>
        </ol>
        {stats.data && (
          <p className="text-xs text-text-3">
            Store: {formatBytes(stats.data.store_bytes)}, {formatCount(stats.data.stored)} spans.
            {stats.data.lag > 0 && ` ${formatCount(stats.data.lag)} wait to be stored.`}
            {stats.data.lost_spans > 0 && ` ${formatCount(stats.data.lost_spans)} were lost: see the log.`}
          </p>
        )}
      </div>
    </div>
  );
}

function Step({ done, title, children }: { done: boolean; title: string; children?: ReactNode }) {
  const Icon = done ? CircleCheck : CircleDashed;
  return (
    <li className="flex gap-3 px-5 py-4">
      <Icon size={18} className={cx("mt-px flex-none", done ? "text-ok" : "pulse text-text-3")} aria-label={done ? "done" : "waiting"} />
      <div className="min-w-0 flex-1 space-y-2 text-sm text-text-2">
        <h2 className="text-[13px] font-medium text-text">{title}</h2>
        {children}
      </div>
    </li>
  );
}

function Port({ name, at }: { name: string; at: string | null | undefined }) {
  return (
    <>
      <dt className="text-text-3">{name}</dt>
      <dd className="mono">{at ?? "off"}</dd>
    </>
  );
}
