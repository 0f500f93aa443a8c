/** @file GET /openapi.json: the routes, described by the schemas that check what is sent. */
import { z } from "zod";
import { API_ROLES } from "../access/api-keys.ts";
import { type Route, defineRoute } from "../route.ts";

const KEY = {
  type: "http",
  scheme: "bearer",
  description: `Roles, each with those before: ${API_ROLES.join(", ")}`,
};

/** Makes the OpenAPI document of routes; `asksForKey`: of whoever calls those that are not for everybody. */
function openApiDocument(routes: readonly Route[], asksForKey: boolean): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, access, query, body, form } of routes) {
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
        responses: { 200: { description: "Success" }, default: { description: "An error object" } },
        ...(asksForKey && access !== "everybody" && { security: [{ key: [access] }] }),
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "graft", version: "1", description: "Texts by one base model and its adapters" },
    ...(asksForKey && { components: { securitySchemes: { key: KEY } } }),
    paths,
  };
}

function schemaOf(checks: z.ZodType): object {
  return z.toJSONSchema(checks, { io: "input" });
}

/** The route that describes others. */
export function openApiRoute(routes: readonly Route[]): Route {
  return defineRoute({
    method: "get",
    path: "/openapi.json",
    summary: "Describe all routes",
    access: "everybody",
    body: null,
    handle: async ({ context, asksForKey }) => context.json(openApiDocument(routes, await asksForKey())),
  });
}
