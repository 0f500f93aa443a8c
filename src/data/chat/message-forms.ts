/** @file Rewrites messages so that their reasoning and arguments are where templates look for them. */
import { valueOf } from "../jinja/values.ts";
import { PLAIN_JSON, writeJson } from "../jinja/written.ts";
import { isRecord } from "../rows/row-error.ts";
import { JsonText, type Message, reasoningOf } from "../rows/messages.ts";

/** Copies a message's reasoning to the names that templates look for, as Python's renderer does. */
export function withReasoning(message: Message): Message {
  const reasoning = reasoningOf(message);
  return reasoning === null ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
}

/** Copies a message with the arguments of its calls changed. */
export function withArguments(message: Message, change: (given: unknown) => unknown): Message {
  const calls = message["tool_calls"];
  if (!Array.isArray(calls)) return message;
  const changed = (call: unknown): unknown => {
    const called = isRecord(call) ? call["function"] : null;
    if (!isRecord(called)) return call;
    return { ...(call as object), function: { ...called, arguments: change(called["arguments"]) } };
  };
  return { ...message, tool_calls: calls.map(changed) };
}

/** Writes the arguments of calls as JSON text, which some templates concatenate with other text; null: there are no calls. */
export function withWrittenArguments(messages: readonly Message[]): readonly Message[] | null {
  let hasCalls = false;
  const write = (given: unknown): unknown => {
    if (typeof given === "string") return given;
    hasCalls = true;
    if (given instanceof JsonText) return given.text;
    return writeJson(valueOf(given ?? {}), PLAIN_JSON, () => {});
  };
  const written = messages.map((message) => withArguments(message, write));
  return hasCalls ? written : null;
}
