/** @file `graft merge`: merges an adapter into a model, which programs without support for adapters can use. */
import { z } from "zod";

import { type ModelParts, readParts } from "../../engine/opening/model-parts.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import {
  type Checkpoint,
  GGUF_ENDING,
  MODEL_FORMATS,
  type ModelFormat,
} from "../../format/checkpoint/checkpoint.ts";
import { type MergeReport, type MergeRequest, writeMergedModel } from "../../export/merged/merged-model.ts";
import { chooseKind } from "../../export/merged/merged-kinds.ts";
import { requireNewOutput } from "../../export/new-output.ts";
import { WRITABLE_NAMES } from "../../quant/storages.ts";
import type { Adapter } from "../../peft/attach.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { type Evaluated, EVALUATION_FLAGS, evaluateWithProgress } from "../data/evaluation.ts";
import { MODEL_FLAGS, tellNotes } from "../model/model-flags.ts";
import { warn } from "../report.ts";
import { formatCountOf, formatLoss, formatPercent } from "../../messages/numbers.ts";
import { LateBar } from "../terminal/late-bar.ts";
import { findModel } from "../model/find-model.ts";
import { PATH } from "../../messages/paths.ts";

const OPTIONS = z.strictObject({
  model: MODEL_FLAGS.model,
  adapter: PATH.describe("Adapter folder to merge into the model"),
  output: PATH.describe("Where to write: a new folder, or a new .gguf file"),
  to: z
    .enum(MODEL_FORMATS)
    .optional()
    .describe(
      "Format to write; default: gguf if the output ends in .gguf, otherwise a folder in the format of the model, or hf",
    ),
  dtype: z
    .enum(WRITABLE_NAMES)
    .optional()
    .describe(
      "Data type of the matrices; default: as in the model; when the format changes, f32 (hf) or f16 (gguf)",
    ),
  evalData: PATH.optional().describe("Data on which to compute the loss before and after merging"),
  ...EVALUATION_FLAGS,
  threads: MODEL_FLAGS.threads,
});
type MergeFlags = z.output<typeof OPTIONS>;

/** The output format: determined by the output's name, else that of the model. */
function formatNamed(output: string, own: Checkpoint["format"]): ModelFormat {
  if (output.endsWith(GGUF_ENDING)) return "gguf";
  return own === "gguf" || own === "codes" ? "hf" : own;
}

/** Computes the loss on `--eval-data`; null if it is not given. */
async function evaluateModel(
  parts: ModelParts,
  { evalData: data, ...flags }: MergeFlags,
  io: CommandIO,
): Promise<Evaluated | null> {
  if (data === undefined) return null;
  return await evaluateWithProgress(parts, { ...flags, data, weights: "stored", compute: "f32" }, io);
}

/** Computes the loss of the written model; null without `--eval-data`. */
async function evaluateOutput(flags: MergeFlags, io: CommandIO): Promise<Evaluated | null> {
  if (flags.evalData === undefined) return null;
  const checkpoint = await openCheckpoint(flags.output);
  try {
    return await evaluateModel(await readParts(checkpoint), flags, io);
  } finally {
    await checkpoint.close();
  }
}

/** Writes the merged model, with a progress bar on the terminal. */
async function writeWithProgress(
  request: Pick<MergeRequest, "checkpoint" | "base" | "adapter" | "to" | "kind">,
  flags: MergeFlags,
  io: CommandIO,
): Promise<MergeReport> {
  const engine = createEngine({ threads: flags.threads });
  const bar = new LateBar();
  try {
    const onTensor = (numDone: number, numTensors: number): void => {
      bar.update(numDone, () => io.progress("merging", numTensors, "steps"));
      io.signal.throwIfAborted();
    };
    return await writeMergedModel({
      ...request,
      engine,
      path: flags.output,
      adapterPath: flags.adapter,
      onTensor,
    });
  } finally {
    bar.stop();
  }
}

/** Lost share of an adapter's change from which a warning is given. */
const WARNED_LOSS = 0.25;

export const command = defineCommand({
  example: "npx graft merge --adapter runs/mine --output merged.gguf --to gguf --dtype q8_0",
  positionals: [],
  options: OPTIONS,
  groups: {
    model: ["model", "adapter", "threads"],
    data: ["evalData", ...Object.keys(EVALUATION_FLAGS)],
    output: ["output", "to", "dtype"],
  },
  async run(flags, io) {
    const { name, path } = await findModel(flags, io);
    const checkpoint = await openCheckpoint(path);
    const to = flags.to ?? formatNamed(flags.output, checkpoint.format);
    let before: Evaluated | null;
    let report: MergeReport;
    try {
      const kind = chooseKind(checkpoint.format, to, flags.dtype ?? null);
      await requireNewOutput(flags.output, to, { model: path, adapter: flags.adapter });
      const parts = await readParts(checkpoint, { name, adapterPath: flags.adapter });
      const { base, adapter } = parts as ModelParts & { readonly adapter: Adapter };
      before = await evaluateModel(parts, flags, io);
      report = await writeWithProgress({ checkpoint: parts.checkpoint, base, adapter, to, kind }, flags, io);
      tellNotes(parts, io);
    } finally {
      await checkpoint.close();
    }
    const after = await evaluateOutput(flags, io);
    tellReport(report, flags.output, io);
    if (before && after) {
      const [old, now] = [formatLoss(before.loss), formatLoss(after.loss)];
      io.stdout(`loss ${old} with the adapter, ${now} merged, over ${after.count} ${after.unit}`);
    }
    io.emit({
      event: "done",
      output: flags.output,
      format: to,
      ...reportEvent(report),
      ...(before && after
        ? { loss_before: before.loss, loss_after: after.loss, [after.unit]: after.count }
        : {}),
    });
  },
});

/** Reports what was written, and the effect of rounding. */
function tellReport({ numChanged, substitutes, rounding }: MergeReport, output: string, io: CommandIO): void {
  io.stdout(`${formatCountOf(numChanged, "tensor")} merged; the model is in ${output}`);
  for (const { from, to: written, numTensors } of substitutes) {
    io.stdout(`${numTensors} tensors of type ${from}, which graft can only read, are written as ${written}`);
  }
  if (rounding.numTensors > 0) {
    const { meanError, worstError, worstTensor } = rounding;
    io.stdout(
      `rounding changed ${rounding.numTensors} tensors by ${formatPercent(meanError)} on average, ${formatPercent(worstError)} at most (${worstTensor})`,
    );
  }
  if (rounding.lostChange > WARNED_LOSS) {
    warn(
      `rounding to the data types of this output undoes ${formatPercent(rounding.lostChange)} of what the adapter changes: choose a wider --dtype`,
      io,
    );
  }
}

/** Makes the part of an event that describes a report. */
function reportEvent({ numChanged, substitutes, rounding }: MergeReport): object {
  return {
    changed_tensors: numChanged,
    substitutes: substitutes.map(({ from, to, numTensors }) => ({ from, to, tensors: numTensors })),
    rounded_tensors: rounding.numTensors,
    mean_error: rounding.meanError,
    worst_error: rounding.worstError,
    worst_tensor: rounding.worstTensor,
    lost_change: rounding.lostChange,
  };
}
