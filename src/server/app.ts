/** @file The routes as one application of Web-standard requests and answers: keys, limits, errors. */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { requireAccess } from "./access.ts";
import { ApiError, errorAnswer } from "./api-error.ts";
import type { ReadKeys } from "./api-keys.ts";
import { type Route, readBody } from "./route.ts";
import type { ServerState } from "./server-state.ts";

export interface AppOptions {
  /** The keys of which clients have to send one; null: everybody may call. */
  readonly readKeys: ReadKeys;
  /** Origins of pages that may call, "*": all; none: no page of another origin. */
  readonly corsOrigins: readonly string[];
  readonly maxBodyBytes: number;
  /** Is told of errors that are nobody's fault but ours. */
  readonly onError: (error: unknown) => void;
}

/** Puts the routes of a server together. */
export function createApp(state: ServerState, routes: readonly Route[], options: AppOptions): Hono {
  const app = new Hono();
  if (options.corsOrigins.length > 0) app.use(cors({ origin: [...options.corsOrigins] }));
  app.use(
    bodyLimit({
      maxSize: options.maxBodyBytes,
      onError: () => {
        throw new ApiError(413, `The body has more than ${options.maxBodyBytes} bytes`, {
          code: "body_too_large",
        });
      },
    }),
  );
  for (const { method, path, access, body, handle } of routes) {
    app.on(method, path, async (context) => {
      await requireAccess(access, context, options.readKeys, options.corsOrigins);
      if (access !== "everybody" && state.isDraining) {
        throw new ApiError(503, "The server is stopping", { code: "stopping" });
      }
      return await handle({ context, state, body: body ? await readBody(context, body) : undefined });
    });
  }
  app.notFound((context) => {
    const { method, path } = context.req;
    const others = routes.filter((route) => route.path === path);
    const known = others.map((route) => route.method.toUpperCase()).join(", ");
    const error =
      others.length > 0
        ? new ApiError(405, `${path} takes ${known}, not ${method}`, { code: "method_not_allowed" })
        : new ApiError(404, `There is no ${path} here`, { code: "unknown_url" });
    const { status, body } = errorAnswer(error);
    return context.json(body, status as ContentfulStatusCode);
  });
  app.onError((error, context) => {
    const { status, body } = errorAnswer(error);
    if (body.error.code === "internal_error") options.onError(error);
    return context.json(body, status as ContentfulStatusCode);
  });
  return app;
}
