/** @file `graft export`: writes a model, with an adapter if given, as ONNX files that transformers.js and ONNX Runtime open. */
import { z } from "zod";

import { readParts } from "../../engine/opening/model-parts.ts";
import { requireNewOutput } from "../../export/new-output.ts";
import { ONNX_DTYPES, writeOnnxModel } from "../../export/onnx/write-onnx.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { PATH } from "../../messages/paths.ts";
import { opensInTransformersJs } from "../../models/auto-classes.ts";
import { UNMEASURED_COMPUTES } from "../../nn/computes.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { defineCommand } from "../command.ts";
import { findModel } from "../model/find-model.ts";
import { MODEL_FLAGS, tellNotes } from "../model/model-flags.ts";
import { LateBar } from "../terminal/late-bar.ts";

export const command = defineCommand({
  example: "npx graft export --adapter runs/mine --output mine-onnx",
  positionals: [],
  options: z.strictObject({
    model: MODEL_FLAGS.model,
    adapter: MODEL_FLAGS.adapter,
    output: PATH.describe("Where to write: a new folder"),
    compute: z
      .enum(UNMEASURED_COMPUTES)
      .default("f32")
      .describe(
        "Arithmetic of the matrix products in the blocks; except with f32, low-bit weights stay low-bit (docs/storage.md)",
      ),
    dtype: z
      .enum(ONNX_DTYPES)
      .default("f32")
      .describe("Data type of float matrices: f16 takes half the space, and rounds those of f32"),
    threads: MODEL_FLAGS.threads,
  }),
  async run({ adapter: adapterPath, output, compute, dtype, threads, ...flags }, io) {
    const { name, path } = await findModel({ ...flags, adapter: adapterPath }, io);
    const inputs = { model: path, ...(adapterPath !== undefined && { adapter: adapterPath }) };
    await requireNewOutput(output, "hf", inputs);
    const opened = await openCheckpoint(path);
    const bar = new LateBar();
    let readers = "transformers.js and ONNX Runtime";
    try {
      const { base, checkpoint, adapter } = await readParts(opened, { name, adapterPath });
      const onPart = (numDone: number, numParts: number): void => {
        bar.update(numDone, () => io.progress("writing", numParts, "steps"));
        io.signal.throwIfAborted();
      };
      const engine = createEngine({ threads });
      await writeOnnxModel({
        engine,
        base,
        checkpoint,
        adapter,
        adapterPath,
        path: output,
        compute,
        dtype,
        onPart,
      });
      if (!opensInTransformersJs(base.model))
        readers = `ONNX Runtime; transformers.js does not support the family ${base.model.modelType}`;
      tellNotes({ base }, io);
    } finally {
      bar.stop();
      await opened.close();
    }
    io.stdout(`the model is in ${output}, for ${readers}`);
    io.emit({ event: "done", output, compute });
  },
});
