/** @file Rows with text to learn: conversations, prompts with completions, plain text. */
import { parseJson } from "../formats/long-integer.ts";
import { checkTurns, type Message, readMessages, type WeightedMessage } from "./messages.ts";
import { isRecord, jsonKind, type RawFields, readString, rowError } from "./row-error.ts";
import { type RowFormat, readRow, type TargetRow } from "./rows.ts";

/** Checks a conversation and reads the tools beside it. @throws usage/data */
function chat(messages: readonly WeightedMessage[], row: RawFields): TargetRow {
  checkTurns(messages);
  let tools: unknown = row["tools"] === "" ? null : (row["tools"] ?? toolsOf(row["functions"]));
  if (typeof tools === "string") {
    try {
      tools = parseJson(tools); // ShareGPT files write the list as a string
    } catch {
      throw rowError('"tools"', "a string that is not JSON", "a list of functions", "Fix the row.");
    }
  }
  if (tools !== null && !Array.isArray(tools)) {
    throw rowError('"tools"', jsonKind(tools), "a list of functions", "Write the tools as a JSON list.");
  }
  // Files of LLaMA-Factory have bare functions; templates expect them wrapped as tools.
  return {
    kind: "chat",
    messages,
    tools: tools?.map((tool) => (isBare(tool) ? wrapped(tool) : tool)) ?? null,
  };
}

function isBare(tool: unknown): boolean {
  return isRecord(tool) && typeof tool["name"] === "string" && !("type" in tool) && !("function" in tool);
}

function wrapped(tool: unknown): unknown {
  return { type: "function", function: tool };
}

/** Converts OpenAI's older list of functions to the newer form; null: there is none. */
function toolsOf(functions: unknown): unknown[] | null {
  const isFunction = (one: unknown): boolean => isRecord(one) && typeof one["name"] === "string";
  if (!Array.isArray(functions) || functions.length === 0 || !functions.every(isFunction)) return null;
  return functions.map(wrapped);
}

/** Joins a prompt, which is not learned, and its completion. @throws usage/data when their forms differ */
export function promptWith(prompt: unknown, completion: unknown, key: string, row: RawFields): TargetRow {
  if (Array.isArray(prompt) && Array.isArray(completion)) {
    const asked = readMessages(prompt, "prompt").map(({ message }) => ({ message, weight: 0 }));
    return chat([...asked, ...readMessages(completion, key)], row);
  }
  if (typeof prompt === "string" && typeof completion === "string") {
    if (completion === "") {
      throw rowError(`"${key}"`, "an empty string", "text to train on", "Add it, or remove the row.");
    }
    return { kind: "completion", prompt, completion };
  }
  throw rowError(
    `"prompt" and "${key}"`,
    `${jsonKind(prompt)} and ${jsonKind(completion)}`,
    "two strings or two lists of messages",
    "Write both in the same form.",
  );
}

/** Whether an answer is labelled good: true or false, in tables as text; null: it has no such label. */
export function readJudgement(label: unknown): boolean | null {
  const text = typeof label === "boolean" || typeof label === "string" ? String(label).toLowerCase() : "";
  return text === "true" ? true : text === "false" ? false : null;
}

const say = (role: Message["role"], content: string): WeightedMessage => ({
  message: { role, content },
  weight: 1,
});

function readConversations(row: RawFields): TargetRow {
  const system = row["system"];
  const first = typeof system === "string" && system !== "" ? [say("system", system)] : [];
  return chat([...first, ...readMessages(row["conversations"], "conversations")], row);
}

function readAlpaca(row: RawFields): TargetRow {
  const messages: WeightedMessage[] = [];
  if (row["system"] != null && row["system"] !== "") {
    messages.push(say("system", readString(row, "system")));
  }
  const history = row["history"] ?? [];
  for (const pair of Array.isArray(history) ? (history as unknown[]) : [history]) {
    if (!Array.isArray(pair) || typeof pair[0] !== "string" || typeof pair[1] !== "string") {
      throw rowError('"history"', jsonKind(pair), "pairs of question and answer", "Fix the row.");
    }
    messages.push(say("user", pair[0]), say("assistant", pair[1]));
  }
  const input = row["input"] == null ? "" : readString(row, "input");
  const instruction = readString(row, "instruction");
  messages.push(say("user", input === "" ? instruction : `${instruction}\n${input}`));
  messages.push(say("assistant", readString(row, "output")));
  return chat(messages, row);
}

export const TARGET_FORMS: readonly RowFormat<TargetRow>[] = [
  {
    keys: '{"messages"}',
    matches: (row) => "messages" in row,
    read: (row) => chat(readMessages(row["messages"], "messages"), row),
  },
  {
    keys: '{"conversations"}',
    matches: (row) => "conversations" in row,
    read: readConversations,
  },
  {
    keys: '{"prompt", "completion"}',
    // With such a label the answer may be one to avoid.
    matches: (row) => "prompt" in row && "completion" in row && readJudgement(row["label"]) === null,
    read: (row) => promptWith(row["prompt"], row["completion"], "completion", row),
  },
  {
    keys: '{"instruction", "output"}',
    matches: (row) => "instruction" in row && "output" in row,
    read: readAlpaca,
  },
  {
    keys: '{"text"}',
    matches: (row) => "text" in row,
    read: (row) => ({
      kind: "text",
      text: readString(row, "text", "text to train on"),
      ...((row["label"] ?? null) !== null && { hasLabel: true }),
    }),
  },
];

/** Reads a row of text to learn. @throws usage/data when no form matches, or the row breaks the one that does */
export function readTargetRow(value: unknown): TargetRow {
  return readRow(value, TARGET_FORMS);
}
