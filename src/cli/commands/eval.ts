/** @file `graft eval`: loss of a model on a data set, with perplexity, or with metrics if it predicts classes or numbers. */
import { z } from "zod";

import { DATA_ENDINGS } from "../../data/formats/file-kinds.ts";
import { readParts } from "../../engine/opening/model-parts.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { defineCommand } from "../command.ts";
import { EVALUATION_FLAGS, evaluateWithProgress } from "../data/evaluation.ts";
import { MODEL_FLAGS, tellNotes } from "../model/model-flags.ts";
import { formatFixed, formatLoss, formatPercent } from "../../messages/numbers.ts";
import { EVAL_METRICS } from "../../train/eval-metrics.ts";
import { findModel } from "../model/find-model.ts";
import { PATH } from "../../messages/paths.ts";

export const command = defineCommand({
  example: "npx graft eval --adapter runs/mine --data held-out.jsonl",
  positionals: [],
  options: z.strictObject({
    ...MODEL_FLAGS,
    data: PATH.describe(
      `Data: a file (${DATA_ENDINGS.join(", ")}, also .gz or .zst; text is split into windows without overlap) or a folder of them; images: IDX files, or a folder of them`,
    ),
    ...EVALUATION_FLAGS,
  }),
  groups: { model: Object.keys(MODEL_FLAGS), data: ["data", ...Object.keys(EVALUATION_FLAGS)] },
  async run(options, io) {
    const { name, path } = await findModel(options, io);
    const checkpoint = await openCheckpoint(path);
    try {
      const parts = await readParts(checkpoint, {
        name,
        adapterPath: options.adapter,
        chatTemplate: options.chatTemplate,
        base: options.base,
      });
      const { loss, quality, count, unit } = await evaluateWithProgress(parts, options, io);
      tellNotes(parts, io);
      const told = EVAL_METRICS.flatMap(({ name, key, isShare }) => {
        const value = quality[key];
        if (value === undefined) return [];
        return `${name} ${isShare ? formatPercent(value, 4) : formatFixed(value, 3)}`;
      });
      io.stdout(`loss ${formatLoss(loss)}, ${told.join(", ")} over ${count} ${unit}`);
      io.emit({ event: "done", loss, ...quality, [unit]: count });
    } finally {
      await checkpoint.close();
    }
  },
});
