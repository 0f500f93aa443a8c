/**
 * @file Combines adapter folders into one: everything is read and checked before the first byte is written.
 *
 * The model is needed only for adapters that train tensors of the base itself.
 */
import { setImmediate } from "node:timers/promises";
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { A_NAME, A_SIGNAL, checkArguments, lazily } from "../../messages/arguments.ts";
import { parseSettings } from "../../messages/problems.ts";
import { A_BASE, type BaseModel } from "../../models/base/base-model.ts";
import { COMBINE_OPTIONS } from "../../peft/algebra/combinations.ts";
import { parseExpression } from "../../peft/algebra/expression.ts";
import { requireNewOutput } from "../new-output.ts";
import { combineFolders } from "./combine-folders.ts";
import { combineModels, isModelFolder } from "./combine-models.ts";
import type { CombinedFolder, FoldersByName } from "./combined-folder.ts";

/** What to combine: adapters, or fully fine-tuned models. */
export interface CombineInput extends z.input<typeof COMBINE_OPTIONS> {
  /** For instance "0.6*a + 0.4*b - c". */
  readonly expression: string;
  /** Their folders by the names that the expression uses. */
  readonly adapters: FoldersByName;
  /** Checks the adapters against this model; required if tensors of the base itself were trained. */
  readonly base?: BaseModel;
  /** Licence for the card, as a checkpoint gives it; otherwise that of the adapters' own cards. */
  readonly baseLicense?: string | null;
  /** Aborts between two modules or tensors, also while they are written. */
  readonly signal?: AbortSignal;
}

/** Settings are checked separately. */
const ARGUMENTS = lazily(() =>
  z.strictObject({
    input: z.looseObject({
      expression: z.string(),
      adapters: z.record(z.string(), A_NAME),
      base: A_BASE.optional(),
      baseLicense: z.string().nullish(),
      signal: A_SIGNAL.optional(),
    }),
  }),
);

/**
 * Combines adapter folders; writes nothing.
 * @throws UsageError "usage/combine" for an expression that cannot be read and adapters that do not fit each other,
 * "usage/flag" for bad settings; as `readAdapterWeights`, and as `readAdapter` when a base is given; the reason of `signal`.
 */
export async function combineAdapters(input: CombineInput): Promise<CombinedFolder> {
  checkArguments("combineAdapters", ARGUMENTS, { input });
  const { expression, adapters, base, baseLicense = null, signal, ...settings } = input;
  const options = parseSettings(COMBINE_OPTIONS, settings, "these settings", "See graft combine --help.");
  const sum = parseExpression(expression, Object.keys(adapters));
  const paths = Object.values(adapters);
  const areModels = await Promise.all(paths.map(isModelFolder));
  // Signals of the system are handled only while nothing runs.
  const beforePart = (): Promise<void> => setImmediate().then(() => signal?.throwIfAborted());
  const onBase = { base: base ?? null, license: baseLicense, beforePart };
  const areWhole = paths.length > 0 && areModels.every(Boolean);
  if (!areWhole) refuseModels(adapters, areModels);
  const folder = areWhole
    ? await combineModels(sum, adapters, options, onBase)
    : await combineFolders({ sum, expression }, adapters, options, onBase);
  return { ...folder, write: outsideOf(adapters, folder.write.bind(folder)) };
}

/** The folders that are read, by their names in messages. */
export function inputsOf(adapters: FoldersByName): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(adapters).map(([name, path]) => [`adapter ${name}`, path]));
}

/** Wraps `write` to refuse paths inside the folders that are read. */
function outsideOf(adapters: FoldersByName, write: CombinedFolder["write"]): CombinedFolder["write"] {
  return async (path) => {
    await requireNewOutput(path, "hf", inputsOf(adapters));
    await write(path);
  };
}

/** Refuses whole models among adapters. `areModels`: in their order. @throws UsageError "usage/combine" */
function refuseModels(adapters: FoldersByName, areModels: readonly boolean[]): void {
  const whole = Object.entries(adapters).find((_, i) => areModels[i]);
  if (!whole) return;
  throw new UsageError(
    "usage/combine",
    `Cannot combine "${whole[0]}" with adapters: ${whole[1]} is a whole model, expected an adapter folder`,
    { hint: "Combine models with models, or adapters with adapters." },
  );
}
