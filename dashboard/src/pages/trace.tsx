import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Hourglass, SearchX } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { WAIT_FOR_TRACE_MS, isMissing, traceQuery } from "../api/queries";
import { useLive } from "../live/use-live";
import { hasGrown } from "../live/frames";
import { useNow } from "../lib/now";
import { useThrottled } from "../lib/throttled";
import { TracePage } from "../trace/page";
import { Button } from "../ui/basics";
import { Failure, Loading, Notice } from "../ui/states";

const ComparePage = lazy(() => import("./compare").then((module) => ({ default: module.ComparePage })));

/** `/traces/{id}`, or `/traces/{a}...{b}` to compare two. */
export function TraceRoute() {
  const { traceId } = useParams({ from: "/traces/$traceId" });
  const [a, b] = traceId.toLowerCase().split("...");
  if (b !== undefined) {
    return (
      <Suspense fallback={<Loading what="the comparison" />}>
        <ComparePage a={a} b={b} />
      </Suspense>
    );
  }
  return <OneTrace key={a} id={a} />;
}

function OneTrace({ id }: { id: string }) {
  const [openedAt, setOpenedAt] = useState(() => Date.now());
  const trace = useQuery(traceQuery(id, openedAt));
  const queries = useQueryClient();
  // Many spans come at once; one look at them is enough.
  const look = useThrottled(() => {
    void queries.invalidateQueries({ queryKey: ["traces", id] });
    void queries.invalidateQueries({ queryKey: ["critical-path", id] });
  }, 1_000);
  useLive("traces", {
    onData: (data) => {
      if (hasGrown(data, id)) look();
    },
    onReset: look,
  });

  if (trace.data) return <TracePage trace={trace.data} />;
  const waiting = isMissing(trace.failureReason) || isMissing(trace.error);
  if (waiting && trace.isPending) return <Waiting id={id} since={openedAt} />;
  if (trace.isError && isMissing(trace.error)) {
    const again = () => {
      setOpenedAt(Date.now());
      void queries.resetQueries({ queryKey: ["traces", id] });
    };
    return (
      <Notice page icon={SearchX} title="This trace is not here" actions={<Button look="primary" onClick={again}>Wait for it again</Button>}>
        <p className="mono [overflow-wrap:anywhere]">{id}</p>
        <p>No span of it has come in 30 seconds. It may have been left out by the sampler, be older than what the store keeps, or have gone to another collector.</p>
      </Notice>
    );
  }
  if (trace.isError) return <Failure error={trace.error} retry={() => void trace.refetch()} />;
  return <Loading what="the trace" />;
}

/** An event can be clicked before its spans have come: they are waited for, and it is said. */
function Waiting({ id, since }: { id: string; since: number }) {
  const now = useNow(250);
  const part = Math.min(1, (now - since) / WAIT_FOR_TRACE_MS);
  return (
    <Notice page icon={Hourglass} title="Waiting for the spans of this trace">
      <p className="mono [overflow-wrap:anywhere]">{id}</p>
      <p>0 of ? spans have come. Processes hand on their spans a moment after they have ended.</p>
      <div className="mx-auto h-1 w-56 overflow-hidden rounded-full bg-raised" role="progressbar" aria-label="Time that is waited" aria-valuenow={Math.round(part * 100)} aria-valuemin={0} aria-valuemax={100}>
        <div className="h-1 bg-accent" style={{ width: `${part * 100}%` }} />
      </div>
    </Notice>
  );
}
