/** @file Checks the settings of a text, since callers may pass anything. */
import { z } from "zod";
import { A_FUNCTION, A_SIGNAL, ANYTHING, IDS, objectWith } from "../../messages/arguments.ts";
import { parseSettings } from "../../messages/problems.ts";
import { SAMPLING_OPTIONS } from "../sampling/sampler.ts";
import type { Grammar } from "../grammar/token-grammar.ts";
import type { CheckedRequest, ServeRequest } from "./serve-request.ts";

const NEW_TOKENS = z.int().min(0);
const ID_LIST = z.array(z.int().min(0));

/** `seed` is any whole number; `checkPrompt` checks `promptIds` against the model, and `TaskSet` checks `task`. */
const TEXT_SETTINGS = z.strictObject({
  promptIds: IDS,
  writtenIds: ID_LIST.optional(),
  stopIds: ID_LIST.optional(),
  topLogProbs: z.int().min(0).optional(),
  grammar: objectWith<Grammar>("a grammar", "begin").nullish(),
  signal: A_SIGNAL.optional(),
  onAdapter: A_FUNCTION.optional(),
  onLogits: A_FUNCTION.optional(),
  maxNewTokens: NEW_TOKENS,
  minNewTokens: NEW_TOKENS.optional(),
  sampling: SAMPLING_OPTIONS.omit({ seed: true }).optional(),
  seed: z.int().optional(),
  adapter: ANYTHING,
  penalties: ANYTHING,
  reader: ANYTHING,
  isBatchInvariant: ANYTHING,
  task: ANYTHING,
} satisfies Record<keyof ServeRequest | "task", z.ZodType>);

/** Checks a request, and completes the settings of its draw. @throws UsageError "usage/flag" */
export function withTextSettings({ sampling: given, ...request }: ServeRequest): CheckedRequest {
  const { sampling } = parseSettings(
    TEXT_SETTINGS,
    given === undefined ? request : { ...request, sampling: given },
    "these settings of a text",
    "See the declaration of `GenerateRequest` for the settings of a text.",
  );
  return sampling === undefined ? request : { ...request, sampling };
}
