/** @file Messages in the forms that templates look for what is in them. */
import { valueOf } from "../jinja/values.ts";
import { PLAIN_JSON, writeJson } from "../jinja/written.ts";
import { isRecord } from "../rows/row-error.ts";
import { JsonText, type Message, reasoningOf } from "../rows/messages.ts";

/** Gives a message its reasoning under the names that templates look for, as Python's renderer does. */
export function withReasoning(message: Message): Message {
  const reasoning = reasoningOf(message);
  return reasoning === null ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
}

/** A message with other arguments of its calls. */
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

/** Gives calls their arguments as JSON in a text, which some templates join with others; null: there are no calls. */
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
