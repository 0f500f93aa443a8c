/** @file Reads chat messages in OpenAI's form from rows of a data set, and checks their roles. */
import { parseJson, rounded } from "../formats/long-integer.ts";
import { isRecord, jsonKind, type RawFields, rowError } from "./row-error.ts";

export const ROLES = ["system", "developer", "user", "assistant", "tool", "function"] as const;

type Role = (typeof ROLES)[number];

/**
 * One message. Keys besides role and content (`tool_calls`, `name`, …) are passed to the template unchanged. The content is
 * empty if the row has none, as with tool calls.
 */
export interface Message {
  readonly role: Role;
  readonly content: string;
  readonly [key: string]: unknown;
}

/** A message with its weight in the loss. Default: 1; 0: no loss. */
export interface WeightedMessage {
  readonly message: Message;
  readonly weight: number;
}

/** Keys of an assistant's reasoning in data sets and templates; the first is the usual one. */
const REASONING = ["reasoning_content", "thinking", "reasoning"];

/** An assistant's reasoning, under any of its keys; null: the message has none. */
export function reasoningOf(message: Message): unknown {
  return REASONING.map((name) => message[name]).find((reasoning) => reasoning != null) ?? null;
}

/** Names that ShareGPT files use for the roles, besides the roles themselves. */
const SHAREGPT_ROLES: Record<string, Role> = {
  human: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  bing: "assistant",
  bard: "assistant",
  observation: "tool",
};

/** Role of messages that contain calls in the ShareGPT files of LLaMA-Factory. */
const CALLS = "function_call";

/** Reads content, which may be a string, absent beside tool calls, or a list of text parts, which are joined. */
function readContent(content: unknown, hasToolCalls: boolean, what: string): string {
  if (typeof content === "string") return content;
  if (content == null && hasToolCalls) return "";
  const hint = "Write the content as one string; images and audio are not supported.";
  if (!Array.isArray(content)) throw rowError(what, `content is ${jsonKind(content)}`, "a string", hint);
  return content
    .map((part: unknown) => {
      if (isRecord(part) && part["type"] === "text" && typeof part["text"] === "string") return part["text"];
      const kind = isRecord(part) ? `a part of type ${JSON.stringify(part["type"])}` : jsonKind(part);
      throw rowError(what, `content has ${kind}`, "text parts", hint);
    })
    .join("");
}

/**
 * Converts a call in OpenAI's older form (`function_call`) to the newer one. Leaves out keys that are null, as tables have
 * them, and an empty list of calls.
 */
function withToolCalls(rest: RawFields): RawFields {
  const { function_call: call, ...others } = rest;
  const isGiven = ([key, value]: [string, unknown]): boolean =>
    value !== null && !(key === "tool_calls" && Array.isArray(value) && value.length === 0);
  const given = Object.fromEntries(Object.entries(others).filter(isGiven));
  if (call == null || given["tool_calls"] !== undefined) return given;
  return { ...given, tool_calls: [{ type: "function", function: call }] };
}

/** JSON that a row has in a string: some templates print the text unchanged, others read the value. */
export class JsonText {
  readonly text: string;
  /** The parsed value. */
  readonly value: unknown;

  constructor(text: string, value: unknown) {
    this.text = text;
    this.value = value;
  }

  toJSON(): string {
    return this.text;
  }
}

/**
 * Reads calls. OpenAI writes their arguments as JSON in a string, which becomes a `JsonText`.
 * @throws usage/data for values that are not calls
 */
export function readToolCalls(calls: unknown, what: string): unknown {
  const isCall = (call: unknown): boolean =>
    isRecord(call) && typeof (isRecord(call["function"]) ? call["function"] : call)["name"] === "string";
  if (!Array.isArray(calls) || calls.length === 0 || !calls.every(isCall)) {
    throw rowError(
      what,
      `tool_calls ${JSON.stringify(calls)}`,
      "a list of calls, each with a function's name and arguments",
      "Fix the calls, or leave the key out.",
    );
  }
  return calls.map((call: unknown) => {
    if (!isRecord(call) || !isRecord(call["function"])) return call;
    const given = call["function"]["arguments"];
    if (typeof given !== "string") return call;
    const value = parsedOr(given, undefined);
    if (value === undefined) return call; // A text that is not JSON is printed unchanged by the template.
    return { ...call, function: { ...call["function"], arguments: new JsonText(given, value) } };
  });
}

/** Converts LLaMA-Factory's message of calls, whose value is one call or a list of them, to OpenAI's form. @throws usage/data */
function withCallsOfValue({ value, ...others }: RawFields, what: string): RawFields {
  const parsed = parsedOr(value, null);
  const calls = Array.isArray(parsed) ? (parsed as unknown[]) : [parsed];
  if (calls.length === 0 || !calls.every((call) => isRecord(call) && typeof call["name"] === "string")) {
    throw rowError(
      what,
      `${CALLS} ${JSON.stringify(value)}`,
      'a call as JSON, {"name": …, "arguments": {…}}, or a list of them',
      "Fix the call, or remove the row.",
    );
  }
  return {
    ...others,
    from: "assistant",
    value: "",
    tool_calls: calls.map((call) => ({ type: "function", function: call })),
  };
}

/** Parses a string as JSON, or returns `otherwise` if it is not JSON; returns other values unchanged. */
function parsedOr(value: unknown, otherwise: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return parseJson(value);
  } catch {
    return otherwise;
  }
}

function readMessage(given: unknown, index: number): WeightedMessage {
  const what = `message ${index + 1}`;
  if (!isRecord(given))
    throw rowError(what, jsonKind(given), "an object with role and content", "Fix the row.");
  const hasCalls = given["role"] === undefined && given["from"] === CALLS;
  const value = hasCalls ? withCallsOfValue(given, what) : given;
  const isShareGpt = value["role"] === undefined && value["from"] !== undefined;
  const named = isShareGpt ? value["from"] : value["role"];
  const role = ROLES.find((role) => role === named || (isShareGpt && role === SHAREGPT_ROLES[String(named)]));
  if (role === undefined) {
    throw rowError(
      what,
      `role ${JSON.stringify(named) ?? "is absent"}`,
      `${ROLES.slice(0, -1).join(", ")} or ${ROLES.at(-1)}`,
      "Use assistant for what the model should say, and user for what is said to it.",
    );
  }
  const { role: _role, from: _from, value: _value, content: _content, weight: ofRow, ...others } = value;
  // Null means none: tables have every key in every message.
  const weight = rounded(ofRow ?? 1);
  const rest = withToolCalls(others);
  // Finite as float32, the type of weights in the loss.
  if (typeof weight !== "number" || !(weight >= 0 && Number.isFinite(Math.fround(weight)))) {
    throw rowError(
      what,
      `weight ${typeof weight === "number" ? weight : JSON.stringify(weight)}`,
      "a number from 0",
      "Remove the weight to train on it like on any other message.",
    );
  }
  const calls = rest["tool_calls"];
  return {
    message: {
      ...rest,
      ...(calls == null ? {} : { tool_calls: readToolCalls(calls, what) }),
      role,
      content: readContent(isShareGpt ? value["value"] : value["content"], calls != null, what),
    },
    weight,
  };
}

/** Reads a list of messages in OpenAI's or ShareGPT's form. @throws usage/data when an element is not a message */
export function readMessages(value: unknown, key: string): WeightedMessage[] {
  if (!Array.isArray(value) || value.length === 0) {
    const found = Array.isArray(value) ? "an empty list" : jsonKind(value);
    throw rowError(`"${key}"`, found, "a list of messages", "Give each message a role and content.");
  }
  return value.map(readMessage);
}

/** Checks that there is an assistant turn to train on, and that no trained turn is empty. @throws usage/data */
export function checkTurns(messages: readonly WeightedMessage[]): void {
  const roles = messages.map(({ message }) => message.role);
  if (!roles.includes("assistant")) {
    throw rowError(
      "conversation",
      `roles ${roles.join(", ")}`,
      "an assistant turn",
      "Add the answer to train on, or remove the row.",
    );
  }
  if (!messages.some(({ message, weight }) => weight > 0 && message.role === "assistant")) {
    throw rowError(
      "conversation",
      "weight 0 on every assistant turn",
      "one to train on",
      "Set a weight above 0, or remove the row.",
    );
  }
  const empty = messages.findIndex(({ message, weight }) => weight > 0 && isEmptyAnswer(message));
  if (empty >= 0) {
    throw rowError(
      `message ${empty + 1}`,
      "an empty answer",
      "an answer to train on",
      "Add the answer, remove the row, or give the message weight 0.",
    );
  }
}

/** Whether an assistant's message is empty: a model that learns it learns to answer nothing. */
function isEmptyAnswer(message: Message): boolean {
  const { role, content, tool_calls: calls } = message;
  return (
    role === "assistant" && content.trim() === "" && calls === undefined && reasoningOf(message) === null
  );
}
