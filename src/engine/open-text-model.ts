/** @file Opens a model that writes text, by name or path: its checkpoint, its adapter, and the session and generator. */
import { z } from "zod";
import { requireTokenizer } from "../data/chat/text-tools.ts";
import { readAdapter, withHeadOf } from "../format/by-path.ts";
import { openCheckpoint } from "../hub/open-model.ts";
import type { ResolveOptions } from "../hub/resolve.ts";
import { A_FUNCTION, A_NAME, A_SIGNAL, ANYTHING, checkArguments, lazily } from "../messages/arguments.ts";
import type { BaseModel } from "../models/base/base-model.ts";
import { openModel } from "../models/families.ts";
import { FAMILY_LIST } from "../models/family.ts";
import { METHOD_LIST } from "../peft/define-method.ts";
import { mergedModel } from "../peft/merged-model.ts";
import { materializesWeight } from "../peft/method.ts";
import { BASE_KINDS } from "../quant/storages.ts";
import type { Session } from "../run/session.ts";
import type { Residency } from "../run/weights/weights.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { Generator } from "./generation/generator.ts";
import { closeAll } from "./opening/close-all.ts";
import { type ComputeChoice, chooseCompute } from "./opening/choose-compute.ts";
import {
  type ModelParts,
  type PartsOptions,
  type TextParts,
  readParts,
  withTextTools,
} from "./opening/model-parts.ts";
import { requireText } from "./opening/require-text.ts";
import { openWritingSession } from "./opening/writing-session.ts";
import { TextModel } from "./text-model.ts";

/** Reports the progress of fetching a model, and can abort it. */
type FetchOptions = Pick<ResolveOptions, "onProgress" | "signal">;

/** How a model that writes text is opened; all settings have defaults. */
export interface OpenTextOptions extends PartsOptions, FetchOptions {
  /**
   * Merges the adapter into the weights once, instead of computing both at every run; unless given, only where the method would
   * compute a whole weight at every run.
   */
  readonly mergeAdapter?: boolean;
  /**
   * How weights are kept; "float32", as they are computed with, unless given. When "stored", every block is read or dequantized
   * for every token.
   */
  readonly weights?: Residency;
  /** Arithmetic of the products in the blocks; "f32" unless given. Weights that `mergeAdapter` computes are rounded by it too. */
  readonly compute?: ComputeChoice;
  /** Number of threads; all processors unless given. */
  readonly threads?: number;
}

const OPEN_ARGUMENTS = lazily(() =>
  z.strictObject({
    options: z.strictObject({
      name: A_NAME.optional(),
      adapterPath: A_NAME.optional(),
      chatTemplate: A_NAME.optional(),
      base: z.enum(BASE_KINDS).optional(),
      methods: METHOD_LIST.optional(),
      families: FAMILY_LIST.optional(),
      mergeAdapter: z.boolean().optional(),
      weights: ANYTHING,
      compute: ANYTHING,
      threads: ANYTHING,
      onProgress: A_FUNCTION.optional(),
      signal: A_SIGNAL.optional(),
    }),
  }),
);

/** What else a model is opened for. */
interface OpenedFor extends PartsOptions, FetchOptions {
  /** Whether it may predict classes instead, by its own head or that of the adapter in a folder. */
  readonly classes?: { readonly headOf: string | undefined };
}

/**
 * Opens a model by name or path, with an adapter if one is named; the caller closes the checkpoint.
 * @throws as `openCheckpoint`, `loadWeights`, `readAdapter` and `createTokenizer`; UsageError "usage/model" for a model
 * without a tokenizer, or one that writes no text.
 */
export async function openTextParts(model: string, options: OpenedFor = {}): Promise<TextParts> {
  const parts = await openWritingParts(model, options);
  try {
    return withTextTools(parts);
  } catch (error) {
    await parts.checkpoint.close();
    throw error;
  }
}

/** Opens a model with its adapter, but does not read its tokenizer's files yet, although they must exist. */
async function openWritingParts(model: string, options: OpenedFor): Promise<ModelParts> {
  const { name = model, classes, onProgress, signal } = options;
  const opened = await openCheckpoint(model, {
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  try {
    const checkpoint = await withHeadOf(opened, classes?.headOf);
    const found = openModel(checkpoint.config, options.families);
    if (!classes || found.image !== null || found.classPosition === null) requireText(name, found);
    requireTokenizer(name, checkpoint.tokenizerFiles);
    return await readParts(checkpoint, { ...options, name });
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/**
 * Opens a model that writes text by name or path, fetching it if need be; the caller closes it.
 * @throws as `openTextParts`; the signal's reason when it is aborted before the model is there
 */
export async function openTextModel(model: string, options: OpenTextOptions = {}): Promise<TextModel> {
  checkArguments("openTextModel", OPEN_ARGUMENTS, { options });
  const engine = createEngine({ threads: options.threads });
  const opened = await openWritingParts(model, options);
  const { base, adapter } = opened;
  let made: TextParts | null = null;
  const parts = (): TextParts => (made ??= withTextTools(opened));
  const open = (of: BaseModel): Promise<Session> =>
    openWritingSession(engine, of, options.weights ?? "float32", {
      compute: chooseCompute(options.compute ?? "f32", of),
      tokenizer: () => parts().tokenizer,
    });
  try {
    const isMerged =
      adapter !== null &&
      (options.mergeAdapter ?? materializesWeight(adapter.method, adapter.sites.values()));
    const merged = isMerged ? await mergedModel(engine, base, adapter) : null;
    let session: Session | null = null;
    const release = (): Promise<void> => closeAll([() => session?.release(), () => merged?.release()]);
    try {
      session = await open(merged?.model ?? base);
      const generator = await Generator.create({ session, adapter: merged ? null : adapter });
      // The text tools are made only here, unless smoothing was measured: the last program is still compiling meanwhile.
      return new TextModel(parts(), {
        generator,
        read: (path) => readAdapter(path, base, options.methods),
        release,
      });
    } catch (error) {
      await release();
      throw error;
    }
  } catch (error) {
    await opened.checkpoint.close();
    throw error;
  }
}
