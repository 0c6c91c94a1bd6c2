// What each route takes and answers, as docs/openapi.json has it: a parameter that the server does not know is an error of the compiler.
import type { paths } from "./generated/schema";

type Json<A> = { responses: { 200: { content: { "application/json": A } } } };

/** Routes that answer a GET with JSON. */
export type Route = { [R in keyof paths]: paths[R] extends { get: Json<unknown> } ? R : never }[keyof paths];

export type Answer<R extends Route> = paths[R] extends { get: Json<infer A> } ? A : never;

/** Ids in the path, and the query. */
export type Asked<R extends Route> = paths[R] extends { get: { parameters: infer P } } ? Omit<P, "header" | "cookie"> : never;

/** The query alone. */
export type Query<R extends Route> = Asked<R> extends { query?: infer Q } ? NonNullable<Q> : never;

/** `/api/v1/agents/{id}` with its ids, relative to wherever the server stands. */
export const pathOf = (route: string, ids: Record<string, string> = {}) =>
  route.slice(1).replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(ids[name]));
