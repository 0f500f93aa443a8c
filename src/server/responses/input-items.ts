/** @file The input items of a conversation in the Responses API, and the chat messages that they become. */
import { z } from "zod";
import { ApiError } from "../api-error.ts";
import { parseValues } from "../route.ts";
import { readContent } from "../texts/chat-messages.ts";
import type { ChatRequest } from "../wire.ts";

type ChatMessage = ChatRequest["messages"][number];

const CONTENT = z.union([z.string(), z.array(z.unknown())]);

export const ITEMS = z
  .array(
    z.discriminatedUnion("type", [
      z.looseObject({
        type: z.literal("message").optional(),
        role: z.enum(["user", "assistant", "system", "developer"]),
        content: CONTENT,
      }),
      z.looseObject({
        type: z.literal("function_call"),
        call_id: z.string(),
        name: z.string(),
        arguments: z.string(),
      }),
      z.looseObject({ type: z.literal("function_call_output"), call_id: z.string(), output: CONTENT }),
      z.looseObject({ type: z.literal("reasoning"), content: z.array(z.unknown()).nullish() }),
    ]),
  )
  .min(1);
type Item = z.output<typeof ITEMS>[number];

/** Types of parts that are text, with the key that contains it. */
const TEXT_PARTS: ReadonlyMap<string, string> = new Map([
  ["input_text", "text"],
  ["output_text", "text"],
  ["text", "text"],
  ["refusal", "refusal"],
]);
const THOUGHT_PARTS: ReadonlyMap<string, string> = new Map([["reasoning_text", "text"]]);

/** Converts the input of a request. @throws ApiError 400 that names the key */
export function readInput(input: string | readonly object[]): ChatMessage[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  const kept = input.findIndex((item) => "type" in item && item.type === "item_reference");
  if (kept >= 0) {
    throw new ApiError(
      400,
      "unsupported_parameter",
      `input[${kept}] refers to a stored item, but this server stores none: send the item itself, as clients do with store false`,
      { param: `input[${kept}]` },
    );
  }
  const { input: items } = parseValues({ input }, z.object({ input: ITEMS }));
  const messages: ChatMessage[] = [];
  for (const [i, item] of items.entries()) addItem(messages, item, `input[${i}]`);
  return messages.filter((message) => !isThought(message));
}

/** Adds an item; consecutive thoughts, text and calls become one message of the assistant. */
function addItem(messages: ChatMessage[], item: Item, param: string): void {
  switch (item.type) {
    case "function_call_output": {
      const content = readContent(item.output, `${param}.output`, TEXT_PARTS);
      messages.push({ role: "tool", tool_call_id: item.call_id, content });
      break;
    }
    case "function_call": {
      const { call_id: id, name, arguments: text } = item;
      const call = { id, type: "function", function: { name, arguments: text } };
      const turn = turnOf(messages, ({ role }) => role === "assistant");
      (turn.tool_calls ??= []).push(call);
      break;
    }
    case "reasoning": {
      const thought = readContent(item.content, `${param}.content`, THOUGHT_PARTS);
      if (thought !== "") messages.push({ role: "assistant", reasoning_content: thought });
      break;
    }
    case undefined:
    case "message": {
      const content = readContent(item.content, `${param}.content`, TEXT_PARTS);
      if (item.role === "assistant") turnOf(messages, isThought).content = content;
      else messages.push({ role: item.role, content });
    }
  }
}

/** Whether a message contains only thoughts. */
function isThought({ role, content, tool_calls: calls }: ChatMessage): boolean {
  return role === "assistant" && content == null && calls == null;
}

/** The last message, if it can be continued; otherwise a new one of the assistant. */
function turnOf(messages: ChatMessage[], goesOn: (last: ChatMessage) => boolean): ChatMessage {
  const last = messages.at(-1);
  if (last !== undefined && goesOn(last)) return last;
  const turn: ChatMessage = { role: "assistant" };
  messages.push(turn);
  return turn;
}
