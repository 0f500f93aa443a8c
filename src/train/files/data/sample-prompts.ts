/** @file Prompts from a file or from memory: the lines of a text, or rows of data without their answers. */
import { openContent, rowsOf } from "../../../data/files/data-content.ts";
import { readMessages } from "../../../data/rows/messages.ts";
import type { ParsedRow } from "../../../data/formats/parsed-row.ts";
import { isRecord, readString, rowError } from "../../../data/rows/row-error.ts";
import { decodeUtf8 } from "../../../data/formats/utf8.ts";
import { UsageError, GraftError } from "../../../errors.ts";
import type { TrainOptions } from "../../settings/options.ts";
import type { SamplePrompt } from "../../samples.ts";

/**
 * Reads prompts: lines are user messages if the model has a chat template, otherwise texts to continue.
 * @throws FormatError, UsageError "usage/data"
 */
export async function readSamplePrompts(
  samples: NonNullable<TrainOptions["samples"]>,
  { hasTemplate }: { readonly hasTemplate: boolean },
): Promise<SamplePrompt[]> {
  if (typeof samples === "string") return readPromptFile(samples, hasTemplate);
  return samples.map((each, i) => {
    if (typeof each === "string") return hasTemplate ? chatOf(each) : { kind: "text", text: each };
    return readPromptRow({ value: each, source: { file: "samples", line: i + 1 } });
  });
}

async function readPromptFile(path: string, hasTemplate: boolean): Promise<SamplePrompt[]> {
  const content = await openContent(path);
  const rows = rowsOf(content, {});
  const prompts: SamplePrompt[] = [];
  if (rows === null) {
    for (const line of decodeUtf8(content.bytes, path).split(/\r?\n/)) {
      if (line.trim() !== "") prompts.push(hasTemplate ? chatOf(line) : { kind: "text", text: line });
    }
  } else for await (const row of rows) prompts.push(readPromptRow(row));
  if (prompts.length > 0) return prompts;
  throw new UsageError(
    "usage/data",
    `Cannot write samples: "${path}" contains no prompts, expected at least one`,
    { hint: "Write one prompt per line." },
  );
}

function chatOf(text: string): SamplePrompt {
  return { kind: "chat", messages: [{ role: "user", content: text }] };
}

function readPromptRow(row: ParsedRow): SamplePrompt {
  try {
    if ("fault" in row) throw row.fault;
    return promptOf(row.value);
  } catch (error) {
    if (!(error instanceof GraftError)) throw error;
    const { file, line } = row.source;
    throw new UsageError("usage/data", `${file}:${line}: ${error.message}`, {
      hint: error.hint ?? "Fix the row.",
      cause: error,
    });
  }
}

/** @throws UsageError "usage/data" for a row without a prompt */
function promptOf(row: unknown): SamplePrompt {
  if (!isRecord(row))
    throw rowError("prompt", "not an object", "messages, prompt or text", "Give one prompt per row.");
  const messages =
    row["messages"] ?? row["conversations"] ?? (Array.isArray(row["prompt"]) ? row["prompt"] : null);
  if (messages === null || messages === undefined) {
    return { kind: "text", text: readString(row, row["prompt"] === undefined ? "text" : "prompt", "text") };
  }
  const all = readMessages(messages, "messages").map(({ message }) => message);
  // Removes the answers at the end, which the model will write.
  const numKept = all.findLastIndex(({ role }) => role !== "assistant") + 1;
  if (numKept === 0)
    throw rowError("messages", "only answers", "a user turn", "Start with what the user asks.");
  return { kind: "chat", messages: all.slice(0, numKept) };
}
