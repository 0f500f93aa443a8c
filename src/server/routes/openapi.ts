/** @file GET /openapi.json: the routes, described by the schemas that check what is sent. */
import { z } from "zod";
import { API_ROLES } from "../access/api-keys.ts";
import { type Route, defineRoute } from "../route.ts";

/** Makes the OpenAPI document of routes. */
function openApiDocument(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, summary, access, body } of routes) {
    const place = path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}");
    const parameters = [...place.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string" },
    }));
    paths[place] = {
      ...paths[place],
      [method]: {
        summary,
        ...(parameters.length > 0 ? { parameters } : {}),
        ...(body && {
          requestBody: {
            required: true,
            content: { "application/json": { schema: z.toJSONSchema(body, { io: "input" }) } },
          },
        }),
        responses: { 200: { description: "Success" }, default: { description: "An error object" } },
        ...(access === "everybody" ? {} : { security: [{ key: [access] }] }),
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: { title: "graft", version: "1", description: "Texts by one base model and its adapters" },
    components: {
      securitySchemes: {
        key: {
          type: "http",
          scheme: "bearer",
          description: `Roles, each with those before: ${API_ROLES.join(", ")}`,
        },
      },
    },
    paths,
  };
}

/** The route that describes others. */
export function openApiRoute(routes: readonly Route[]): Route {
  return defineRoute({
    method: "get",
    path: "/openapi.json",
    summary: "Describe all routes",
    access: "everybody",
    body: null,
    handle: ({ context }) => context.json(openApiDocument(routes)),
  });
}
