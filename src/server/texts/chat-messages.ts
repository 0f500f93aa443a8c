/** @file Converts messages of clients into those that chat templates read. */
import { type Message, readToolCalls } from "../../data/rows/messages.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import type { ChatRequest } from "../wire.ts";

/** Converts a message, for instance of an assistant with calls, or of a tool. @throws ApiError 400 for content that is no text */
export function readMessage(message: ChatRequest["messages"][number], place: number): Message {
  const { content, refusal, tool_calls: listed, function_call: older, audio, ...others } = message;
  const what = `messages[${place}]`;
  if (audio != null) {
    throw new ApiError(
      400,
      "unsupported_parameter",
      `${what}.audio is not supported: send what was said as content`,
      { param: `${what}.audio` },
    );
  }
  // Clients return absent values as null, which templates could take for values.
  const rest = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== null));
  const calls = listed?.length ? listed : older ? [{ type: "function", function: older }] : [];
  return {
    ...rest,
    role: message.role,
    content: readContent(content ?? refusal, `${what}.content`),
    ...(calls.length > 0 && { tool_calls: readToolCalls(calls, what) }),
  };
}

/** Types of parts that are text, with the key that contains it. */
const TEXT_PARTS: ReadonlyMap<string, string> = new Map([
  ["text", "text"],
  ["refusal", "refusal"],
]);

/** Reads text, or parts of it; `param`: the key that contains them. @throws ApiError 400 for parts that are no text */
export function readContent(content: unknown, param: string, keys = TEXT_PARTS): string {
  if (!Array.isArray(content)) return typeof content === "string" ? content : "";
  const parts = content.map((part: unknown, i) => {
    const { type, ...rest } = Object(part) as Readonly<Record<string, unknown>>;
    const key = typeof type === "string" ? keys.get(type) : undefined;
    const text = key === undefined ? null : rest[key];
    if (typeof text === "string") return text;
    const place = `${param}[${i}]`;
    const [expected] = keys.keys();
    const found =
      key === undefined
        ? `has the type ${JSON.stringify(type) ?? "null"}, expected ${expected}`
        : `has no ${key}`;
    throw invalidValue(`${place} ${found}`, place);
  });
  return parts.join("");
}
