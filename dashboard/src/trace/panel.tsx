// Everything of one span, beside the tree. What the light answer knows is there at once; the rest comes a moment later.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Bot, CircleX, Ghost, ListChecks, Radio, X } from "lucide-react";
import { Tabs } from "radix-ui";
import { type Ref, useState } from "react";
import { isMissing, spanQuery } from "../api/queries";
import type { SpanDetail } from "../api/types";
import { useDebounced } from "../lib/debounced";
import { formatCount, formatNs, formatTime, msOfNs, plural, shortId } from "../lib/format";
import { setPrefs, usePrefs } from "../lib/prefs";
import { keepRange, rangeWith } from "../lib/query-state";
import { Badge, CopyButton, IconButton, buttonClass } from "../ui/basics";
import { Splitter } from "../ui/splitter";
import { Failure, Loading } from "../ui/states";
import { AgentName } from "../ui/values";
import { Attributes, Value } from "./attributes";
import { ModelCall, Performance } from "./performance";
import { type TraceModel, isLlm, isStandIn, spanView } from "./model";

interface PanelProps {
  ref: Ref<HTMLElement>;
  model: TraceModel;
  node: number;
  spanId: string;
  onClose: () => void;
  onSelect: (spanId: string) => void;
  onBack: () => void;
}

const LEAST_WIDTH = 300;
const clampWidth = (width: number) => Math.min(window.innerWidth * 0.6, Math.max(LEAST_WIDTH, width));

export function SpanPanel({ ref, model, node, spanId, onClose, onSelect, onBack }: PanelProps) {
  // What is dragged is what is seen: the window may be smaller than the one that the width was chosen in.
  const width = clampWidth(usePrefs().panelWidth);
  const view = node >= 0 ? spanView(model, node) : null;
  // Who walks with the arrow keys does not want each span on the way.
  const settled = useDebounced(spanId, 90);
  const missing = node >= 0 && view === null;
  const detail = useQuery(spanQuery(model.trace.trace_id, missing ? null : settled));
  const span = detail.data?.span_id === spanId ? detail.data : null;
  return (
    <aside
      ref={ref}
      aria-label="Details of the span"
      tabIndex={-1}
      className="relative flex max-w-full flex-none flex-col border-l border-line bg-surface outline-none! max-lg:h-[45%] max-lg:w-full! max-lg:border-t max-lg:border-l-0"
      style={{ width }}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          onBack();
        }
      }}
    >
      <Splitter
        name="Width of the details"
        edge="left"
        width={width}
        least={LEAST_WIDTH}
        most={1200}
        onWidth={(wished) => setPrefs({ panelWidth: clampWidth(wished) })}
        className="max-lg:hidden"
      />
      <header className="flex flex-none items-start gap-2 border-b border-line py-2.5 pr-2 pl-4">
        <div className="min-w-0 flex-1">
          <h2 className="truncate text-sm font-semibold" title={view?.name}>
            {view ? view.name || "(no name)" : missing ? "A parent that is missing" : "Not in this trace"}
          </h2>
          <div className="mt-0.5 flex flex-wrap items-center gap-x-3 gap-y-1 text-xs text-text-3">
            {view && <span className="num font-medium text-text">{formatNs(view.duration)}</span>}
            {view && <span className="num">at {formatNs(model.start[node])}</span>}
            {view && <span className="truncate">{view.service}</span>}
            {node >= 0 && model.failed[node] === 1 && (
              <Badge tone="bad" icon={CircleX}>
                error
              </Badge>
            )}
            {view && isStandIn(view) && (
              <Badge tone="warn" icon={Ghost} title="The span itself was lost with its process; the runtime wrote this one in its place.">
                stand-in
              </Badge>
            )}
          </div>
        </div>
        <IconButton icon={X} name="Close the details" onClick={onClose} />
      </header>
      <div className="min-h-0 flex-1 overflow-y-auto">
        {missing ? (
          <div className="space-y-2 px-4 py-4 text-sm text-text-2">
            <p>
              {plural(model.children[node], "span")} of this trace {model.children[node] === 1 ? "names" : "name"} the parent <code className="mono">{spanId}</code>, which is not here.
            </p>
            <p>Its process has not told of it yet, was killed before it could, or sends its spans elsewhere (OTEL_EXPORTER_OTLP_ENDPOINT). <code className="mono">loom trace {shortId(model.trace.trace_id)}… --check</code> says more.</p>
          </div>
        ) : span ? (
          <Detail span={span} model={model} onSelect={onSelect} />
        ) : detail.isError ? (
          isMissing(detail.error) ? (
            <p className="px-4 py-4 text-sm text-text-2">This span is not in the store: its process may not have told of it yet.</p>
          ) : (
            <Failure error={detail.error} retry={() => void detail.refetch()} />
          )
        ) : (
          <Loading what="the span" />
        )}
      </div>
    </aside>
  );
}

const TAB =
  "flex h-8 items-center gap-1 border-b-2 border-transparent px-2 text-xs text-text-2 hover:text-text data-[state=active]:border-accent data-[state=active]:font-medium data-[state=active]:text-text";

function Detail({ span, model, onSelect }: { span: SpanDetail; model: TraceModel; onSelect: (spanId: string) => void }) {
  // Until somebody chooses, what the span is about: of a call what was said.
  const [tab, setTab] = useState<string | null>(null);
  const links = span.links.length + span.linked_from.length;
  const performance = span.performance;
  const node = model.nodeOf.get(span.span_id);
  const view = node === undefined ? null : spanView(model, node);
  const isCall = (view !== null && isLlm(view)) || Boolean(performance?.model);
  const tabs = [
    ...(isCall ? [{ id: "model", name: "Model", count: 0 }] : []),
    { id: "attributes", name: "Attributes", count: Object.keys(span.attributes).length },
    { id: "events", name: "Events", count: span.events.length },
    { id: "links", name: "Links", count: links },
    ...(performance?.phases ? [{ id: "performance", name: "Performance", count: 0 }] : []),
    { id: "process", name: "Process", count: 0 },
  ];
  const shown = tabs.find((one) => one.id === tab)?.id ?? tabs[0].id;
  return (
    <>
      {(span.status_message || span.status === "error") && (
        <div className="border-b border-line bg-bad-soft px-4 py-2 text-xs">
          <div className="font-medium text-bad">{span.status_message ? "Error" : "The span failed and says no more"}</div>
          {span.status_message && <div className="mt-0.5 max-h-40 overflow-y-auto"><Value value={span.status_message} /></div>}
        </div>
      )}
      <Identity span={span} />
      <Tabs.Root value={shown} onValueChange={setTab}>
        <Tabs.List aria-label="Parts of the span" className="sticky top-0 z-10 flex gap-1 overflow-x-auto border-b border-line bg-surface px-2">
          {tabs.map(({ id, name, count }) => (
            <Tabs.Trigger key={id} value={id} className={TAB}>
              {name}
              {count > 0 && <span className="num text-2xs text-text-3">{formatCount(count)}</span>}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        <Tabs.Content value="attributes" tabIndex={-1}>
          <Attributes values={span.attributes} searchable empty="This span has no attributes." />
        </Tabs.Content>
        <Tabs.Content value="events" tabIndex={-1}>
          <Events span={span} />
        </Tabs.Content>
        <Tabs.Content value="links" tabIndex={-1}>
          <Links span={span} model={model} onSelect={onSelect} />
        </Tabs.Content>
        {isCall && (
          <Tabs.Content value="model" tabIndex={-1}>
            <ModelCall span={span} />
          </Tabs.Content>
        )}
        {performance?.phases && (
          <Tabs.Content value="performance" tabIndex={-1}>
            <Performance phases={performance.phases} />
          </Tabs.Content>
        )}
        <Tabs.Content value="process" tabIndex={-1}>
          <h3 className="label px-4 pt-3">Resource</h3>
          <Attributes values={span.resource} />
          <h3 className="label px-4 pt-1">Instrumentation</h3>
          <Attributes values={{ ...span.scope.attributes, name: span.scope.name, version: span.scope.version }} />
        </Tabs.Content>
      </Tabs.Root>
    </>
  );
}

/** Whom it is about, and the ways from here to what it belongs to. */
function Identity({ span }: { span: SpanDetail }) {
  const { zone } = usePrefs();
  const about = [
    ["workflow", span.workflow_id, "workflow"],
    ["session", span.session_id, "session"],
    ["user", span.user_id, "user"],
    ["tenant", span.tenant_id, "tenant"],
    ["thread", span.thread_id, "thread"],
  ].filter((one): one is [string, string, string] => Boolean(one[1]));
  return (
    <div className="space-y-2.5 border-b border-line px-4 py-3">
      <div className="flex flex-wrap gap-1.5">
        {span.agent_id && (
          <Link to="/agents/$agentId" params={{ agentId: span.agent_id }} search={keepRange} className={buttonClass()}>
            <Bot size={13} aria-hidden /> Agent
          </Link>
        )}
        {span.event_id && (
          <Link to="/events/$eventId" params={{ eventId: span.event_id }} search={keepRange} className={buttonClass()}>
            <Radio size={13} aria-hidden /> Event
          </Link>
        )}
        {span.execution_id && (
          <Link to="/executions" search={rangeWith({ execution: span.execution_id })} className={buttonClass()}>
            <ListChecks size={13} aria-hidden /> Execution
          </Link>
        )}
        <CopyButton text={window.location.href} label="Copy link" />
      </div>
      <dl className="grid grid-cols-[72px_1fr] items-center gap-x-3 gap-y-2 text-xs">
        <dt className="text-text-3">span</dt>
        <dd className="flex items-center gap-1">
          <span className="mono">{span.span_id}</span>
          <CopyButton text={span.span_id} name="Copy the span id" />
          <span className="text-text-3">{span.kind}</span>
        </dd>
        <dt className="text-text-3">began</dt>
        <dd className="num">{formatTime(msOfNs(span.start_ns), zone)}</dd>
        {span.agent_id && (
          <>
            <dt className="text-text-3">agent</dt>
            <dd className="min-w-0 truncate">
              <AgentName id={span.agent_id} />
            </dd>
          </>
        )}
        {about.map(([name, value, field]) => (
          <div key={name} className="contents">
            <dt className="text-text-3">{name}</dt>
            <dd className="min-w-0 truncate">
              <Link to="/traces" search={rangeWith({ [field]: value })} className="hover:underline" title={`Traces of this ${name}`}>
                {value}
              </Link>
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

function Events({ span }: { span: SpanDetail }) {
  if (span.events.length === 0) return <p className="px-4 py-3 text-xs text-text-3">Nothing happened in this span that it tells of.</p>;
  const start = BigInt(span.start_ns);
  return (
    <ol>
      {span.events.map((event, at) => {
        const stack = event.attributes["exception.stacktrace"];
        const { "exception.stacktrace": _, ...rest } = event.attributes;
        return (
          // Two events may have one name and one time.
          // oxlint-disable-next-line react/no-array-index-key
          <li key={`${event.time_ns} ${at}`} className="border-b border-line py-2 last:border-b-0">
            <div className="flex items-baseline gap-2 px-4">
              <span className={event.name === "exception" ? "font-medium text-bad" : "font-medium"}>{event.name}</span>
              <span className="num text-2xs text-text-3">+{formatNs(Number(BigInt(event.time_ns) - start))}</span>
            </div>
            {Object.keys(rest).length > 0 && <Attributes values={rest} />}
            {typeof stack === "string" && (
              <pre className="mono mx-4 mt-1 max-h-72 overflow-auto rounded-md bg-raised p-2 text-[11px]! leading-4" tabIndex={0}>
                {stack.slice(0, 20_000)}
              </pre>
            )}
          </li>
        );
      })}
    </ol>
  );
}

function Links({ span, model, onSelect }: { span: SpanDetail; model: TraceModel; onSelect: (spanId: string) => void }) {
  if (span.links.length + span.linked_from.length === 0) {
    return <p className="px-4 py-3 text-xs text-text-3">No span is linked with this one.</p>;
  }
  const there = (trace: string, id: string, name: string | null) =>
    trace === span.trace_id ? (
      <button type="button" className="link truncate text-left" onClick={() => onSelect(id)}>
        {name ?? nameOf(model, id)} <span className="mono text-text-3">{shortId(id)}</span>
      </button>
    ) : (
      <Link to="/traces/$traceId" params={{ traceId: trace }} search={{ span: id }} className="link truncate">
        {name ?? "span"} of trace <span className="mono">{shortId(trace)}</span>
      </Link>
    );
  return (
    <div className="space-y-3 py-3">
      {span.links.length > 0 && (
        <section>
          <h3 className="label px-4">This span links to</h3>
          {span.links.map((link) => (
            <div key={`${link.trace_id} ${link.span_id}`} className="pt-1">
              <div className="px-4 text-xs">→ {there(link.trace_id, link.span_id, null)}</div>
              {Object.keys(link.attributes).length > 0 && <Attributes values={link.attributes} />}
            </div>
          ))}
        </section>
      )}
      {span.linked_from.length > 0 && (
        <section>
          <h3 className="label px-4">Linked from</h3>
          {span.linked_from.map((link) => (
            <div key={`${link.trace_id} ${link.span_id}`} className="px-4 pt-1 text-xs">
              ← {there(link.trace_id, link.span_id, link.name)}
            </div>
          ))}
        </section>
      )}
    </div>
  );
}

function nameOf(model: TraceModel, id: string): string {
  const node = model.nodeOf.get(id);
  return (node !== undefined && spanView(model, node)?.name) || "span";
}
