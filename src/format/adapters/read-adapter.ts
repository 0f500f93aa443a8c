/** @file Reads a PEFT folder onto the model that it was made for. Like adapter.ts, this file knows no method. */
import { checkArguments, lazily } from "../../messages/arguments.ts";
import { A_FOLDER, type Folder } from "../files/folder.ts";
import { METHOD_LIST } from "../../peft/define-method.ts";
import { z } from "zod";
import { FormatError, UsageError } from "../../errors.ts";
import { sameShape, showShape } from "../../graph/shape.ts";
import { A_BASE, type BaseModel } from "../../models/base/base-model.ts";
import { countNonFinite, nonFiniteNote } from "../../models/base/watch-numbers.ts";
import { type Adapter, attach } from "../../peft/attach.ts";
import { requireAdapterSize } from "../../untrusted/limits.ts";
import { previewAttach } from "../../peft/preview.ts";
import { type Method, makesModel } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import { isReadable } from "../../peft/sites/targets.ts";
import { whileHeld } from "../../runtime/memory/vector-memory.ts";
import { requireHead } from "./adapter-classes.ts";
import {
  withModulesOfGraft,
  withoutCopies,
  withoutForeignModules,
  withoutIdleTying,
} from "./adapter-base.ts";
import { checkBase } from "./base-record.ts";
import { readAdapterFolder, withNotes } from "./adapter-folder.ts";
import { fillAdapter } from "./adapter-tensors.ts";
import { idlePatterns } from "./moved-paths.ts";
import {
  adaptedPaths,
  partOfClass,
  passesOverExperts,
  tensorsByOwnNames,
  withOwnPaths,
} from "./peft-names.ts";
import { checkCodes } from "./codes-hash.ts";
import type { JsonObject } from "../files/json-file.ts";
import { unstacked } from "../files/safetensors/expert-stacks.ts";
import { openSafetensors } from "../files/safetensors/safetensors.ts";
import { BASE_KEY, TEMPLATE_KEY } from "./adapter.ts";
import { readSettings } from "./adapter-settings.ts";

/** An adapter that was read, and what else its file tells. */
export interface ReadAdapter {
  readonly adapter: Adapter;
  readonly chatTemplateHash: string | null;
}

const ARGUMENTS = lazily(() => z.strictObject({ folder: A_FOLDER, base: A_BASE, methods: METHOD_LIST }));

/**
 * Reads an adapter folder onto a model; `methods`: those that are accepted.
 * @throws UsageError "usage/adapter" when it was made for another model or has unsupported settings;
 * FormatError "format/tensor" for a missing, surplus or misshaped tensor.
 */
export async function readAdapter(
  folder: Folder,
  base: BaseModel,
  methods: readonly Method[] = METHODS,
): Promise<ReadAdapter> {
  checkArguments("readAdapter", ARGUMENTS, { folder, base, methods });
  const { path } = folder;
  const files = await readAdapterFolder(folder);
  const { tensors: inFile, metadata } = files;
  const config = withNotes(files);
  requireHead(path, { config, metadata }, base);
  const { tensors, isRenamed, namesInFile } = tensorsByOwnNames(path, inFile, base.model);
  for (const [name, { data }] of inFile) {
    const count = countNonFinite(data);
    if (count > 0) base.addNote(nonFiniteNote(path, name, count));
  }
  const { [BASE_KEY]: trainedOn = null } = metadata;
  if (trainedOn !== null && trainedOn !== base.roundedTo) {
    base.addNote(
      `Adapter "${path}" was trained on its base rounded to ${trainedOn} (--base ${trainedOn}), but this one is ${base.roundedTo ?? "as stored in its files"}: their results differ slightly`,
    );
  }
  const adapted = adaptedPaths(namesInFile, config, base.model);
  const idle = onModel(path, () => idlePatterns(config, [...adapted.values()]));
  for (const [setting, key] of idle)
    base.addNote(`Adapter "${path}": "${key}" in ${setting} matches none of its modules, and has no effect`);
  const isByTensors =
    isRenamed || !hasReadableTargets(config) || passesOverExperts(config, adapted, base.model);
  const named = isByTensors ? onModel(path, () => withOwnPaths(config, adapted, base.model)) : config;
  const tied = withoutIdleTying(named, tensors, base.model);
  const own = withoutForeignModules(tied, tensors, base.model, partOfClass(namesInFile));
  const { storedTransposed, ...settings } = readSettings(path, withModulesOfGraft(own, tensors), methods);
  const asked = onModel(path, () => previewAttach(base.model, base.source, settings));
  const heldBytes = [...inFile.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  requireAdapterSize(path, 4 * asked.numTrained + asked.savedBytes, heldBytes);
  const adapter = await attach(base, settings, null);
  try {
    requireFreshTensors(path, adapter, base);
    if (storedTransposed) requireTransposed(path, adapter);
    checkCodes(path, adapter, metadata);
    await fillAdapter(path, adapter, await withoutCopies(path, base, adapter, tensors), base);
    await checkBase(path, base, metadata, config["base_model_name_or_path"]);
  } catch (error) {
    adapter.release();
    throw error;
  }
  return { adapter, chatTemplateHash: metadata[TEMPLATE_KEY] ?? null };
}

/** Whether the expressions for a file's target modules can be read; if not, its tensors tell where its adapters sit. */
function hasReadableTargets({ target_modules: targets, exclude_modules: exclude }: JsonObject): boolean {
  return [targets, exclude].every((each) => typeof each !== "string" || isReadable(each));
}

/** Runs work that applies a file's settings to the model. @throws UsageError as `work`, with the adapter's name */
function onModel<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const hint =
      error.code === "usage/flag"
        ? "Train it without these settings, or merge it with the program that made it."
        : "Choose the base model that it was trained on, or fix its adapter_config.json.";
    throw new UsageError(error.code, `Cannot use adapter "${path}" with this model. ${error.message}`, {
      hint,
      cause: error,
    });
  }
}

/** @throws UsageError "usage/adapter" when neither the base nor the adapter has a tensor */
function requireFreshTensors(path: string, adapter: Adapter, { freshTensors }: BaseModel): void {
  const lacking = freshTensors.filter((name) => adapter.tensor(name) === null);
  if (lacking.length === 0) return;
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}" with this model: ${lacking.join(", ")} ${lacking.length === 1 ? "is" : "are"} in neither`,
    { hint: "Choose the model that it was trained on, with a head for its classes." },
  );
}

/** Checks PEFT's `fan_in_fan_out`: weights are stored as [in, out]. @throws UsageError "usage/adapter" when none is stored like that */
function requireTransposed(path: string, { sites }: Adapter): void {
  if ([...sites.values()].some(({ spec }) => spec.storedTransposed)) return;
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}" with this model: fan_in_fan_out is true, expected false: it keeps weights as [out, in]`,
    { hint: "Choose the base model that the adapter was trained on." },
  );
}

/** Copies the numbers of a saved run, an adapter folder or a model folder, into an adapter with the same settings. */
export async function restoreAdapter(folder: Folder, adapter: Adapter): Promise<void> {
  if (!makesModel(adapter.method)) {
    // The folder of a run lacks nothing that would have to be computed from weights.
    const { tensors } = tensorsByOwnNames(
      folder.path,
      (await readAdapterFolder(folder)).tensors,
      adapter.model,
    );
    await fillAdapter(folder.path, adapter, tensors, null);
    return;
  }
  const file = unstacked(await openSafetensors(await folder.open("model.safetensors")));
  try {
    for (const { name, value } of adapter.parameters) {
      const place = adapter.model.checkpoint.inFolder(name);
      const inFile = place.stack === null ? place.name : name;
      const found = file.tensors.get(inFile);
      // Reading a missing tensor or one of an unknown type throws.
      const { dtype, shape } = found?.dtype ? found : await file.read(inFile);
      if (dtype !== value.dtype || !sameShape(shape, value.shape)) {
        throw new FormatError(
          "format/tensor",
          `Cannot read tensor "${inFile}" of "${file.path}": ${dtype} ${showShape(shape)}, expected ${value.dtype} ${showShape(value.shape)}`,
          { hint: "Delete this checkpoint to resume from the one before." },
        );
      }
      await whileHeld(adapter.memory, [value.data], "change", () => file.readInto(inFile, value.data));
    }
  } finally {
    await file.close();
  }
}
