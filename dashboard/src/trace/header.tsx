import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { CircleX, Download, Ellipsis, ExternalLink, GitCompareArrows, Link2, Scissors, Unlink } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { useState, type FormEvent } from "react";
import { urlOf } from "../api/client";
import { infoQuery } from "../api/queries";
import { formatNs, formatTime, msOfNs, plural, shortId } from "../lib/format";
import { usePrefs } from "../lib/prefs";
import { Badge, Button, CopyButton, buttonClass } from "../ui/basics";
import { Modal } from "../ui/modal";
import { AgentNames } from "../ui/values";
import { chromeTrace } from "./chrome-trace";
import { fillTemplate } from "./links";
import { type TraceModel, missingParents, spanView } from "./model";
import type { TraceState } from "./state";
import { TimeSplit } from "./time-split";

interface HeaderProps {
  model: TraceModel;
  state: TraceState;
  onChange: (part: Partial<TraceState>) => void;
  onNextError: () => void;
}

/** The root that began first; a missing parent has no name to show. */
function titleOf(model: TraceModel): string {
  for (let node = 0; node < model.count; node = model.end[node]) {
    const view = spanView(model, node);
    if (view) return view.name || "(no name)";
  }
  return "Trace without a root";
}

export function TraceHeader({ model, state, onChange, onNextError }: HeaderProps) {
  const { trace } = model;
  const { zone } = usePrefs();
  const info = useQuery(infoQuery());
  const startMs = msOfNs(trace.start_ns);
  const values = {
    trace_id: trace.trace_id,
    span_id: state.span ?? undefined,
    service: trace.services[0],
    start_ms: startMs,
    end_ms: startMs + model.duration / 1e6,
  };
  const jaeger = fillTemplate(info.data?.links.jaeger_trace, values);
  const grafana = fillTemplate(info.data?.links.grafana_trace, values);
  const missing = missingParents(model);
  const linked = trace.linked_from.length + leaving(model).length;
  return (
    <header className="flex-none border-b border-line bg-surface px-5 pt-3 pb-2.5">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h1 className="min-w-0 truncate text-[17px] font-semibold">{titleOf(model)}</h1>
        <span className="num text-[17px] font-semibold text-text-2">{formatNs(Number(trace.duration_ns))}</span>
        {trace.errors > 0 && (
          <button type="button" onClick={onNextError} title="To the next error (e)" className="rounded hover:brightness-95">
            <Badge tone="bad" icon={CircleX}>
              {plural(trace.errors, "error")}
            </Badge>
          </button>
        )}
        {missing > 0 && (
          <Badge tone="warn" icon={Unlink} title="Spans name a parent that is not there: it has not been told yet, was lost, or is told to another collector.">
            {plural(missing, "missing parent")}
          </Badge>
        )}
        {trace.truncated && (
          <Badge tone="warn" icon={Scissors} title="The trace has more spans than the server sends.">
            cut off
          </Badge>
        )}
        <div className="ml-auto flex items-center gap-2">
          {jaeger && <External href={jaeger} name="Jaeger" />}
          {grafana && <External href={grafana} name="Grafana" />}
          <More model={model} />
        </div>
      </div>
      <div className="mt-1 flex flex-wrap items-center gap-x-4 gap-y-1 text-xs text-text-3">
        <span className="flex items-center gap-0.5">
          <span className="mono" title={trace.trace_id}>
            {trace.trace_id}
          </span>
          <CopyButton text={trace.trace_id} name="Copy the trace id" />
        </span>
        <span className="num">{formatTime(startMs, zone)}</span>
        <span className="num">{plural(trace.spans, "span")}</span>
        {trace.agents.length > 0 && <AgentNames ids={trace.agents} most={6} />}
        {linked > 0 && <Linked model={model} onSelect={(span) => onChange({ span })} />}
      </div>
      <div className="mt-2">
        <TimeSplit summary={trace.summary} />
      </div>
    </header>
  );
}

function External({ href, name }: { href: string; name: string }) {
  return (
    <a href={href} target="_blank" rel="noreferrer" className={buttonClass()}>
      {name}
      <ExternalLink size={12} aria-hidden />
    </a>
  );
}

const MENU = "rise z-40 min-w-[220px] rounded-lg border border-line bg-surface p-1 shadow-pop";
const ENTRY = "flex h-8 cursor-pointer items-center gap-2 rounded-md px-2 text-xs text-text-2 outline-none data-[highlighted]:bg-raised data-[highlighted]:text-text";

/** Links to other traces; those within this one are told by their spans. */
const leaving = (model: TraceModel) => model.trace.linked_to.filter((link) => link.trace_id !== model.trace.trace_id);

/** Other traces that this one links to, or that link to it. */
function Linked({ model, onSelect }: { model: TraceModel; onSelect: (span: string) => void }) {
  const { linked_from } = model.trace;
  const linked_to = leaving(model);
  const count = linked_from.length + linked_to.length;
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="flex items-center gap-1 rounded px-1 text-accent hover:bg-accent-soft">
        <Link2 size={13} aria-hidden />
        {plural(count, "linked trace")}
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content align="start" className={MENU} aria-label="Linked traces">
          {linked_from.map((link) => (
            <DropdownMenu.Item key={`from ${link.trace_id} ${link.span_id} ${link.to_span_id}`} asChild>
              <Link to="/traces/$traceId" params={{ traceId: link.trace_id }} search={{ span: link.span_id }} className={ENTRY}>
                ← {link.name} <span className="mono text-text-3">{shortId(link.trace_id)}</span>
              </Link>
            </DropdownMenu.Item>
          ))}
          {linked_to.map((link) => (
            <DropdownMenu.Item key={`to ${link.trace_id} ${link.span_id} ${link.from_span_id}`} asChild>
              <Link
                to="/traces/$traceId"
                params={{ traceId: link.trace_id }}
                search={{ span: link.span_id }}
                className={ENTRY}
                onFocus={() => onSelect(link.from_span_id)}
              >
                → trace <span className="mono text-text-3">{shortId(link.trace_id)}</span>
              </Link>
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

function More({ model }: { model: TraceModel }) {
  const id = model.trace.trace_id;
  const [comparing, setComparing] = useState(false);
  return (
    <>
      <DropdownMenu.Root modal={false}>
        <DropdownMenu.Trigger asChild>
          <Button aria-label="More" icon={Ellipsis} className="px-1.5!" />
        </DropdownMenu.Trigger>
        <DropdownMenu.Portal>
          <DropdownMenu.Content align="end" className={MENU}>
            <DropdownMenu.Item className={ENTRY} onSelect={() => setComparing(true)}>
              <GitCompareArrows size={14} aria-hidden />
              Compare with another trace …
            </DropdownMenu.Item>
            <DropdownMenu.Item asChild>
              <a href={urlOf(`api/v3/traces/${id}`)} download={`${id}.otlp.json`} className={ENTRY}>
                <Download size={14} aria-hidden />
                OTLP JSON
              </a>
            </DropdownMenu.Item>
            <DropdownMenu.Item asChild>
              <a href={urlOf(`api/traces/${id}`)} download={`${id}.jaeger.json`} className={ENTRY}>
                <Download size={14} aria-hidden />
                Jaeger JSON
              </a>
            </DropdownMenu.Item>
            <DropdownMenu.Item className={ENTRY} onSelect={() => save(`${id}.perfetto.json`, chromeTrace(model))}>
              <Download size={14} aria-hidden />
              For Perfetto, chrome://tracing
            </DropdownMenu.Item>
          </DropdownMenu.Content>
        </DropdownMenu.Portal>
      </DropdownMenu.Root>
      {comparing && <CompareDialog id={id} onClose={() => setComparing(false)} />}
    </>
  );
}

/** Hands a text that was made here to the reader as a file. */
function save(name: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function CompareDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const [other, setOther] = useState("");
  const navigate = useNavigate();
  const valid = /^[0-9a-f]{32}$/i.test(other.trim());
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!valid) return;
    onClose();
    void navigate({ to: "/traces/$traceId", params: { traceId: `${id}...${other.trim().toLowerCase()}` } });
  };
  return (
    <Modal name="Compare with another trace" onClose={onClose} className="w-[min(460px,92vw)]">
      <form onSubmit={submit} className="space-y-3 p-5">
        <h2 className="text-sm font-semibold">Compare with another trace</h2>
        <label className="block space-y-1 text-xs text-text-2">
          <span>Its id, 32 hex digits</span>
          <input data-first-focus value={other} onChange={(event) => setOther(event.target.value)} className="mono h-8 w-full rounded-md border border-line bg-bg px-2" />
        </label>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={!valid}>
            Compare
          </Button>
        </div>
      </form>
    </Modal>
  );
}
