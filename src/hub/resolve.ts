/** @file Resolves the name of a model to a folder or file on the local disk: asks the sources in order. */
import { z } from "zod";
import {
  A_FUNCTION,
  A_SIGNAL,
  AN_AMOUNT,
  AN_ENVIRONMENT,
  checkArguments,
  lazily,
} from "../messages/arguments.ts";
import type { Environment } from "../environment.ts";
import { FailedError, UsageError } from "../errors.ts";
import { showValue } from "../messages/expected.ts";
import { entryFolder, modelsFolderOf } from "./models-folder.ts";
import { parseModelName } from "./model-name.ts";
import type { PullProgress, ModelSource } from "./source.ts";
import { SOURCES } from "./sources.ts";

/** The model used when none is named. */
export const DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct";

/** Settings of `resolveModel`; all have defaults. */
export interface ResolveOptions {
  readonly onProgress?: (progress: PullProgress) => void;
  readonly signal?: AbortSignal;
  /** Environment to read settings from; the process's own by default. */
  readonly env?: Environment;
  /** Time until the first byte after which a source counts as unreachable; 5000 by default. */
  readonly timeoutMs?: number;
  /** Whether to check the checksums of cached files, which takes a while; their sizes are checked anyway. */
  readonly verify?: boolean;
  readonly sources?: readonly ModelSource[];
}

/** Settings of `resolveModel`, and of functions that use it to open models. */
export const RESOLVE_SETTINGS = lazily(() =>
  z.strictObject({
    onProgress: A_FUNCTION.optional(),
    signal: A_SIGNAL.optional(),
    env: AN_ENVIRONMENT.optional(),
    timeoutMs: AN_AMOUNT.optional(),
    verify: z.boolean().optional(),
    sources: z.array(z.unknown()).optional(),
  }),
);
const ARGUMENTS = lazily(() => z.strictObject({ options: RESOLVE_SETTINGS() }));

/** Where a model is stored, and the source that found it. */
export interface ResolvedModel {
  /** A model folder, or a .gguf file. */
  readonly path: string;
  readonly source: string;
}

/**
 * Finds the model called `name` (a path, `OWNER/NAME`, or `OWNER/NAME@REVISION`) and copies it into the cache if need be.
 * @throws FormatError "format/file" for a path with nothing there; FailedError "source/unreachable" when no source has it,
 * "source/corrupt" for a wrong checksum, "failed/write" when the cache cannot be written.
 */
export async function resolveModel(name: string, options: ResolveOptions = {}): Promise<ResolvedModel> {
  checkArguments("resolveModel", ARGUMENTS, { options });
  const env = options.env ?? process.env;
  // Callers in JavaScript may pass anything.
  if (typeof name !== "string") {
    const found = `Cannot open a model by ${showValue(name)}: expected its name or path as a string`;
    throw new UsageError("usage/model", found, { hint: "Give OWNER/NAME, a folder or a .gguf file." });
  }
  const model = parseModelName(name);
  const context = {
    env,
    signal: options.signal ?? new AbortController().signal,
    modelsFolder: modelsFolderOf(env),
    verifies: options.verify ?? false,
    timeoutMs: options.timeoutMs ?? 5000,
    startTimer: (call: () => void, delayMs: number) => {
      const timer = setTimeout(call, delayMs);
      return () => clearTimeout(timer);
    },
    onProgress: options.onProgress ?? (() => {}),
  };
  const reasons: string[] = [];
  for (const source of options.sources ?? SOURCES) {
    context.signal.throwIfAborted();
    const result = await source.find(model, context);
    if (result?.kind === "found") return { path: result.path, source: source.name };
    reasons.push(`${source.name}: ${result?.reason ?? "does not know this name"}`);
  }
  const folder = entryFolder(context.modelsFolder, model.repository ?? name, model.revision);
  throw new FailedError(
    "source/unreachable",
    `Cannot find model "${name}": no source has it, tried\n  ${reasons.join("\n  ")}`,
    {
      hint: `Give the path of a model folder or .gguf file, set HF_ENDPOINT to a reachable hub, or put the model's files into ${folder}.`,
    },
  );
}
