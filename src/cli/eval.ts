/** @file `graft eval`: loss and perplexity of a model on a data set. */
import { z } from "zod";

import { readDataFile } from "../data/dataset.ts";
import { TRAIN_ON } from "../data/example.ts";
import { openTextParts } from "../engine/text-model.ts";
import { UsageError } from "../errors.ts";
import { createOrtEngine } from "../runtime/ort-node.ts";
import { Evaluator } from "../train/evaluate.ts";
import { defineCommand } from "./command.ts";
import { MODEL_FLAGS, openOptions, warn } from "./generation.ts";
import { pullWithProgress } from "./pull.ts";

export const evaluate = defineCommand({
  name: "eval",
  summary: "Compute loss and perplexity of a model on a data set",
  positionals: [],
  options: z.strictObject({
    ...MODEL_FLAGS,
    data: z.string().describe("Data: .jsonl, .json, or .txt, which is cut into windows without overlap"),
    length: z.int().min(2).default(512).describe("Tokens of a window or example; longer examples are cut"),
    trainOn: z.enum(TRAIN_ON).default("assistant").describe("Turns of a conversation whose loss counts"),
  }),
  async run(options, io) {
    const { path } = await pullWithProgress(options.model, io);
    const { checkpoint, base, adapter, tokenizer, template, notes } = await openTextParts(
      path,
      openOptions(options),
    );
    try {
      for (const note of notes) warn(note, io);
      const { maxPositions } = base.config;
      if (options.length > maxPositions) {
        throw new UsageError(
          "usage/flag",
          `Cannot evaluate on ${options.length} tokens: the model has ${maxPositions} positions`,
          { hint: `Choose a length of at most ${maxPositions}.` },
        );
      }
      const { examples, report } = readDataFile(options.data, {
        tokenizer,
        template,
        maxLength: options.length,
        trainOn: options.trainOn,
      });
      const { numTruncated, numDropped } = report;
      if (numTruncated > 0) warn(`examples cut to ${options.length} tokens: ${numTruncated}`, io);
      if (numDropped > 0) warn(`examples left out, as no token of theirs counts: ${numDropped}`, io);
      const engine = createOrtEngine(options.threads === undefined ? {} : { threads: options.threads });
      const evaluator = await Evaluator.create(engine, base, adapter);
      const bar = io.progress("evaluating", examples.length, "steps");
      try {
        const { loss, perplexity, tokens } = await evaluator.evaluate(examples, (numDone) => {
          bar.update(numDone);
          io.signal.throwIfAborted();
        });
        bar.stop();
        io.stdout(`loss ${loss.toFixed(4)}, perplexity ${perplexity.toFixed(3)} over ${tokens} tokens`);
        io.emit({ event: "done", loss, perplexity, tokens });
      } finally {
        bar.stop();
        await evaluator.release();
      }
    } finally {
      await checkpoint.close();
    }
  },
});
