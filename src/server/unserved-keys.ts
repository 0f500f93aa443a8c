/**
 * @file Keys of OpenAI's requests that are not served: those that ask for nothing that shows in an answer are passed over,
 * all others are refused with what to do instead. Each is one line in a list.
 */
import { z } from "zod";
import { ApiError } from "./api-error.ts";

/** Keys that clients send of themselves, or that are wishes about speed, place and effort. */
const IGNORED = [
  "user",
  "store",
  "metadata",
  "service_tier",
  "safety_identifier",
  "prediction",
  "prompt_cache_key",
  "prompt_cache_options",
  "prompt_cache_retention",
  "reasoning_effort",
  "verbosity",
] as const;

/** Of chats, with what to do instead. */
export const REFUSED_IN_CHATS = {
  audio: "answers are text: leave it out",
  functions: "send tools instead",
  function_call: "send tool_choice instead",
  moderation: "nothing is moderated here: leave it out",
  web_search_options: "nothing is searched here: leave it out, or offer a search as one of tools",
} as const;

export const REFUSED_IN_COMPLETIONS = {
  suffix: "texts are written behind the prompt alone: leave it out",
} as const;

type Keys<K extends string> = Record<K, z.ZodOptional<z.ZodUnknown>>;

function anything<K extends string>(keys: readonly K[], description: string): Keys<K> {
  const schema = z.unknown().optional().describe(description);
  return Object.fromEntries(keys.map((key) => [key, schema])) as Keys<K>;
}

export const IGNORED_KEYS = anything(IGNORED, "Accepted, and changes nothing");

/** The schema of keys that are refused by `refuse`, which says more than that they are not known. */
export function refusedKeys<K extends string>(refused: Readonly<Record<K, string>>): Keys<K> {
  return anything(Object.keys(refused) as K[], "Refused");
}

/** Refuses what is asked for and not served; null and "" ask for nothing. @throws ApiError 400 that lists all of it */
export function refuse(
  body: Readonly<Record<string, unknown>>,
  refused: Readonly<Record<string, string>>,
): void {
  const found = Object.keys(refused).filter((key) => body[key] != null && body[key] !== "");
  const [first] = found;
  if (first === undefined) return;
  const message = found.map((key) => `${key} is not served: ${refused[key]}`).join("; ");
  throw new ApiError(400, message, { code: "unsupported_parameter", param: first });
}
