// Every page with its URL. Pages are loaded when they are first opened; what stands in a page's query is plain text.
import type { QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { traceQuery } from "./api/queries";
import { parseSearch, type Search, stringifySearch } from "./lib/query-state";
import { Shell } from "./shell/shell";
import { Lost, Broken } from "./shell/lost";

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Shell,
  notFoundComponent: Lost,
  validateSearch: (search): Search => search as Search,
});
const at = <P extends string>(path: P) => ({ getParentRoute: () => root, path });

const routes = [
  createRoute({ ...at("/"), component: lazyRouteComponent(() => import("./pages/live"), "LivePage") }),
  createRoute({ ...at("/traces"), component: lazyRouteComponent(() => import("./pages/traces"), "TracesPage") }),
  createRoute({
    ...at("/traces/$traceId"),
    component: lazyRouteComponent(() => import("./pages/trace"), "TraceRoute"),
    // A trace may be large: it is on its way while the page's code is. Who only points at a link gets the code alone, and that
    // must not pass for having got the trace.
    preloadStaleTime: 0,
    loader: ({ params: { traceId }, context, preload }) => {
      if (preload || traceId.includes("...")) return;
      // What fails is told by the page, which asks for the same.
      void context.queries.query(traceQuery(traceId.toLowerCase(), Date.now())).catch(() => {});
    },
  }),
  createRoute({ ...at("/agents"), component: lazyRouteComponent(() => import("./pages/agents"), "AgentsPage") }),
  createRoute({ ...at("/agents/$agentId"), component: lazyRouteComponent(() => import("./pages/agent"), "AgentPage") }),
  createRoute({ ...at("/workflows"), component: lazyRouteComponent(() => import("./pages/workflows"), "WorkflowsPage") }),
  createRoute({
    ...at("/workflows/$workflowId"),
    component: lazyRouteComponent(() => import("./pages/workflow"), "WorkflowPage"),
  }),
  createRoute({ ...at("/executions"), component: lazyRouteComponent(() => import("./pages/executions"), "ExecutionsPage") }),
  createRoute({ ...at("/events"), component: lazyRouteComponent(() => import("./pages/events"), "EventsPage") }),
  createRoute({ ...at("/events/$eventId"), component: lazyRouteComponent(() => import("./pages/event"), "EventPage") }),
  createRoute({
    ...at("/dead-letters"),
    component: lazyRouteComponent(() => import("./pages/dead-letters"), "DeadLettersPage"),
  }),
  createRoute({ ...at("/metrics-view"), component: lazyRouteComponent(() => import("./pages/metrics"), "MetricsPage") }),
  createRoute({ ...at("/setup"), component: lazyRouteComponent(() => import("./pages/setup"), "SetupPage") }),

  // Links that somebody has in the form of Jaeger's UI.
  createRoute({
    ...at("/trace/$traceId"),
    beforeLoad: ({ params, search }) => {
      const { uiFind } = search as Search;
      const found = /^[0-9a-f]{16}$/.test(uiFind ?? "") ? { span: uiFind } : { q: uiFind };
      throw redirect({ to: "/traces/$traceId", params, search: found, replace: true });
    },
  }),
  createRoute({
    ...at("/search"),
    beforeLoad: ({ search }) => {
      throw redirect({ to: "/traces", search: fromJaeger(search as Search), replace: true });
    },
  }),
];

/** Conditions of Jaeger's search in words of ours. Its times are µs since 1970. */
export function fromJaeger(search: Search): Search {
  const all = search.service === "__all_services__";
  const ms = (micros: string | undefined) => (/^\d{13,17}$/.test(micros ?? "") ? String(Math.floor(Number(micros) / 1000)) : undefined);
  return {
    service: all ? undefined : search.service,
    operation: search.operation === "all" ? undefined : search.operation,
    tags: search.tags,
    min: search.minDuration,
    max: search.maxDuration,
    from: ms(search.start) ?? (/^\d+[smhd]$/.test(search.lookback ?? "") ? `now-${search.lookback}` : undefined),
    to: ms(search.end),
  };
}

export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree: root.addChildren(routes),
    context: { queries },
    basepath: new URL(document.baseURI).pathname,
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    defaultErrorComponent: Broken,
    scrollRestoration: false,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
