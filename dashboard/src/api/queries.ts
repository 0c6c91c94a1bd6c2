// What is fetched for which page, and how often again. Keys begin with the resource, so that the live stream can say what is old.
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { ApiError, api } from "./client";
import type { Query } from "./routes";

/** How long a trace is waited for whose spans have not come yet. */
export const WAIT_FOR_TRACE_MS = 30_000;

export const isMissing = (error: unknown) => error instanceof ApiError && error.status === 404;

/** Waits for a trace that is not there yet: `openedAt` is when somebody began to ask for it. */
export const traceQuery = (id: string, openedAt: number) =>
  queryOptions({
    queryKey: ["traces", id],
    queryFn: ({ signal }) => api.trace(id, signal),
    retry: (count, error) => (isMissing(error) ? Date.now() - openedAt < WAIT_FOR_TRACE_MS : count < 2 && !(error instanceof ApiError)),
    retryDelay: 1_000,
    staleTime: 30_000,
  });

export const spanQuery = (trace: string, span: string | null) =>
  queryOptions({
    queryKey: ["spans", trace, span],
    queryFn: ({ signal }) => api.span(trace, span ?? "", signal),
    enabled: span !== null,
    staleTime: 60_000,
    placeholderData: undefined,
  });

export const findQuery = (trace: string, q: string) =>
  queryOptions({
    queryKey: ["find", trace, q],
    queryFn: ({ signal }) => api.find(trace, q, signal),
    enabled: q.trim().length >= 2,
    staleTime: 60_000,
  });

export const criticalQuery = (trace: string, wanted: boolean) =>
  queryOptions({
    queryKey: ["critical-path", trace],
    queryFn: ({ signal }) => api.criticalPath(trace, signal),
    enabled: wanted,
    staleTime: 60_000,
  });

export const infoQuery = () =>
  queryOptions({ queryKey: ["info"], queryFn: ({ signal }) => api.info(signal), staleTime: 60_000 });

export const statsQuery = () =>
  queryOptions({ queryKey: ["stats"], queryFn: ({ signal }) => api.stats(signal), refetchInterval: 10_000 });

/** A first page that ends now is fetched again now and then; any other stays as it is. */
const listed = (params: { to?: string; cursor?: string }) => ({
  placeholderData: keepPreviousData,
  refetchInterval: (params.to === undefined || params.to === "now") && !params.cursor ? 15_000 : (false as const),
});

export const tracesQuery = (params: Query<"/api/v1/traces">) =>
  queryOptions({ queryKey: ["traces", "list", params], queryFn: ({ signal }) => api.traces(params, signal), ...listed(params) });

export const eventsQuery = (params: Query<"/api/v1/events">) =>
  queryOptions({ queryKey: ["events", "list", params], queryFn: ({ signal }) => api.events(params, signal), ...listed(params) });

export const executionsQuery = (params: Query<"/api/v1/executions">) =>
  queryOptions({ queryKey: ["executions", "list", params], queryFn: ({ signal }) => api.executions(params, signal), ...listed(params) });

export const executionStatesQuery = (params: Query<"/api/v1/executions/states">) =>
  queryOptions({
    queryKey: ["executions", "states", params],
    queryFn: ({ signal }) => api.executionStates(params, signal),
    ...listed(params),
  });

/** Their figures are those of the last hour. */
export const agentsQuery = () => queryOptions({ queryKey: ["agents", "list"], queryFn: ({ signal }) => api.agents(signal), ...listed({}) });

export const workflowsQuery = (params: Query<"/api/v1/workflows">) =>
  queryOptions({ queryKey: ["workflows", "list", params], queryFn: ({ signal }) => api.workflows(params, signal), ...listed(params) });

export const deadLettersQuery = (params: Query<"/api/v1/dead-letters">) =>
  queryOptions({ queryKey: ["dead-letters", params], queryFn: ({ signal }) => api.deadLetters(params, signal), ...listed(params) });

/** Rates change all the time, so there is nothing that a stream could tell of them: they are asked for while somebody looks. */
export const topologyQuery = (params: Query<"/api/v1/topology">) =>
  queryOptions({
    queryKey: ["topology", params],
    queryFn: ({ signal }) => api.topology(params, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 2_000,
  });
