// Every page, with something on it worth looking at: for the pictures and for axe.

const MARKET = "99660b2c3accf0b6b3564f15ff1a500b";
export const HOSTILE = "badbadbadbadbadbadbadbadbadbad00";
export const MANY = "5000000000000000000000000000c0de";

export async function pages(url) {
  const json = async (path) => (await fetch(`${url}/api/v1/${path}`)).json();
  const trace = await json(`traces/${MARKET}`);
  const named = (name) => trace.columns.span_id[trace.columns.name.findIndex((at) => trace.names[at].startsWith(name))];
  const failed = (await json("executions?state=FAILED")).items[0];
  const event = (await json("events?topic=market.data")).items[0];
  return [
    { name: "live", path: "/", ready: ".react-flow__node" },
    { name: "live-table", path: "/?view=table", ready: "table" },
    { name: "traces", path: "/traces", ready: "table tbody tr" },
    { name: "traces-none", path: "/traces?q=nothing-has-this", ready: "text=No traces with these conditions" },
    { name: "trace", path: `/traces/${MARKET}`, ready: ".wf-row" },
    { name: "trace-span", path: `/traces/${MARKET}?span=${named("chat")}&q=market.data`, ready: "aside dl" },
    { name: "trace-critical", path: `/traces/${MARKET}?critical=1&span=${named("bridge.forward")}`, ready: "aside dl" },
    { name: "trace-failed", path: `/traces/${failed.trace_id}?span=${failed.span_id}`, ready: "aside dl" },
    { name: "trace-hostile", path: `/traces/${HOSTILE}?span=0000000000bad001`, ready: "aside dl" },
    { name: "trace-lanes", path: `/traces/${MARKET}?view=lanes`, ready: "canvas" },
    { name: "trace-graph", path: `/traces/${MARKET}?view=graph`, ready: ".react-flow__node" },
    { name: "trace-not-there", path: "/traces/00000000000000000000000000000001", ready: "text=Waiting for the spans" },
    { name: "compare", path: `/traces/${MARKET}...${failed.trace_id}`, ready: "table tbody tr" },
    { name: "agents", path: "/agents", ready: "table tbody tr" },
    { name: "agent", path: "/agents/planner", ready: ".uplot" },
    { name: "agent-config", path: "/agents/model?tab=config", ready: "text=Capabilities" },
    { name: "workflows", path: "/workflows", ready: "table tbody tr" },
    { name: "workflow", path: "/workflows/market-analyst", ready: ".react-flow__node" },
    { name: "executions", path: "/executions", ready: "table tbody tr" },
    { name: "execution", path: `/executions?execution=${failed.execution_id}`, ready: "aside dl" },
    { name: "events", path: "/events", ready: "table tbody tr" },
    { name: "event", path: `/events/${event.event_id}`, ready: "table tbody tr" },
    { name: "dead-letters", path: "/dead-letters", ready: "table tbody tr" },
    { name: "metrics", path: "/metrics-view", ready: ".uplot" },
    { name: "setup", path: "/setup", ready: "text=First full trace" },
    { name: "lost", path: "/no/such/page", ready: "text=There is no page here" },
  ];
}
