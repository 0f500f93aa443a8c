/** @file Shared by the commands that generate text: flags, opening the model, and text that is shown while it is generated. */
import { basename, resolve } from "node:path";
import { z } from "zod";

import { AUTO_COMPUTE } from "../../engine/opening/choose-compute.ts";
import type { NamedAdapter } from "../../engine/adapters/held-adapter.ts";
import { SAMPLING_OPTIONS, type SamplingOptions } from "../../engine/sampling/sampler.ts";
import { openTextModel } from "../../engine/open-text-model.ts";
import type { TextModel, TextRequest, WrittenText } from "../../engine/text-model.ts";
import { COMPUTE_NAMES } from "../../nn/computes.ts";
import { printable } from "../../printable.ts";
import type { CommandIO } from "../command.ts";
import { formatCountOf, formatFixed } from "../../messages/numbers.ts";
import { findModel } from "../model/find-model.ts";
import { MODEL_FLAGS, tellNotes } from "../model/model-flags.ts";
import { warn } from "../report.ts";

/** Flags of the model for commands that generate text. */
export const WRITING_FLAGS = {
  ...MODEL_FLAGS,
  compute: z
    .enum([AUTO_COMPUTE, ...COMPUTE_NAMES])
    .default(AUTO_COMPUTE)
    .describe(
      "Arithmetic of the matrix products (docs/storage.md); auto: directly on the codes of a quantized file, otherwise float32",
    ),
};

/** Flags of generated text. */
export const GENERATION_FLAGS = {
  mergeAdapter: z
    .boolean()
    .optional()
    .describe(
      "Merge the adapter into the weights in memory, for speed; default: only for methods that need it",
    ),
  maxNewTokens: z.int().positive().default(128).describe("Maximum number of new tokens"),
  temperature: SAMPLING_OPTIONS.shape.temperature.describe("Sampling temperature; 0 is greedy decoding"),
  topP: SAMPLING_OPTIONS.shape.topP.describe(
    "Nucleus sampling: sample from the most likely tokens with this total probability",
  ),
  topK: SAMPLING_OPTIONS.shape.topK.describe("Sample from the K most likely tokens; 0: from all"),
  minP: SAMPLING_OPTIONS.shape.minP.describe(
    "Sample only from tokens with at least this share of the most likely one's probability; 0: from all",
  ),
  seed: SAMPLING_OPTIONS.shape.seed.describe("Random seed"),
};

/** Title → keys of flags that the help shows under it. */
export const GENERATION_GROUPS = { model: Object.keys(WRITING_FLAGS), text: Object.keys(GENERATION_FLAGS) };

type ModelFlags = z.output<z.ZodObject<typeof WRITING_FLAGS>>;

/**
 * Finds and opens a model, and prints what the user should know about it; the caller closes it. `tasks`: adapters by name, the
 * first of which is that of the flags; if there are several, none is selected.
 */
export async function openWithProgress(
  flags: ModelFlags & { readonly mergeAdapter?: boolean | undefined },
  io: CommandIO,
  tasks: readonly NamedAdapter[] = [],
): Promise<TextModel> {
  const { name, path } = await findModel(flags, io);
  const { mergeAdapter } = flags;
  const [only] = tasks;
  // A single adapter named like its folder is opened with the model, which may merge it.
  const areTasks = tasks.length > 1 || (only !== undefined && only.name !== basename(resolve(only.path)));
  const model = await openTextModel(path, {
    ...openOptions(areTasks ? { ...flags, adapter: undefined } : flags),
    name,
    ...(mergeAdapter === undefined ? {} : { mergeAdapter }),
  });
  for (const note of model.parts.notes) warn(note, io);
  tellNotes(model.parts, io);
  try {
    if (areTasks) for (const task of tasks) await model.tasks.load(task.name, task.path);
    if (areTasks && tasks.length === 1) await model.tasks.switch(tasks[0]?.name ?? null);
    io.signal.throwIfAborted();
    return model;
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** Converts the flags to options of the engine. */
export function openOptions(flags: ModelFlags): Parameters<typeof openTextModel>[1] {
  return {
    weights: flags.weights,
    compute: flags.compute,
    chatTemplate: flags.chatTemplate,
    base: flags.base,
    ...(flags.adapter === undefined ? {} : { adapterPath: flags.adapter }),
    ...(flags.threads === undefined ? {} : { threads: flags.threads }),
  };
}

/** Converts the flags of generated text to a request of the engine. */
export function textRequest(
  flags: SamplingOptions & { readonly maxNewTokens: number; readonly seed: number },
  signal: AbortSignal,
): TextRequest {
  const { temperature, topK, topP, minP, maxNewTokens, seed } = flags;
  return { sampling: { temperature, topK, topP, minP }, maxNewTokens, seed, signal };
}

/** Shows a text while it is generated, and the speed. @throws as `write` */
export async function showWhileWritten<T extends WrittenText>(
  write: (onPiece: (text: string) => void) => Promise<T>,
  io: CommandIO,
): Promise<T> {
  const shown = showText(io);
  const written = await write(shown.piece);
  shown.end(written.text);
  tellSpeed(written, io);
  return written;
}

/** Shows pieces of text on a terminal as they arrive; elsewhere the whole text at the end. */
function showText(io: CommandIO): {
  readonly piece: (text: string) => void;
  readonly end: (text: string) => void;
} {
  if (io.json || !io.interactive || !process.stdout.isTTY)
    return { piece: () => {}, end: (text) => io.text(text) };
  return {
    piece: (text) => void process.stdout.write(printable(text)),
    end: () => void process.stdout.write("\n"),
  };
}

/** Prints the speed if somebody watches. */
function tellSpeed({ ids, tokensPerSecond }: WrittenText, io: CommandIO): void {
  if (!io.interactive) return;
  io.stderr(
    io.color.dim(`${formatCountOf(ids.length, "token")}, ${formatFixed(tokensPerSecond, 1)} tokens/s`),
  );
}

/** The fields of a text's event in --json mode. */
export function textEvent(written: WrittenText): Record<string, unknown> {
  return {
    prompt_ids: written.promptIds,
    ids: written.ids,
    text: written.text,
    finish_reason: written.finishReason,
    tokens_per_second: written.tokensPerSecond,
    first_token_ms: written.firstTokenMs,
    reused_tokens: written.numReusedTokens,
  };
}
