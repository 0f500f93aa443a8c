/** @file Sentences on what was cut and left out when data was read, for the user who starts a run. */
import type { DataKindName } from "../examples/data-kinds.ts";
import type { RowCounts } from "./data-report.ts";
import { Faults } from "./faults.ts";

/** What is done with rows, by default. */
const LEARNED = "learned";

/** Counts of what was read. */
type Counts = RowCounts & { readonly numExamples: number };

/**
 * Describes problems: rows that were left out as faulty, and that every example is cut. `what` is put before "examples"; `use`
 * is what is done with them. An empty list: there are no problems.
 */
export function noteTroubles(counts: Counts, maxLength: number, what = "", use = LEARNED): string[] {
  const { numExamples, numTruncated, longest } = counts;
  const faults = new Faults();
  faults.addAll(counts.faults);
  const lines = faults.describe().map((line) => `  ${line}`);
  const all = `${numExamples === 1 ? `the only ${what}example was` : `all ${numExamples} ${what}examples were`} truncated to ${maxLength} tokens, so no end of a text or answer is ${use}`;
  return [
    ...(faults.numRows > 0 ? [[`${countRows(faults.numRows, what)} skipped:`, ...lines].join("\n")] : []),
    ...(isAllCut(counts) && numTruncated > 0
      ? [`${all}. Raise --max-length, as far as the model has positions: the longest has ${longest} tokens.`]
      : []),
  ];
}

/** Notes that rows are learned in a different form than a chat will have, and how to write them for a chat. */
export function notePlainPrompts(
  { numPlainPrompts: count }: Pick<Counts, "numPlainPrompts">,
  kind: DataKindName,
): string[] {
  if (count === 0) return [];
  // Alpaca's form has a single answer, which is learned in that form.
  const renamed = kind === "text" ? "pass --columns instruction=prompt,output=completion, or " : "";
  return [
    `${count === 1 ? "1 row has" : `${count} rows have`} a plain prompt and completion: they were concatenated without the model's chat template, so a chat model will not see them as turns. ` +
      `To train chat answers, ${renamed}write messages in place of the strings: ` +
      '[{"role": "user", "content": "…"}] and [{"role": "assistant", "content": "…"}].',
  ];
}

/** Notes that the chat template leaves out a part of the content or reasoning of answers. */
export function noteUnshown({ numUnshown: count }: Pick<Counts, "numUnshown">): string[] {
  if (count === 0) return [];
  return [
    `${count} ${count === 1 ? "conversation has" : "conversations have"} answers of which the model's chat template drops a part, which is not trained on: ` +
      "most templates drop the reasoning of all answers but the last, some drop text next to tool calls, or all reasoning. " +
      "`graft data show` prints what is trained on. To train on the reasoning of each answer, write a row that ends with that answer, or pass --chat-template.",
  ];
}

/** Notes that the labels of texts are not learned, and how to learn them. */
export function noteLabelled({ numLabelled: count }: Pick<Counts, "numLabelled">): string[] {
  if (count === 0) return [];
  return [
    `${count} ${count === 1 ? "text row has a label, which is" : "text rows have labels, which are"} not trained on: the texts are, as they stand. ` +
      "To train on labels, use --objective classification, multi-label-classification or regression.",
  ];
}

function countRows(numRows: number, what: string): string {
  return numRows === 1 ? `1 faulty ${what}row was` : `${numRows} faulty ${what}rows were`;
}

/** Describes problems, and also how many examples were cut and left out. */
export function noteReport(
  counts: Counts,
  maxLength: number,
  kind: DataKindName = "text",
  use = LEARNED,
): string[] {
  const { numTruncated, numDropped } = counts;
  return [
    ...noteTroubles(counts, maxLength, "", use),
    ...notePlainPrompts(counts, kind),
    ...noteUnshown(counts),
    ...noteLabelled(counts),
    ...(numTruncated > 0 && !isAllCut(counts)
      ? [`examples truncated to ${maxLength} tokens: ${numTruncated}`]
      : []),
    ...(numDropped > 0 ? [`examples skipped, since none of their tokens count: ${numDropped}`] : []),
  ];
}

function isAllCut({ numTruncated, numExamples }: Counts): boolean {
  return numTruncated === numExamples;
}
