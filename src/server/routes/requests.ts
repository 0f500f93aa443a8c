/** @file /v1/requests: moves a running stream to another server, which continues the same text. */
import { z } from "zod";
import { hashOfAdapter } from "../../engine/adapters/adapter-hash.ts";
import { fingerprintOf, mayBeOneBase } from "../../models/base/fingerprint.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import { type Route, type RouteAnswer, defineRoute, parseValues } from "../route.ts";
import type { ServerState } from "../server-state.ts";

/** A token with its log-probability. */
const SCORED = { id: z.int().min(0), logProb: z.number() };

/** A request as one server hands it over to another. */
const MOVED = z.strictObject({
  version: z.literal(1),
  base: z.string().describe("Fingerprint of the base, as reported by the server that hands the request over"),
  adapter: z.string().nullable().describe("Hash of the values of the adapter"),
  id: z.string(),
  created: z.int(),
  path: z.string().describe("Route that the request was sent to"),
  body: z.record(z.string(), z.unknown()).describe("Body of the request"),
  written_ids: z.array(z.int().min(0)).describe("Ids of the new tokens that have been sent"),
  written_log_probs: z
    .array(z.strictObject({ ...SCORED, top: z.array(z.strictObject(SCORED)) }).nullable())
    .optional()
    .describe("Their log-probabilities, if requested"),
});

function answersOf(routes: readonly Route[]): RouteAnswer {
  return {
    whole: z.union(routes.map(({ answer }) => answer.whole).filter((whole) => typeof whole !== "string")),
    events: z.union(routes.flatMap(({ answer }) => answer.events ?? [])),
  };
}

/** Identifies the base and the values of the adapter of a request. */
async function holdingsOf(
  model: unknown,
  state: ServerState,
): Promise<{ base: string; adapter: string | null }> {
  const name = await state.models.adapterOf(String(model));
  const adapter = name === null ? null : await state.models.withAdapter(name, hashOfAdapter);
  return { base: await fingerprintOf(state.model.parts.base), adapter };
}

/** Only requests for one text can be moved. @throws ApiError 400 that names the key of the body */
function requireOneText(body: { readonly n?: unknown; readonly prompt?: unknown }): void {
  const { n, prompt } = body;
  const refuse = (key: keyof typeof body, found: string): never => {
    throw invalidValue(
      `body.${key} ${found}: only a request for one text can be moved to another server`,
      `body.${key}`,
    );
  };
  if (typeof n === "number" && n > 1) refuse("n", `is ${n}, expected 1`);
  if (!Array.isArray(prompt) || typeof prompt[0] === "number" || prompt.length === 1) return;
  refuse("prompt", `has ${prompt.length} prompts, expected one`);
}

export const exportRequest = defineRoute({
  method: "post",
  path: "/v1/requests/:id/export",
  summary:
    "End a stream here, with finish_reason abort, and return everything that another server needs to continue it",
  access: "admin",
  whileStopping: true,
  body: null,
  answer: { whole: MOVED },
  handle: async ({ context, state }) => {
    const moved = await state.running.move(context.req.param("id") ?? "");
    return context.json({ ...moved, base: await fingerprintOf(state.model.parts.base) });
  },
});

/** Continues streams of some routes. */
export function importRequest(routes: readonly Route[]): Route {
  return defineRoute({
    method: "post",
    path: "/v1/requests/import",
    summary:
      "Continue a stream that another server has handed over: the events that follow those already sent",
    access: "admin",
    body: MOVED.extend({ path: z.enum(routes.map(({ path }) => path)) }),
    answer: answersOf(routes),
    handle: async ({ body: moved, ...call }) => {
      const { state } = call;
      const route = routes.find(({ path }) => path === moved.path)!;
      const body = parseValues(moved.body, route.body as z.ZodType);
      requireOneText(body as object);
      const own = await holdingsOf(moved.body["model"], state);
      for (const what of ["base", "adapter"] as const) {
        if (own[what] === moved[what]) continue;
        if (what === "base" && mayBeOneBase(own.base, moved.base)) continue;
        const message = `This server has a different ${what} than the one the text was begun with`;
        throw new ApiError(400, "other_model", message, { param: what });
      }
      return await route.handle({ ...call, body, query: {}, resumed: moved });
    },
  });
}
