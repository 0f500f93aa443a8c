/** @file Reads prompts from a file: lines of plain text, or rows with `prompt` or `messages` and the name of an adapter. */
import { findFileKind } from "../../data/formats/file-kinds.ts";
import { type Message, readMessages } from "../../data/rows/messages.ts";
import { type RawFields, readString, rowError } from "../../data/rows/row-error.ts";
import { checkPrompt } from "../../engine/prompts/prompt.ts";
import type { TextModel } from "../../engine/text-model.ts";
import { readRows } from "./rows-file.ts";

/** A prompt for which a text can be generated. */
export interface FilePrompt {
  readonly line: number;
  readonly shown: { readonly prompt: string } | { readonly messages: readonly Message[] };
  /** All other keys of its row. */
  readonly others: RawFields;
  readonly ids: readonly number[];
  /** Whether the text continues the prompt; else it answers it. */
  readonly goesOn: boolean;
  /** Name of its adapter, null: none; absent: the only one, if there is one. */
  readonly task?: string | null;
}

export interface PromptOptions {
  /** Whether a prompt is a message to answer instead of a text to continue. */
  readonly chat: boolean;
  readonly modelNames: readonly string[];
}

/** Options for one file; `hasCells`: it is a table, in which null is an empty cell. */
type RowOptions = PromptOptions & { readonly hasCells: boolean };

/** Reads the prompts of a file. @throws FormatError "format/file"; UsageError or FormatError that names all unusable rows */
export async function readPrompts(
  path: string,
  model: TextModel,
  options: PromptOptions,
): Promise<FilePrompt[]> {
  const form = findFileKind(path)?.form;
  const hasCells = form !== "json" && form !== "json-lines";
  return await readRows({ path, what: "prompts", key: "prompt" }, (row) =>
    readPrompt(row, model, { ...options, hasCells }),
  );
}

/** @throws UsageError for a row that is not a prompt for the model */
function readPrompt(row: RawFields, model: TextModel, options: RowOptions): Omit<FilePrompt, "line"> {
  const given = ["prompt", "messages"].filter((key) => row[key] != null);
  if (given.length !== 1) {
    const found = given.length === 0 ? "neither" : "both";
    throw rowError("row", `it has ${found}`, `"prompt" or "messages"`, "Give each row one of them.");
  }
  const shown =
    given[0] === "prompt"
      ? { prompt: readString(row, "prompt") }
      : { messages: readMessages(row["messages"], "messages").map(({ message }) => message) };
  const asked: readonly Message[] | null =
    "messages" in shown ? shown.messages : options.chat ? [{ role: "user", content: shown.prompt }] : null;
  const ids = asked ? model.encodeChat(asked) : model.encodePrompt("prompt" in shown ? shown.prompt : "");
  checkPrompt(model.parts.base.model, ids);
  const { prompt: _, messages: __, adapter: ___, ...others } = row;
  return { shown, others, ids, goesOn: asked === null, ...taskOf(row, model, options) };
}

/** The adapter that a row names, by `adapter` or, as in requests to a server, by `model`. @throws UsageError "usage/adapter" */
function taskOf(
  row: RawFields,
  model: TextModel,
  { modelNames, hasCells }: RowOptions,
): Pick<FilePrompt, "task"> {
  const isEmpty = (value: unknown): boolean => value === null || (hasCells && value === "");
  const isUnsaid = row["adapter"] === undefined || (isEmpty(row["adapter"]) && row["model"] !== undefined);
  const key = isUnsaid ? "model" : "adapter";
  const name = row[key];
  if (name === undefined) return {};
  if (isEmpty(name) || (key === "model" && modelNames.includes(name as string))) return { task: null };
  model.tasks.get(readString(row, key));
  return { task: name as string };
}
