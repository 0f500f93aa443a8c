/** @file `graft merge`: writes the ordinary model that a model and an adapter make, for programs that know no adapters. */
import { z } from "zod";

import { openTextParts } from "../engine/text-model.ts";
import { readAdapter, openCheckpoint } from "../format/by-path.ts";
import { MODEL_FORMATS } from "../format/checkpoint/checkpoint.ts";
import { loadWeights } from "../format/checkpoint/load-model.ts";
import { chooseKind, type MergeReport, type MergeRequest, writeMergedModel } from "../export/merged-model.ts";
import { requireNewOutput } from "../export/new-output.ts";
import { WRITABLE_NAMES } from "../quant/storages.ts";
import { createEngine } from "../runtime/create-engine.ts";
import type { Evaluation } from "../train/evaluate.ts";
import { type CommandIO, defineCommand } from "./command.ts";
import { EVALUATION_FLAGS, evaluateWithProgress } from "./eval.ts";
import { MODEL_FLAGS, warn } from "./generation.ts";
import { percent } from "./percent.ts";
import type { Bar } from "./progress.ts";
import { pullWithProgress } from "./pull.ts";

const FORMATS = MODEL_FORMATS.join(" or ");

const OPTIONS = z.strictObject({
  model: MODEL_FLAGS.model,
  adapter: z.string().describe("Adapter folder to merge into the model"),
  output: z.string().describe("Where to write: a new folder, or a new .gguf file"),
  to: z.enum(MODEL_FORMATS).optional().describe(`Format to write, ${FORMATS}; default: that of the model`),
  type: z
    .enum(WRITABLE_NAMES)
    .optional()
    .describe("Type of the matrices; default: as in the model; in another format f32 (hf), f16 (gguf)"),
  evalData: z.string().optional().describe("Data on which to compute the loss before merging and after"),
  ...EVALUATION_FLAGS,
  threads: MODEL_FLAGS.threads,
});
type MergeFlags = z.output<typeof OPTIONS>;

/** Computes the loss on `--eval-data`; null without. */
async function evaluateModel(
  path: string,
  adapterPath: string | null,
  { evalData: data, ...flags }: MergeFlags,
  io: CommandIO,
): Promise<Evaluation | null> {
  if (data === undefined) return null;
  const parts = await openTextParts(path, adapterPath === null ? {} : { adapterPath });
  try {
    return await evaluateWithProgress(parts, { ...flags, data, keepWidened: false, compute: "f32" }, io);
  } finally {
    await parts.checkpoint.close();
  }
}

/** Writes the merged model, with a bar on the terminal. */
async function writeWithProgress(
  request: Pick<MergeRequest, "checkpoint" | "to" | "kind">,
  flags: MergeFlags,
  io: CommandIO,
): Promise<MergeReport> {
  const { checkpoint } = request;
  const base = await loadWeights(checkpoint.path, checkpoint, { name: flags.model });
  const { adapter } = await readAdapter(flags.adapter, base);
  const engine = createEngine({ threads: flags.threads });
  let bar: Bar | null = null;
  try {
    const onTensor = (numDone: number, numTensors: number): void => {
      bar ??= io.progress("merging", numTensors, "steps");
      bar.update(numDone);
      io.signal.throwIfAborted();
    };
    return await writeMergedModel({ ...request, engine, base, adapter, path: flags.output, onTensor });
  } finally {
    (bar as Bar | null)?.stop();
  }
}

/** Share of an adapter's change whose loss is worth a warning. */
const WARNED_LOSS = 0.25;

export const merge = defineCommand({
  name: "merge",
  summary: "Write the ordinary model that a model and an adapter make",
  positionals: [],
  options: OPTIONS,
  async run(flags, io) {
    const { path } = await pullWithProgress(flags.model, io);
    const checkpoint = await openCheckpoint(path);
    const to = flags.to ?? checkpoint.format;
    let before: Evaluation | null;
    let report: MergeReport;
    try {
      const kind = chooseKind(checkpoint.format, to, flags.type ?? null);
      await requireNewOutput(flags.output, to, { model: path, adapter: flags.adapter });
      before = await evaluateModel(path, flags.adapter, flags, io);
      report = await writeWithProgress({ checkpoint, to, kind }, flags, io);
    } finally {
      await checkpoint.close();
    }
    const after = await evaluateModel(flags.output, null, flags, io);
    const { numChanged, substitutes, rounding } = report;
    io.stdout(`${numChanged} tensors merged; the model is in ${flags.output}`);
    for (const { from, to: written, numTensors } of substitutes) {
      io.stdout(`${numTensors} tensors of type ${from}, which graft only reads, are written as ${written}`);
    }
    if (rounding.numTensors > 0) {
      const { meanError, worstError, worstTensor } = rounding;
      io.stdout(
        `rounding changed ${rounding.numTensors} tensors by ${percent(meanError, 2)} on average, ${percent(worstError, 2)} at most (${worstTensor})`,
      );
    }
    if (rounding.lostChange > WARNED_LOSS) {
      warn(
        `rounding to the types of this output takes back ${percent(rounding.lostChange, 2)} of what the adapter changes: choose a wider --type`,
        io,
      );
    }
    if (before && after) {
      const [old, now] = [before.loss.toFixed(4), after.loss.toFixed(4)];
      io.stdout(`loss ${old} with the adapter, ${now} merged, over ${after.tokens} tokens`);
    }
    io.emit({
      event: "done",
      output: flags.output,
      format: to,
      changed_tensors: numChanged,
      substitutes: substitutes.map(({ from, to: written, numTensors }) => ({
        from,
        to: written,
        tensors: numTensors,
      })),
      rounded_tensors: rounding.numTensors,
      mean_error: rounding.meanError,
      worst_error: rounding.worstError,
      worst_tensor: rounding.worstTensor,
      lost_change: rounding.lostChange,
      ...(before && after ? { loss_before: before.loss, loss_after: after.loss, tokens: after.tokens } : {}),
    });
  },
});
