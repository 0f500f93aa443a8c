/**
 * @file Turns a request of the Responses API into an equivalent chat request. Errors of that chat name the keys of the original
 * request.
 */
import { ApiError, invalidValue } from "../api-error.ts";
import type { ChatRequest } from "../wire.ts";
import { readInput } from "./input-items.ts";
import { LOG_PROBS, type ResponseRequest } from "./response-request.ts";

/** Keys of chats, and their names in requests of the Responses API. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^response_format\.json_schema\b/, "text.format"],
  [/^(tools\[\d+\])\.function\b/, "$1"],
  [/^max_(completion_)?tokens$/, "max_output_tokens"],
];

/** Makes a chat request. @throws ApiError 400 */
export function toChat(body: ResponseRequest): ChatRequest {
  const { input, instructions, text, tools, tool_choice: choice, max_output_tokens, include, ...rest } = body;
  const tellsLogProbs = include?.includes(LOG_PROBS) === true;
  if (body.top_logprobs && !tellsLogProbs) {
    throw invalidValue(`top_logprobs requires include to contain "${LOG_PROBS}"`, "top_logprobs");
  }
  const system = instructions ? [{ role: "system" as const, content: instructions }] : [];
  return {
    ...rest,
    stream_options: body.stream_options && { include_usage: false },
    messages: [...system, ...readInput(input)],
    max_completion_tokens: max_output_tokens,
    logprobs: tellsLogProbs,
    top_logprobs: tellsLogProbs ? body.top_logprobs : null,
    tools: tools?.map(({ type: _type, ...own }) => ({ type: "function" as const, function: own })),
    tool_choice: toChoice(choice),
    response_format: toFormat(text?.format),
  };
}

function toChoice(choice: ResponseRequest["tool_choice"]): ChatRequest["tool_choice"] {
  if (typeof choice !== "object" || choice === null) return choice;
  const named = ({ name }: { name: string }) => ({ type: "function" as const, function: { name } });
  if (choice.type === "function") return named(choice);
  const { type, mode, tools } = choice;
  return { type, allowed_tools: { mode, tools: tools.map(named) } };
}

type Format = NonNullable<ResponseRequest["text"]>["format"];

function toFormat(format: Format): ChatRequest["response_format"] {
  if (format?.type !== "json_schema") return format;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}

/** Runs `work` for a chat, and renames the keys in its errors to those of the request. @throws as `work` */
export async function inOwnNames<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError) || error.param === null) throw error;
    const { status, message, code, param, retrySeconds } = error;
    const own = NAMES.reduce((name, [theirs, ours]) => name.replace(theirs, ours), param);
    throw new ApiError(status, code, message, { param: own, retrySeconds });
  }
}
