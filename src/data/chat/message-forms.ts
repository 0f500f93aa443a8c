/** @file Messages in the forms that templates look for what is in them. */
import { valueOf } from "../jinja/values.ts";
import { PLAIN_JSON, writeJson } from "../jinja/written.ts";
import { isRecord } from "../rows/row-error.ts";
import { type Message, reasoningOf } from "../rows/messages.ts";

/** Gives a message its reasoning under the names that templates look for, as Python's renderer does. */
export function withReasoning(message: Message): Message {
  const reasoning = reasoningOf(message);
  return reasoning === null ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
}

/** Gives calls their arguments as JSON in a text, which some templates join with others; null: there are no calls. */
export function withWrittenArguments(messages: readonly Message[]): readonly Message[] | null {
  let hasCalls = false;
  const write = (call: unknown): unknown => {
    const called = isRecord(call) && isRecord(call["function"]) ? call["function"] : null;
    if (called === null || typeof called["arguments"] === "string") return call;
    hasCalls = true;
    const written = writeJson(valueOf(called["arguments"] ?? {}), PLAIN_JSON, () => {});
    return { ...(call as object), function: { ...called, arguments: written } };
  };
  const written = messages.map((message): Message => {
    const calls = message["tool_calls"];
    return Array.isArray(calls) ? { ...message, tool_calls: calls.map(write) } : message;
  });
  return hasCalls ? written : null;
}
