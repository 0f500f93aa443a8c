/** @file Evaluates a model on a file: loss and metrics, with a progress bar and warnings on the terminal. */
import { z } from "zod";

import type { TrainingUnit } from "../../data/examples/training-unit.ts";
import { readHeldOut, readTrained } from "../../data/by-path.ts";
import { readImages } from "../../data/files/image-files.ts";
import { DATA_KINDS, type DataKindName } from "../../data/examples/data-kinds.ts";
import { TRAIN_ON } from "../../data/examples/example.ts";
import { maxLengthFor, maxLengthSetting } from "../../data/max-length.ts";
import { noteReport } from "../../data/reports/report-notes.ts";
import { type ModelParts, withTextTools } from "../../engine/opening/model-parts.ts";
import { UsageError } from "../../errors.ts";
import { COMPUTES, type ComputeName } from "../../nn/computes.ts";
import type { Session } from "../../run/session.ts";
import type { Residency } from "../../run/weights/weights.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { Evaluator } from "../../train/evaluate.ts";
import { requireTurns } from "../../train/files/data/text-data.ts";
import { defaultObjective } from "../../train/objectives.ts";
import { layUnits } from "../../train/step/micro-batch.ts";
import { openSession } from "../../train/open-session.ts";
import { classesOf } from "../../data/examples/class-example.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";
import { ROW_FLAGS, withReading } from "./reading.ts";

/** Flags that determine which texts and tokens count. */
export const EVALUATION_FLAGS = {
  maxLength: maxLengthSetting("Maximum tokens per window or example; longer examples are truncated"),
  trainOn: z.enum(TRAIN_ON).default("assistant").describe("Turns of a conversation that count in the loss"),
  ...ROW_FLAGS,
};

/** Number of examples used for smoothing when the arithmetic rounds. */
const SMOOTHING_UNITS = 4;

type EvaluationFlags = z.output<z.ZodObject<typeof EVALUATION_FLAGS>> & {
  readonly data: string;
  readonly weights: Residency;
  readonly compute: ComputeName;
  readonly threads?: number | undefined;
};

/** The result of an evaluation. */
export interface Evaluated {
  readonly loss: number;
  /** Metrics by key. */
  readonly quality: Readonly<Record<string, number>>;
  readonly count: number;
  /** What `count` counts. */
  readonly unit: "tokens" | "texts" | "images";
}

/** Which part of a folder is read. */
type FolderPart = "trained" | "held-out";

const READERS = { trained: readTrained, "held-out": readHeldOut };

async function readTexts(
  parts: ModelParts,
  flags: EvaluationFlags,
  io: CommandIO,
  part: FolderPart,
): Promise<readonly TrainingUnit[]> {
  const { data, trainOn } = flags;
  const { model } = parts.base;
  const objective = defaultObjective(model);
  requireTurns(trainOn, objective);
  const { rows: kind } = objective;
  // Texts to classify are cut to the model's positions; windows of plain text have the requested length.
  const asked = maxLengthFor(model, flags.maxLength);
  const length = DATA_KINDS[kind].problem !== null ? Math.min(asked, model.maxPositions) : asked;
  if (length > model.maxPositions) {
    throw new UsageError(
      "usage/flag",
      `Cannot evaluate on ${length} tokens: the model has ${model.maxPositions} positions`,
      { hint: `Choose a max length of at most ${model.maxPositions}.` },
    );
  }
  // Copies the fields it needs and not the model: for large data, they are sent to a thread.
  const { notes, tokenizer, template, origin } = withTextTools(parts);
  for (const note of notes) warn(note, io);
  const { examples, report } = await withReading(flags, io, (reading) =>
    READERS[part]<DataKindName>(data, {
      tokenizer,
      template,
      origin,
      ...reading,
      maxLength: length,
      trainOn,
      kind,
      ...classesOf(model),
    }),
  );
  for (const note of noteReport(report, length, "text", "evaluated")) warn(note, io);
  return examples;
}

/**
 * Reads the examples of a file, or of a part of a folder, and reports what was cut or left out.
 * @throws UsageError usage/flag; as the readers of data
 */
export async function readUnits(
  parts: ModelParts,
  flags: EvaluationFlags,
  io: CommandIO,
  part: FolderPart,
): Promise<readonly TrainingUnit[]> {
  const { model } = parts.base;
  if (!model.image) return await readTexts(parts, flags, io, part);
  const { train, heldOut } = readImages(flags.data, model);
  return part === "trained" ? train : (heldOut ?? train);
}

/** Opens a session for evaluating units; the first of them are used for smoothing if the arithmetic rounds. */
export function openUnits(
  { base }: ModelParts,
  { threads, weights, compute }: Pick<EvaluationFlags, "threads" | "weights" | "compute">,
  units: readonly TrainingUnit[],
  io: CommandIO,
): Promise<Session> {
  const batch = layUnits(units.slice(0, SMOOTHING_UNITS));
  return openSession(createEngine({ threads }), base, weights, {
    compute: COMPUTES[compute],
    batch,
    warn: (message) => warn(message, io),
  });
}

/** Evaluates a loaded model. @throws UsageError usage/flag, usage/model; as the readers of data */
export async function evaluateWithProgress(
  parts: ModelParts,
  flags: EvaluationFlags,
  io: CommandIO,
): Promise<Evaluated> {
  const { base, adapter } = parts;
  const units = await readUnits(parts, flags, io, "held-out");
  const session = await openUnits(parts, flags, units, io);
  const bar = io.progress("evaluating", units.length, "steps");
  try {
    const objective = defaultObjective(base.model);
    const options = objective.options.parse({});
    const evaluator = await Evaluator.create(session, adapter, { objective: { objective, options } });
    const onProgress = (numDone: number): void => {
      bar.update(numDone);
      io.signal.throwIfAborted();
    };
    const { loss, perplexity, tokens, metrics } = await evaluator.evaluate(units, { onProgress });
    if (perplexity !== undefined)
      return { loss, quality: { perplexity, ...metrics }, count: tokens, unit: "tokens" };
    return { loss, quality: metrics, count: units.length, unit: base.model.image ? "images" : "texts" };
  } finally {
    bar.stop();
    await session.release();
  }
}
