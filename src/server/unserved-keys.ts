/**
 * @file Keys of OpenAI's and vLLM's requests that are not supported. Those without a visible effect on an answer are ignored, all
 * others are refused with advice. Each is one line in a list.
 */
import { z } from "zod";
import { ApiError } from "./api-error.ts";

/** Keys that clients send by default, or that are wishes about speed, place and effort. */
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

/** vLLM's ways to ask for a form of the answer; `format`: the key that OpenAI's requests use. */
function formsOfVllm(format: string) {
  const byJson = `send the schema in ${format}, {"type": "json_schema", …}`;
  return {
    guided_json: byJson,
    guided_regex: `${byJson}, that of a string with "pattern"; the answer is then a string of JSON, in quotes`,
    guided_choice: `${byJson}, that of a string with "enum"; the answer is then a string of JSON, in quotes`,
    guided_grammar: `the only enforced formats are JSON schemas: ${byJson}`,
    structured_outputs: byJson,
  } as const;
}

/** Keys of chats that are refused, each with what to do instead. */
export const REFUSED_IN_CHATS = {
  ...formsOfVllm("response_format"),
  audio: "answers are text: leave it out",
  functions: "send tools instead",
  function_call: "send tool_choice instead",
  moderation: "this server does not moderate: leave it out",
  web_search_options: "this server does not search: leave it out, or offer a search function in tools",
} as const;

export const REFUSED_IN_COMPLETIONS = {
  ...formsOfVllm("response_format"),
  suffix: "text is only generated after the prompt: leave it out",
} as const;

/** Keys of the Responses API that are refused. Some have other names in chats. */
export const REFUSED_IN_RESPONSES = {
  ...formsOfVllm("text.format"),
  background:
    "answers are not stored for later: leave it out, and stream to see the answer as it is generated",
  background_options: "there is no background mode: leave it out",
  context_management: "conversations are not truncated here: leave it out, and send less",
  conversation: "conversations are not stored here: send the earlier items in input",
  logprobs: 'send include with "message.output_text.logprobs" instead',
  max_completion_tokens: "send max_output_tokens instead",
  messages: "send input instead",
  moderation: "this server does not moderate: leave it out",
  previous_response_id:
    "answers are not stored here: send the earlier items in input, including those of the answer",
  prompt: "prompts are not stored here: send instructions and input",
  response_format: "send text.format instead",
} as const;

type Keys<K extends string> = Record<K, z.ZodOptional<z.ZodUnknown>>;

function anything<K extends string>(keys: readonly K[], description: string): Keys<K> {
  const schema = z.unknown().optional().describe(description);
  return Object.fromEntries(keys.map((key) => [key, schema])) as Keys<K>;
}

const IGNORED_TEXT = "Accepted, and ignored";
export const IGNORED_KEYS = anything(IGNORED, IGNORED_TEXT);

/** Keys that are ignored only in the Responses API: about tools that servers run, and about what models see and say of these. */
export const IGNORED_IN_RESPONSES = anything(
  ["access_programs", "image", "max_tool_calls", "reasoning", "truncation"],
  IGNORED_TEXT,
);

/** The schema of keys that `refuse` rejects with a better message than that they are unknown. */
export function refusedKeys<K extends string>(refused: Readonly<Record<K, string>>): Keys<K> {
  return anything(Object.keys(refused) as K[], "Refused");
}

/** Refuses unsupported keys; null and "" do not count. @throws ApiError 400 that lists all of them */
export function refuse(
  body: Readonly<Record<string, unknown>>,
  refused: Readonly<Record<string, string>>,
): void {
  const found = Object.keys(refused).filter((key) => body[key] != null && body[key] !== "");
  const [first] = found;
  if (first === undefined) return;
  const message = found.map((key) => `${key} is not supported: ${refused[key]}`).join("; ");
  throw new ApiError(400, "unsupported_parameter", message, { param: first });
}
