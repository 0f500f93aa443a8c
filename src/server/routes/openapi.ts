/** @file GET /openapi.json: describes all routes by the same schemas that check requests. */
import { z } from "zod";
import { API_ROLES } from "../access/api-keys.ts";
import { ERROR_BODY } from "../api-error.ts";
import { type Route, type RouteAnswer, defineRoute } from "../route.ts";

const KEY = {
  type: "http",
  scheme: "bearer",
  description: `Roles, each including those before it: ${API_ROLES.join(", ")}`,
};

const ERROR_REF = { $ref: "#/components/schemas/Error" };
const ERROR = { description: "An error object", content: { "application/json": { schema: ERROR_REF } } };

/** Makes the OpenAPI document of routes; `asksForKey`: whether routes that are not for everybody require a key. */
function openApiDocument(routes: readonly Route[], asksForKey: boolean): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, access, query, body, form, answer } of routes) {
    const place = path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
    const named = [...place.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string" },
    }));
    const asked = Object.entries(query?.shape ?? {}).map(([name, schema]) => ({
      name,
      in: "query",
      schema: schemaOf(schema as z.ZodType),
    }));
    const parameters = [...named, ...asked];
    const content = {
      ...(body && { "application/json": { schema: schemaOf(body) } }),
      ...(form && { "multipart/form-data": { schema: schemaOf(form) } }),
    };
    paths[place] = {
      ...paths[place],
      [method]: {
        summary,
        ...(parameters.length > 0 ? { parameters } : {}),
        ...((body ?? form) && { requestBody: { required: true, content } }),
        responses: { 200: describeAnswer(answer), default: ERROR },
        ...(asksForKey && access !== "everybody" && { security: [{ key: [access] }] }),
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "graft",
      version: "1",
      description: "Text generation with one base model and its adapters",
    },
    components: {
      schemas: { Error: answerSchema(ERROR_BODY) },
      ...(asksForKey && { securitySchemes: { key: KEY } }),
    },
    paths,
  };
}

/** Describes success, as one answer or as events. */
function describeAnswer({ whole, events, hasNamedEvents }: RouteAnswer): object {
  const isJson = typeof whole !== "string";
  const one = isJson ? { "application/json": { schema: answerSchema(whole) } } : { [whole]: {} };
  if (!events) return { description: "Success", content: one };
  const form = hasNamedEvents ? "named by its type" : "[DONE] after the last";
  const description = `Success; for server-sent events, the data of each event, ${form}`;
  const event = { anyOf: [answerSchema(events), ERROR_REF] };
  return { description, content: { ...one, "text/event-stream": { schema: event } } };
}

/** Clients must accept keys that are added later; only tests must not. */
function answerSchema(answer: z.ZodType): object {
  return z.toJSONSchema(answer, {
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
}

function schemaOf(checks: z.ZodType): object {
  return z.toJSONSchema(checks, { io: "input" });
}

/** The route that describes the others. */
export function openApiRoute(routes: readonly Route[]): Route {
  return defineRoute({
    method: "get",
    path: "/openapi.json",
    summary: "Describe all routes",
    access: "everybody",
    body: null,
    answer: { whole: z.looseObject({ openapi: z.string(), paths: z.record(z.string(), z.unknown()) }) },
    handle: async ({ context, asksForKey }) => context.json(openApiDocument(routes, await asksForKey())),
  });
}
