/** @file `graft eval`: loss and perplexity of a model on a data set, or the accuracy of a model that tells classes. */
import { z } from "zod";

import { readDataFile } from "../data/by-path.ts";
import { TRAIN_ON } from "../data/example.ts";
import { openTextParts, type TextParts } from "../engine/text-model.ts";
import { UsageError } from "../errors.ts";
import { COMPUTES, type ComputeName } from "../nn/computes.ts";
import { Session } from "../run/session.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { type Evaluation, Evaluator } from "../train/evaluate.ts";
import { type CommandIO, defineCommand } from "./command.ts";
import { evaluateClasses, tellsClasses } from "./eval-classes.ts";
import { MODEL_FLAGS, openOptions, warn } from "./generation.ts";
import { pullWithProgress } from "./pull.ts";

/** Flags that say how texts are counted. */
export const EVALUATION_FLAGS = {
  length: z.int().min(2).default(512).describe("Tokens of a window or example; longer examples are cut"),
  trainOn: z.enum(TRAIN_ON).default("assistant").describe("Turns of a conversation whose loss counts"),
};

/** What to evaluate on. */
type EvaluationFlags = z.output<z.ZodObject<typeof EVALUATION_FLAGS>> & {
  readonly data: string;
  readonly keepWidened: boolean;
  readonly compute: ComputeName;
  readonly threads?: number | undefined;
};

/** Computes the loss of an open model on a file, with a bar and warnings on the terminal. @throws UsageError usage/flag */
export async function evaluateWithProgress(
  { base, adapter, tokenizer, template }: TextParts,
  { data, length, trainOn, keepWidened, compute, threads }: EvaluationFlags,
  io: CommandIO,
): Promise<Evaluation> {
  const { maxPositions } = base.model;
  if (length > maxPositions) {
    throw new UsageError(
      "usage/flag",
      `Cannot evaluate on ${length} tokens: the model has ${maxPositions} positions`,
      { hint: `Choose a length of at most ${maxPositions}.` },
    );
  }
  const { examples, report } = readDataFile(data, { tokenizer, template, maxLength: length, trainOn });
  const { numTruncated, numDropped } = report;
  if (numTruncated > 0) warn(`examples cut to ${length} tokens: ${numTruncated}`, io);
  if (numDropped > 0) warn(`examples left out, as no token of theirs counts: ${numDropped}`, io);
  const engine = createEngine({ threads });
  const session = new Session(engine, base, keepWidened ? "float32" : "stored", {
    compute: COMPUTES[compute],
  });
  const evaluator = await Evaluator.create(session, adapter);
  const bar = io.progress("evaluating", examples.length, "steps");
  try {
    return await evaluator.evaluate(examples, (numDone) => {
      bar.update(numDone);
      io.signal.throwIfAborted();
    });
  } finally {
    bar.stop();
    await session.release();
  }
}

export const evaluate = defineCommand({
  name: "eval",
  summary: "Compute loss and perplexity of a model on a data set, or how many classes it finds",
  positionals: [],
  options: z.strictObject({
    ...MODEL_FLAGS,
    data: z
      .string()
      .describe(
        "Data: .jsonl, .json, or .txt, which is cut into windows without overlap; images: IDX, or a folder",
      ),
    ...EVALUATION_FLAGS,
  }),
  async run(options, io) {
    const { path } = await pullWithProgress(options.model, io);
    if (await tellsClasses(path)) return await evaluateClasses(path, options, io);
    const parts = await openTextParts(path, openOptions(options));
    try {
      for (const note of parts.notes) warn(note, io);
      const { loss, perplexity, tokens } = await evaluateWithProgress(parts, options, io);
      io.stdout(`loss ${loss.toFixed(4)}, perplexity ${perplexity.toFixed(3)} over ${tokens} tokens`);
      io.emit({ event: "done", loss, perplexity, tokens });
    } finally {
      await parts.checkpoint.close();
    }
  },
});
