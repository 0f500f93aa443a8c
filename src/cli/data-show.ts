/**
 * @file `graft data show`: examples as the model sees them, trained text told apart from masked text and from what is cut.
 *
 * Without colours trained text stands as [+text+] and cut text as [-text-].
 */
import { z } from "zod";

import { type DataPart, readDataset } from "../data/dataset.ts";
import { type DataReport, reportOn } from "../data/data-report.ts";
import { type Example, TRAIN_ON, countTrained } from "../data/example.ts";
import { type ExamplePiece, describeExample } from "../data/show.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { openTextTools } from "../data/text-tools.ts";
import { openCheckpoint } from "../format/checkpoint/checkpoint.ts";
import { type CommandIO, defineCommand } from "./command.ts";
import { MODEL_FLAGS } from "./generation.ts";
import { pullWithProgress } from "./pull.ts";

/** An example as training takes it. */
interface CutExample {
  readonly kept: Example;
  readonly cutIds: Int32Array;
  /** Whether nothing is left to learn, so that training leaves the example out. */
  readonly isDropped: boolean;
}

function cut(example: Example, maxLength: number): CutExample {
  const kept = {
    ...example,
    ids: example.ids.slice(0, maxLength),
    trained: example.trained.slice(0, maxLength),
  };
  return { kept, cutIds: example.ids.slice(maxLength), isDropped: countTrained(kept) === 0 };
}

/** Reads examples at their full length; windows of a text have no length of their own. */
function readWhole(
  path: string,
  maxLength: number,
  how: Omit<Parameters<typeof readDataset>[1], "maxLength">,
): { readonly examples: DataPart["examples"]; readonly numWithoutLabel: number } {
  const read = (length: number): ReturnType<typeof readWhole> => {
    const { train, reports } = readDataset(path, { ...how, maxLength: length });
    return { examples: train, numWithoutLabel: reports.train.numDropped };
  };
  const whole = read(Number.MAX_SAFE_INTEGER);
  return whole.examples[0]?.source.file.endsWith(".txt") ? read(maxLength) : whole;
}

function paint({ text, trained }: ExamplePiece, io: CommandIO): string {
  if (!io.color.isColorSupported) return trained ? `[+${text}+]` : text;
  return trained ? io.color.green(text) : io.color.dim(text);
}

function paintCut(text: string, io: CommandIO): string {
  if (text === "") return "";
  return io.color.isColorSupported ? io.color.red(io.color.strikethrough(text)) : `[-${text}-]`;
}

function showExample({ kept, cutIds, isDropped }: CutExample, tokenizer: Tokenizer, io: CommandIO): void {
  const { pieces, length, numTrained } = describeExample(kept, tokenizer);
  const cutText = tokenizer.decode(cutIds);
  const { file, line } = kept.source;
  const notes = [
    `${length + cutIds.length} tokens`,
    `${numTrained} trained`,
    ...(cutIds.length > 0 ? [`${cutIds.length} cut`] : []),
    ...(isDropped ? ["left out"] : []),
  ];
  io.stdout(io.color.bold(`${file}:${line}  ${notes.join(", ")}`));
  const shown = pieces.map((piece) => paint(piece, io)).join("") + paintCut(cutText, io);
  io.stdout(`${shown.trimEnd()}\n`);
  io.emit({
    event: "example",
    file,
    line,
    tokens: length + cutIds.length,
    trained_tokens: numTrained,
    cut_tokens: cutIds.length,
    dropped: isDropped,
    pieces,
    cut_text: cutText,
  });
}

/** What is told at the end. */
interface Summary {
  readonly report: DataReport;
  readonly maxLength: number;
  readonly numCutTokens: number;
}

function showSummary({ report, maxLength, numCutTokens }: Summary, io: CommandIO): void {
  const { numExamples, numTokens, numTrainedTokens, numTruncated, numDropped, lengths } = report;
  const count = (value: number): string => value.toLocaleString("en");
  const share = Math.round((100 * numTrainedTokens) / Math.max(1, numTokens));
  io.stdout(
    `${count(numExamples)} examples, ${count(numTokens)} tokens, ${count(numTrainedTokens)} trained (${share} %); ` +
      `lengths ${lengths.min} to ${lengths.max}, median ${lengths.median}, mean ${Math.round(lengths.mean)}`,
  );
  io.stdout(
    numTruncated + numDropped === 0
      ? `Nothing is cut at ${maxLength} tokens.`
      : `Limit of ${maxLength} tokens: ${count(numTruncated)} cut (${count(numCutTokens)} tokens lost), ` +
          `${count(numDropped)} left out (nothing to learn in them).`,
  );
  io.emit({
    event: "summary",
    examples: numExamples,
    tokens: numTokens,
    trained_tokens: numTrainedTokens,
    cut_examples: numTruncated,
    cut_tokens: numCutTokens,
    dropped_examples: numDropped,
    max_length: maxLength,
    lengths,
  });
}

export const dataShow = defineCommand({
  name: "data show",
  summary: "Show examples with the tokens that are trained, and what would be cut",
  positionals: ["file"],
  options: z.strictObject({
    file: z.string().describe("Data: .jsonl, .json or .txt, or a folder with train.jsonl"),
    model: MODEL_FLAGS.model,
    maxLength: z.int().min(2).default(512).describe("Tokens of an example; longer ones are cut"),
    limit: z.int().min(0).default(5).describe("Examples to show"),
    trainOn: z.enum(TRAIN_ON).default("assistant").describe("Turns of a conversation that are learned"),
  }),
  async run({ file, model, maxLength, limit, trainOn }, io) {
    const { path } = await pullWithProgress(model, io);
    const checkpoint = await openCheckpoint(path);
    await checkpoint.close();
    const { tokenizer, template } = openTextTools(model, checkpoint.tokenizerFiles);
    const { examples, numWithoutLabel } = readWhole(file, maxLength, { tokenizer, template, trainOn });
    const all = examples.map((example) => cut(example, maxLength));
    for (const example of all.slice(0, limit)) showExample(example, tokenizer, io);
    const kept = all.filter(({ isDropped }) => !isDropped);
    const report = reportOn(
      kept.map((example) => example.kept),
      kept.filter(({ cutIds }) => cutIds.length > 0).length,
      all.length - kept.length + numWithoutLabel,
    );
    const numCutTokens = kept.reduce((sum, { cutIds }) => sum + cutIds.length, 0);
    showSummary({ report, maxLength, numCutTokens }, io);
  },
});
