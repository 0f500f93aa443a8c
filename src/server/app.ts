/**
 * @file Combines the routes into one application that maps Web-standard requests to responses. It checks keys and limits, and
 * turns errors into answers.
 */
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { keysOf } from "./access/access.ts";
import { Admission, type AdmissionOptions } from "./access/admission.ts";
import { ApiError, answerFault } from "./api-error.ts";
import { BodyReader } from "./requests/read-body.ts";
import { type Route, parseBody, parseValues } from "./route.ts";
import type { ServerState } from "./server-state.ts";

/** Most characters of an id that a client gives its request. */
const MAX_ID = 128;
const NO_BYTES = new Uint8Array(0);

/** Combines the routes of a server. */
export function createApp(state: ServerState, routes: readonly Route[], options: AdmissionOptions): Hono {
  const app = new Hono();
  app.use(requestId({ limitLength: MAX_ID }));
  const origins = options.corsOrigins;
  if (origins.length > 0) {
    // In a list, "*" would be taken for the name of an origin. Pages may also read the headers with limits and times to retry.
    app.use(cors({ origin: origins.includes("*") ? "*" : [...origins], exposeHeaders: ["*"] }));
  }
  const bodies = new BodyReader(state.limits);
  const admission = new Admission(state, options);
  const asksForKey = async (): Promise<boolean> => (await keysOf(options.readKeys)) !== null;
  for (const route of routes) {
    const { method, path, query: asked, body, handle } = route;
    app.on(method, path, async (context) => {
      await admission.admit(route, context);
      const query = asked ? parseValues(context.req.query(), asked) : {};
      const call = { context, state, query, asksForKey };
      if (method === "get") return await handle({ ...call, body: undefined, bytes: NO_BYTES });
      return await bodies.read(context, async (bytes) => {
        const value = body ? parseBody(bytes, body) : undefined;
        return await handle({ ...call, body: value, bytes });
      });
    });
  }
  const answer = (error: Error, context: Context): Response => {
    const { status, body } = answerFault(error, state, context.get("requestId"));
    const retrySeconds = error instanceof ApiError ? error.retrySeconds : null;
    if (retrySeconds !== null) context.header("retry-after", `${retrySeconds}`);
    if (status === 401) context.header("www-authenticate", "Bearer");
    return context.json(body, status as ContentfulStatusCode);
  };
  app.onError(answer);
  app.notFound((context) => {
    const { method, path } = context.req;
    const routesOf = (path: string): Route[] => routes.filter((route) => patternOf(route).test(path));
    const others = routesOf(path);
    if (others.length === 0) {
      const meant = otherBases(path).find((other) => routesOf(other).length > 0);
      const told = `There is no ${path} here: ${meant === undefined ? "see /openapi.json for the routes" : `did you mean ${meant}?`}`;
      return answer(new ApiError(404, "unknown_url", told), context);
    }
    const known = others.map((route) => route.method.toUpperCase()).join(", ");
    context.header("allow", known);
    return answer(new ApiError(405, "method_not_allowed", `${path} takes ${known}, not ${method}`), context);
  });
  return app;
}

/** Paths that a client may mean whose base address lacks `/v1`, has it twice, or has an extra slash. */
function otherBases(path: string): string[] {
  const plain = `/${path.split("/").filter(Boolean).join("/")}`;
  return [plain, `/v1${plain}`, plain.replace(/^\/v1(?=\/)/, "")];
}

/** The pattern of paths that a route matches. */
function patternOf({ path }: Route): RegExp {
  const parts: (string | undefined)[] = path.split(/:\w+(\{.+?\})?/);
  // Alternately the fixed parts, and the pattern of the parameter after each.
  const pattern = parts.map((part = "{[^/]+}", i) =>
    i % 2 === 0 ? part.replaceAll(".", "\\.") : part.slice(1, -1),
  );
  return new RegExp(`^${pattern.join("")}$`);
}
