/** @file Flags that select a model and how it is held in memory, and notes about it. */
import { z } from "zod";
import { CHAT_TEMPLATE } from "../../data/chat/named-templates.ts";
import type { ModelParts } from "../../engine/opening/model-parts.ts";
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { COMPUTE_NAMES } from "../../nn/computes.ts";
import { BASE_KINDS } from "../../quant/storages.ts";
import { RESIDENCIES } from "../../run/weights/weights.ts";
import { THREADS } from "../../train/settings/threads.ts";
import type { CommandIO } from "../command.ts";
import { warn } from "../report.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";

/** The flag that selects the model; `otherwise` describes the default. */
export const modelFlag = (otherwise: string) =>
  NAME_OR_PATH.optional().describe(
    `Model: OWNER/NAME, OWNER/NAME@REVISION, a folder or a .gguf file; default: ${otherwise}`,
  );

/** Flags that select a model, and how it is held in memory. */
export const MODEL_FLAGS = {
  model: modelFlag(`that of the adapter, else ${DEFAULT_MODEL}`),
  adapter: PATH.optional().describe("Adapter folder to apply to the model"),
  base: z
    .enum(BASE_KINDS)
    .optional()
    .describe(
      "Quantize the matrices of a float base to this type while loading, as in training (docs/storage.md)",
    ),
  chatTemplate: CHAT_TEMPLATE,
  threads: THREADS,
  weights: z
    .enum(RESIDENCIES)
    .default("float32")
    .describe(
      "How weights are held; float32: ready to compute, 4 bytes per parameter (less unless --compute is f32); stored: as in the file, slower, less memory",
    ),
  compute: z
    .enum(COMPUTE_NAMES)
    .default("f32")
    .describe("Arithmetic of the matrix products in the blocks (docs/storage.md)"),
};

/** Prints new notes on the numbers of a model and its adapter. */
export function tellNotes({ base }: Pick<ModelParts, "base">, io: CommandIO): void {
  for (const note of base.takeNotes()) warn(note, io);
}
