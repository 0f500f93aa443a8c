/**
 * @file The forms that a row of a data set may have, told apart by their keys; columns besides those are ignored.
 *
 *   messages  OpenAI, TRL           conversations  ShareGPT            → chat
 *   instruction, output, …  Alpaca                                     → chat
 *   prompt, completion  message lists                                  → chat, loss on the completion's turns
 *   prompt, completion  strings                                        → completion
 *   text                                                               → text
 */
import {
  checkTurns,
  isRecord,
  jsonKind,
  readMessages,
  rowError,
  type Message,
  type WeightedMessage,
} from "./messages.ts";

/** One row of a data set, checked. */
export type Row =
  | {
      readonly kind: "chat";
      readonly messages: readonly WeightedMessage[];
      readonly tools: readonly unknown[] | null;
    }
  | { readonly kind: "completion"; readonly prompt: string; readonly completion: string }
  | { readonly kind: "text"; readonly text: string };

const FORMS =
  '{"messages"}, {"prompt", "completion"}, {"text"}, {"instruction", "output"} or {"conversations"}';

function chat(messages: readonly WeightedMessage[], row: Record<string, unknown>): Row {
  checkTurns(messages);
  let tools: unknown = row["tools"] === "" ? null : (row["tools"] ?? null);
  if (typeof tools === "string") {
    try {
      tools = JSON.parse(tools); // ShareGPT files write the list as a string
    } catch {
      throw rowError('"tools"', "a string that is no JSON", "a list of functions", "Mend the row.");
    }
  }
  if (tools !== null && !Array.isArray(tools)) {
    throw rowError('"tools"', jsonKind(tools), "a list of functions", "Write the tools as a JSON list.");
  }
  return { kind: "chat", messages, tools };
}

function readString(row: Record<string, unknown>, key: string): string {
  const value = row[key];
  if (typeof value === "string") return value;
  throw rowError(`"${key}"`, jsonKind(value), "a string", "Mend the row.");
}

function readPromptCompletion(row: Record<string, unknown>): Row {
  const { prompt, completion } = row;
  if (Array.isArray(prompt) && Array.isArray(completion)) {
    const asked = readMessages(prompt, "prompt").map(({ message }) => ({ message, isTrained: false }));
    return chat([...asked, ...readMessages(completion, "completion")], row);
  }
  if (typeof prompt === "string" && typeof completion === "string") {
    if (completion === "") {
      throw rowError('"completion"', "an empty string", "text to learn", "Add it, or remove the row.");
    }
    return { kind: "completion", prompt, completion };
  }
  throw rowError(
    '"prompt" and "completion"',
    `${jsonKind(prompt)} and ${jsonKind(completion)}`,
    "two strings or two lists of messages",
    "Write both in the same form.",
  );
}

function readAlpaca(row: Record<string, unknown>): Row {
  const say = (role: Message["role"], content: string): WeightedMessage => ({
    message: { role, content },
    isTrained: true,
  });
  const messages: WeightedMessage[] = [];
  if (row["system"] != null && row["system"] !== "") {
    messages.push(say("system", readString(row, "system")));
  }
  const history = row["history"] ?? [];
  for (const pair of Array.isArray(history) ? (history as unknown[]) : [history]) {
    if (!Array.isArray(pair) || typeof pair[0] !== "string" || typeof pair[1] !== "string") {
      throw rowError('"history"', jsonKind(pair), "pairs of question and answer", "Mend the row.");
    }
    messages.push(say("user", pair[0]), say("assistant", pair[1]));
  }
  const input = row["input"] == null ? "" : readString(row, "input");
  const instruction = readString(row, "instruction");
  messages.push(say("user", input === "" ? instruction : `${instruction}\n${input}`));
  messages.push(say("assistant", readString(row, "output")));
  return chat(messages, row);
}

/** Reads one row. @throws usage/data when it has none of the forms or breaks the one that it has */
export function readRow(value: unknown): Row {
  if (!isRecord(value))
    throw rowError("row", jsonKind(value), `an object: ${FORMS}`, "Write one object a row.");
  if ("messages" in value) return chat(readMessages(value["messages"], "messages"), value);
  if ("conversations" in value) {
    const system = value["system"];
    const first: WeightedMessage[] =
      typeof system === "string" && system !== ""
        ? [{ message: { role: "system", content: system }, isTrained: true }]
        : [];
    return chat([...first, ...readMessages(value["conversations"], "conversations")], value);
  }
  if ("prompt" in value && "completion" in value) return readPromptCompletion(value);
  if ("instruction" in value && "output" in value) return readAlpaca(value);
  if ("text" in value) {
    const text = readString(value, "text");
    if (text === "") throw rowError('"text"', "an empty string", "text to learn", "Remove the row.");
    return { kind: "text", text };
  }
  const keys = Object.keys(value);
  throw rowError(
    "row",
    keys.length === 0 ? "no keys" : `keys ${keys.map((key) => JSON.stringify(key)).join(", ")}`,
    FORMS,
    "Rename the columns to one of these forms.",
  );
}
