/** @file `graft data show`: shows examples as the model sees them, and how much is cut in total. */
import { tellsClasses, withClasses } from "../../models/config/class-head.ts";
import { ownOutputs } from "../../models/config/classifier-config.ts";
import type { RawConfig } from "../../models/config/raw-config.ts";
import { z } from "zod";

import type { ReadOptions } from "../../data/files/read-files.ts";
import { readDatasets } from "../../data/by-path.ts";
import { classesOf } from "../../data/examples/class-example.ts";
import {
  DATA_KINDS,
  type DataKind,
  type DataKindName,
  type UnitOptions,
} from "../../data/examples/data-kinds.ts";
import { type DataReport, reportOn, type RowCounts } from "../../data/reports/data-report.ts";
import { TRAIN_ON } from "../../data/examples/example.ts";
import { DATA_ENDINGS, findFileKind, isPlainText } from "../../data/formats/file-kinds.ts";
import { maxLengthFor, maxLengthSetting } from "../../data/max-length.ts";
import { noteReport } from "../../data/reports/report-notes.ts";
import { openTextTools } from "../../data/chat/text-tools.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { UsageError } from "../../errors.ts";
import { openModel } from "../../models/families.ts";
import type { Model } from "../../models/model.ts";
import { withChatTemplate } from "../../data/files/chat-template-file.ts";
import { CHAT_TEMPLATE } from "../../data/chat/named-templates.ts";
import { requireTurns } from "../../train/files/data/text-data.ts";
import { classNamesOf } from "../../train/files/setup/class-head.ts";
import { OBJECTIVES, defaultObjective, findObjective } from "../../train/objectives.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { warn } from "../report.ts";
import { formatCount, formatCountOf, formatFixed, formatPercent } from "../../messages/numbers.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { ROW_FLAGS, withReading } from "../data/reading.ts";
import { type TextUnit, cutUnit, sequencePairs, showUnit } from "../data/show-unit.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";

/** Reads units at their full length; plain text is still cut into windows, which have no length of their own. */
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

/** The configuration of a model, with the head that a run on this data would add. @throws as `classNamesOf` */
async function withClassesFor(
  { problem }: Pick<DataKind<TextUnit>, "problem">,
  config: RawConfig,
  data: readonly string[],
  columns: Parameters<typeof classNamesOf>[1],
): Promise<RawConfig> {
  if (problem === null || tellsClasses(config)) return config;
  const names = ownOutputs(problem) ?? (await classNamesOf(data, columns));
  return withClasses(config, names, problem);
}

/** @throws UsageError "usage/model" for a model that reads images, which this command cannot show */
function requireText(name: string, { image }: Pick<Model, "image">): void {
  if (image === null) return;
  throw new UsageError("usage/model", `Cannot show data of model "${name}": it reads images, expected text`, {
    hint: "graft train and graft plan show how many images there are.",
  });
}

/** The summary at the end. */
interface Summary {
  readonly report: DataReport;
  readonly maxLength: number;
  readonly numCutTokens: number;
}

function showSummary({ report, maxLength, numCutTokens }: Summary, io: CommandIO): void {
  const { numExamples, numTokens, numTrainedTokens, numTruncated, numDropped, lengths } = report;
  const share = formatPercent(numTrainedTokens / Math.max(1, numTokens));
  io.stdout(
    `${formatCountOf(numExamples, "example")}, ${formatCount(numTokens)} tokens, ${formatCount(numTrainedTokens)} trained (${share})`,
  );
  io.stdout(
    `Lengths ${lengths.min} to ${lengths.max}, median ${lengths.median}, mean ${formatFixed(lengths.mean, 1)}`,
  );
  io.stdout(
    numTruncated + numDropped === 0
      ? `Nothing is truncated at ${maxLength} tokens.`
      : `Limit of ${maxLength} tokens: ${formatCount(numTruncated)} truncated (${formatCount(numCutTokens)} tokens lost).`,
  );
  if (numDropped > 0) io.stdout(`Skipped, with nothing to train on: ${formatCount(numDropped)}.`);
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
    file: PATH.describe(`Data: a file (${DATA_ENDINGS.join(", ")}, also .gz or .zst) or a folder of them`),
    chatTemplate: CHAT_TEMPLATE,
    model: NAME_OR_PATH.default(DEFAULT_MODEL).describe(
      "Model whose tokenizer and chat template are used: OWNER/NAME, a folder or a .gguf file",
    ),
    maxLength: maxLengthSetting("Maximum tokens per example; longer ones are truncated"),
    ...ROW_FLAGS,
    limit: z.int().min(0).default(5).describe("Number of examples to show"),
    trainOn: z.enum(TRAIN_ON).default("assistant").describe("Turns of a conversation to train on"),
    objective: z
      .enum(OBJECTIVES.map(({ name }) => name))
      .optional()
      .describe(
        "Training objective, which determines the rows expected; default: the one that suits the model",
      ),
  }),
  async run({ file, model, chatTemplate, limit, trainOn, objective, ...flags }, io) {
    const { path } = await pullWithProgress(model, io);
    const checkpoint = withChatTemplate(await openCheckpoint(path), chatTemplate);
    await checkpoint.close();
    const { config } = checkpoint;
    const learned = objective === undefined ? defaultObjective(openModel(config)) : findObjective(objective);
    requireTurns(trainOn, learned);
    const { rows } = learned;
    const kind = DATA_KINDS[rows] as DataKind<TextUnit>;
    const opened = openModel(await withClassesFor(kind, config, [file], flags.columns));
    requireText(model, opened);
    const maxLength = maxLengthFor(opened, flags.maxLength);
    const tools = openTextTools(model, checkpoint.tokenizerFiles);
    const options: UnitOptions = { ...tools, trainOn, maxLength, ...classesOf(opened) };
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
