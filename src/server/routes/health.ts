/** @file Reports whether the server runs, whether it takes requests, and its metrics. */
import { z } from "zod";
import { ApiError, stopping } from "../api-error.ts";
import { defineRoute } from "../route.ts";

export const health = defineRoute({
  method: "get",
  path: "/health",
  summary: "Return 200 as long as the process lives",
  access: "everybody",
  body: null,
  answer: { whole: z.strictObject({ status: z.literal("ok") }) },
  handle: ({ context }) => context.json({ status: "ok" }),
});

export const ready = defineRoute({
  method: "get",
  path: "/ready",
  summary:
    "Return 200 while requests are accepted, and 503 while the server is stopping, waits for the store of its jobs, or cannot read its keys",
  access: "everybody",
  body: null,
  answer: { whole: z.strictObject({ status: z.literal("ready") }) },
  handle: async ({ context, state, asksForKey }) => {
    if (state.isDraining) throw stopping();
    if (state.awaits !== null) throw new ApiError(503, "failed/store", state.awaits);
    await asksForKey();
    return context.json({ status: "ready" });
  },
});

export const metrics = defineRoute({
  method: "get",
  path: "/metrics",
  summary: "Metrics in Prometheus format",
  access: "everybody",
  body: null,
  answer: { whole: "text/plain" },
  handle: async ({ context, state }) =>
    context.text(await state.metrics.text(state.model.engine.stats, state.seconds()), 200, {
      "content-type": state.metrics.contentType,
    }),
});
