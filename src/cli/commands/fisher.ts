/** @file `graft fisher`: computes how much each trained number matters on some data, stored beside the adapter or model. */
import { join } from "node:path";
import { z } from "zod";

import { readParts } from "../../engine/opening/model-parts.ts";
import { UsageError } from "../../errors.ts";
import { FISHER_FILE, writeFisher } from "../../export/combined/fisher-file.ts";
import { isModelFolder } from "../../export/combined/combine-models.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { requireFilePlace } from "../../format/files/disk/file-place.ts";
import { refuseFisherOf } from "../../peft/algebra/fisher.ts";
import { algebraOf } from "../../peft/algebra/plan.ts";
import { attach } from "../../peft/attach.ts";
import { METHODS, WHOLE_MODEL } from "../../peft/methods.ts";
import { Random } from "../../random.ts";
import { requireFrozenBase } from "../../train/files/setup/run-choices.ts";
import { estimateFisher } from "../../train/fisher.ts";
import { defineCommand } from "../command.ts";
import { EVALUATION_FLAGS, openUnits, readUnits } from "../data/evaluation.ts";
import { MODEL_FLAGS, tellNotes } from "../model/model-flags.ts";
import { findModel } from "../model/find-model.ts";
import { PATH } from "../../messages/paths.ts";
import { formatCountOf } from "../../messages/numbers.ts";

const WHOLE = { method: WHOLE_MODEL, options: {} };

/** Refuses a model that is not the user's own folder, before anything is computed. */
async function requireOwnFolder(model: string, path: string, source: string): Promise<void> {
  if (source === "local path" && (await isModelFolder(path))) return;
  throw new UsageError(
    "usage/flag",
    `Cannot store Fisher information next to model "${model}": it is not a local model folder`,
    { hint: "Give an adapter with --adapter, or the folder of a fully fine-tuned model." },
  );
}

export const command = defineCommand({
  example: "npx graft fisher --adapter runs/mine --data chats.jsonl",
  positionals: [],
  options: z.strictObject({
    ...MODEL_FLAGS,
    adapter: PATH.optional().describe(
      "Adapter folder whose parameters are measured; without it, all weights of --model, which must then be a local folder",
    ),
    data: PATH.describe(
      "Data that the adapter or model was trained on, in the forms that eval reads; from a folder, its training files",
    ),
    ...EVALUATION_FLAGS,
    maxExamples: z
      .int()
      .positive()
      .default(256)
      .describe("Number of examples to use, from the first one on; each takes one pass"),
  }),
  groups: {
    model: Object.keys(MODEL_FLAGS),
    data: ["data", ...Object.keys(EVALUATION_FLAGS), "maxExamples"],
  },
  async run(flags, io) {
    const { name, path, source } = await findModel(flags, io);
    if (flags.adapter === undefined) await requireOwnFolder(name, path, source);
    const checkpoint = await openCheckpoint(path);
    try {
      const { adapter: adapterPath, chatTemplate, base } = flags;
      const parts = await readParts(checkpoint, { name, adapterPath, chatTemplate, base });
      const adapter = parts.adapter ?? (await attach(parts.base, WHOLE, new Random(0)));
      const { method } = adapter;
      requireFrozenBase({ base, method: method.name }, METHODS);
      refuseFisherOf(method.name, algebraOf(method));
      const folder = flags.adapter ?? path;
      await requireFilePlace(join(folder, FISHER_FILE), null);
      const units = (await readUnits(parts, flags, io, "trained")).slice(0, flags.maxExamples);
      const session = await openUnits(parts, flags, units, io);
      const bar = io.progress("estimating", units.length, "steps");
      try {
        const found = await estimateFisher(session, adapter, units, (numDone) => {
          bar.update(numDone);
          io.signal.throwIfAborted();
        });
        const output = await writeFisher(folder, found);
        tellNotes(parts, io);
        io.stdout(
          `${formatCountOf(adapter.numTrained, "number")} on ${formatCountOf(units.length, "example")}: ${output}`,
        );
        io.emit({ event: "done", output, examples: units.length, parameters: adapter.numTrained });
      } finally {
        bar.stop();
        await session.release();
      }
    } finally {
      await checkpoint.close();
    }
  },
});
