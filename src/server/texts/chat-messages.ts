/** @file Messages of clients as chat templates read them. */
import { type Message, readToolCalls } from "../../data/rows/messages.ts";
import { ApiError } from "../api-error.ts";
import type { ChatRequest } from "../wire.ts";

/** Reads a message, for instance of an assistant with calls, or of a tool. @throws ApiError 400 for parts that are no text */
export function readMessage(message: ChatRequest["messages"][number], place: number): Message {
  const { content, tool_calls: calls, ...others } = message;
  // Clients send back what has no value as null, which templates would take for something.
  const rest = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== null));
  return {
    ...rest,
    role: message.role,
    content: readContent(content, place),
    ...(calls && calls.length > 0 && { tool_calls: readToolCalls(calls, `messages[${place}]`) }),
  };
}

function readContent(content: ChatRequest["messages"][number]["content"], place: number): string {
  if (!Array.isArray(content)) return content ?? "";
  const parts = content.map((part, i) => {
    const { type, text, refusal } = Object(part) as Readonly<Record<string, unknown>>;
    if (type === "text" && typeof text === "string") return text;
    if (type === "refusal" && typeof refusal === "string") return refusal;
    const param = `messages[${place}].content[${i}]`;
    const isText = type === "text" || type === "refusal";
    const found = isText ? `has no ${type}` : `has the type ${JSON.stringify(type) ?? "null"}, expected text`;
    throw new ApiError(400, `${param} ${found}`, { code: "invalid_value", param });
  });
  return parts.join("");
}
