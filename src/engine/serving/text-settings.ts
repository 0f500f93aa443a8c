/** @file Checks the settings of a text, since callers may pass anything. */
import { z } from "zod";
import { parseSettings } from "../../messages/problems.ts";
import { SAMPLING_OPTIONS } from "../sampling/sampler.ts";
import type { ServeRequest } from "./serve-request.ts";

const NEW_TOKENS = z.int().min(0);

/** `seed` is any whole number. */
const TEXT_SETTINGS = z.object({
  maxNewTokens: NEW_TOKENS,
  minNewTokens: NEW_TOKENS.optional(),
  sampling: SAMPLING_OPTIONS.omit({ seed: true }).optional(),
  seed: z.int().optional(),
});

/** A request whose settings mean something, with those of a draw that are left out. @throws UsageError "usage/flag" */
export function withTextSettings(request: ServeRequest): ServeRequest {
  const { maxNewTokens, minNewTokens, sampling, seed } = request;
  const settings = parseSettings(
    TEXT_SETTINGS,
    { maxNewTokens, minNewTokens, sampling, seed },
    "these settings of a text",
  );
  return settings.sampling === undefined ? request : { ...request, sampling: settings.sampling };
}
