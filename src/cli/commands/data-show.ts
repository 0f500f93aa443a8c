/**
 * @file `graft data show`: examples as the model sees them, trained text told apart from masked text and from what is cut.
 *
 * Without colours trained text stands as [+text+] and cut text as [-text-].
 */
import { z } from "zod";

import { sequencesOf } from "../../data/examples/training-unit.ts";
import { readDatasets, type ReadOptions } from "../../data/by-path.ts";
import { type ClassExample, classesOf } from "../../data/examples/class-example.ts";
import { type Comparison, promptLength, type Sequence } from "../../data/examples/comparison.ts";
import {
  DATA_KINDS,
  type DataKind,
  type DataKindName,
  type UnitOptions,
} from "../../data/examples/data-kinds.ts";
import { type DataReport, reportOn, type RowCounts } from "../../data/reports/data-report.ts";
import { type Example, TRAIN_ON } from "../../data/examples/example.ts";
import { DATA_ENDINGS, findFileKind, isPlainText } from "../../data/formats/file-kinds.ts";
import { describeSource } from "../../data/reports/places.ts";
import { noteReport } from "../../data/reports/report-notes.ts";
import { type ExamplePiece, describeExample } from "../../data/examples/show.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import { openTextTools } from "../../data/chat/text-tools.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { openModel } from "../../models/families.ts";
import { withChatTemplate } from "../../data/files/chat-template-file.ts";
import { CHAT_TEMPLATE } from "../../data/chat/named-templates.ts";
import { classNamesOf } from "../../train/files/setup/class-head.ts";
import { OBJECTIVES, defaultObjective, findObjective } from "../../train/objectives.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { warn } from "../report.ts";
import { formatCount, formatPercent } from "../../messages/numbers.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { ROW_FLAGS, withReading } from "../data/reading.ts";

/** What text data become: something to show by itself, or several that are compared. */
type ShownSequence = Example | Sequence | ClassExample;
type TextUnit = ShownSequence | Comparison;

/** An example as training takes it, or examples that are compared. */
interface CutUnit {
  readonly whole: TextUnit;
  readonly kept: TextUnit;
  /** Whether nothing is left to learn, so that training leaves it out. */
  readonly isDropped: boolean;
}

/** Ids that a sequence has lost: of its prompt, and of its end. */
interface LostIds {
  readonly start: Int32Array;
  readonly end: Int32Array;
}

function cutUnit(whole: TextUnit, kind: DataKind<TextUnit>, options: UnitOptions): CutUnit {
  const isLong = sequencesOf(whole).some(({ ids }) => ids.length > options.maxLength);
  const kept = isLong ? kind.fit(whole, options) : whole;
  return { whole, kept, isDropped: !kind.isUseful(kept) };
}

/** Only a prompt that is compared loses its beginning, after bos; a text that is judged keeps what stands behind it. */
function lostIds(whole: ShownSequence, kept: ShownSequence, { bosId, suffixIds }: Tokenizer): LostIds {
  const isCompared = "role" in whole && "role" in kept;
  const numStart = isCompared ? Math.max(0, promptLength(whole) - promptLength(kept)) : 0;
  const numHead = numStart > 0 && kept.ids[0] === bosId ? 1 : 0;
  const numTail = "label" in kept ? suffixIds.length : 0;
  return {
    start: whole.ids.slice(numHead, numHead + numStart),
    end: whole.ids.slice(numStart + kept.ids.length - numTail, whole.ids.length - numTail),
  };
}

const numLost = ({ start, end }: LostIds): number => start.length + end.length;

/** The sequences of a unit, whole and as they are kept. */
function sequencePairs({ whole, kept }: CutUnit): readonly (readonly [ShownSequence, ShownSequence])[] {
  const before = sequencesOf(whole);
  return sequencesOf(kept).map((sequence, i) => [before[i]!, sequence]);
}

/** Reads units at their full length; windows of a text have no length of their own. */
async function readWhole(
  path: string,
  how: ReadOptions<DataKindName>,
): Promise<{ readonly units: readonly TextUnit[]; readonly counts: RowCounts }> {
  const read = async (maxLength: number): ReturnType<typeof readWhole> => {
    const [dataset] = await readDatasets<DataKindName>([path], { ...how, maxLength }, ["train"]);
    const { train, reports } = dataset!;
    return { units: train, counts: reports.train };
  };
  const whole = await read(Number.MAX_SAFE_INTEGER);
  const kind = findFileKind(whole.units[0]?.source.file ?? "");
  return kind && isPlainText(kind) ? read(how.maxLength) : whole;
}

function paint({ text, trained }: ExamplePiece, io: CommandIO): string {
  if (!io.color.isColorSupported) return trained ? `[+${text}+]` : text;
  return trained ? io.color.green(text) : io.color.dim(text);
}

function paintCut(text: string, io: CommandIO): string {
  if (text === "") return "";
  return io.color.isColorSupported ? io.color.red(io.color.strikethrough(text)) : `[-${text}-]`;
}

function showUnit(unit: CutUnit, { tokenizer, classes }: UnitOptions, io: CommandIO): void {
  for (const [whole, kept] of sequencePairs(unit)) {
    const { pieces, numTrained } = describe(kept, tokenizer);
    const lost = lostIds(whole, kept, tokenizer);
    const [cutStart, cutEnd] = [tokenizer.decode(lost.start), tokenizer.decode(lost.end)];
    const { file, line } = kept.source;
    const className = "label" in kept ? (classes?.names[kept.label] ?? "") : null;
    const notes = [
      ...("role" in kept ? [kept.role] : []),
      ...(className === null ? [] : [`class ${className}`]),
      `${whole.ids.length} tokens`,
      ...(className === null ? [`${numTrained} trained`] : []),
      ...(numLost(lost) > 0 ? [`${numLost(lost)} cut`] : []),
      ...(unit.isDropped ? ["left out"] : []),
    ];
    io.stdout(io.color.bold(`${describeSource(kept.source)}  ${notes.join(", ")}`));
    const shown = pieces.map((piece) => paint(piece, io)).join("");
    io.stdout(`${(paintCut(cutStart, io) + shown + paintCut(cutEnd, io)).trimEnd()}\n`);
    io.emit({
      event: "example",
      file,
      line,
      ...("role" in kept ? { role: kept.role } : {}),
      ...(className === null ? {} : { class: className }),
      tokens: whole.ids.length,
      trained_tokens: numTrained,
      cut_tokens: numLost(lost),
      dropped: unit.isDropped,
      pieces,
      cut_text: cutStart + cutEnd,
    });
  }
}

/** A text that is judged has no trained token: all of it is read. */
function describe(sequence: ShownSequence, tokenizer: Tokenizer): ReturnType<typeof describeExample> {
  const example: Example | Sequence =
    "weights" in sequence ? sequence : { ...sequence, weights: new Float32Array(sequence.ids.length) };
  return describeExample(example, tokenizer);
}

/** What is told at the end. */
interface Summary {
  readonly report: DataReport;
  readonly maxLength: number;
  readonly numCutTokens: number;
}

function showSummary({ report, maxLength, numCutTokens }: Summary, io: CommandIO): void {
  const { numExamples, numTokens, numTrainedTokens, numTruncated, numDropped, lengths } = report;
  const share = formatPercent(numTrainedTokens / Math.max(1, numTokens));
  io.stdout(
    `${formatCount(numExamples)} ${numExamples === 1 ? "example" : "examples"}, ${formatCount(numTokens)} tokens, ${formatCount(numTrainedTokens)} trained (${share}); ` +
      `lengths ${lengths.min} to ${lengths.max}, median ${lengths.median}, mean ${Math.round(lengths.mean)}`,
  );
  io.stdout(
    numTruncated + numDropped === 0
      ? `Nothing is cut at ${maxLength} tokens.`
      : `Limit of ${maxLength} tokens: ${formatCount(numTruncated)} cut (${formatCount(numCutTokens)} tokens lost), ` +
          `${formatCount(numDropped)} left out (nothing to learn in them).`,
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

export const command = defineCommand({
  example: "npx graft data show chats.jsonl --limit 3",
  positionals: ["file"],
  options: z.strictObject({
    file: z
      .string()
      .describe(`Data: a file (${DATA_ENDINGS.join(", ")}, also .gz or .zst) or a folder of them`),
    chatTemplate: CHAT_TEMPLATE,
    model: z
      .string()
      .default(DEFAULT_MODEL)
      .describe("Model whose tokenizer and chat template are used: OWNER/NAME, a folder or a .gguf file"),
    maxLength: z.int().min(2).default(512).describe("Maximum tokens per example; longer ones are truncated"),
    ...ROW_FLAGS,
    limit: z.int().min(0).default(5).describe("Number of examples to show"),
    trainOn: z.enum(TRAIN_ON).default("assistant").describe("Turns of a conversation to train on"),
    objective: z
      .enum(OBJECTIVES.map(({ name }) => name))
      .optional()
      .describe(
        "Training objective, which decides what rows are expected; default: the one that suits the model",
      ),
  }),
  async run({ file, model, chatTemplate, maxLength, limit, trainOn, objective, ...flags }, io) {
    const { path } = await pullWithProgress(model, io);
    const checkpoint = withChatTemplate(await openCheckpoint(path), chatTemplate);
    await checkpoint.close();
    const opened = openModel(checkpoint.config);
    const tools = openTextTools(model, checkpoint.tokenizerFiles);
    const { rows } = objective === undefined ? defaultObjective(opened.task) : findObjective(objective);
    const kind = DATA_KINDS[rows] as DataKind<TextUnit>;
    const classes =
      kind.hasClasses && opened.classPosition === null
        ? { classes: { names: await classNamesOf([file], flags.columns), readAt: "last" as const } }
        : classesOf(opened);
    const options: UnitOptions = { ...tools, trainOn, maxLength, ...classes };
    const { units, counts } = await withReading(flags, io, (reading) =>
      readWhole(file, { ...options, ...reading, origin: tools.origin, kind: rows }),
    );
    const all = units.map((unit) => cutUnit(unit, kind, options));
    for (const unit of all.slice(0, limit)) showUnit(unit, options, io);
    const useful = all.filter(({ isDropped }) => !isDropped);
    const report = reportOn(
      useful.map(({ kept }) => kept),
      {
        ...counts,
        numTruncated: useful.filter(({ kept, whole }) => kept !== whole).length,
        numDropped: all.length - useful.length + counts.numDropped,
      },
    );
    const numCutTokens = useful
      .flatMap(sequencePairs)
      .reduce((sum, [whole, kept]) => sum + whole.ids.length - kept.ids.length, 0);
    const uncut = { ...counts, numTruncated: 0, numDropped: 0, numExamples: 0 };
    for (const note of noteReport(uncut, maxLength, rows)) warn(note, io);
    showSummary({ report, maxLength, numCutTokens }, io);
  },
});
