/**
 * @file Adapters in files: what a method trained as a PEFT folder, or as an ordinary model when it trains the base itself.
 *
 * Knows no method: the method says its keys and its tensors' names.
 */
import { z } from "zod";
import { findProblems, listProblems } from "../../messages/expected.ts";
import { FormatError, UsageError } from "../../errors.ts";
import { sameShape, showShape } from "../../graph/shape.ts";
import { lastNames, matchSuffix } from "../../models/module-path.ts";
import type { BaseModel } from "../../models/base-model.ts";
import { countNonFinite, nonFiniteNote } from "../../models/watch-numbers.ts";
import { type Adapter, attach } from "../../peft/attach.ts";
import { requireAdapterSize } from "../../untrusted/limits.ts";
import { type AttachRequest, placesOf, previewAttach } from "../../peft/layout.ts";
import { type FileSite, type Method, configFileOf } from "../../peft/method.ts";
import { METHODS, findMethodOfConfig } from "../../peft/methods.ts";
import { savedModules } from "../../peft/trained-tensors.ts";
import { whileHeld } from "../../runtime/vector-memory.ts";
import { withModulesOfGraft, withModulesOfPeft, withoutCopies } from "./adapter-base.ts";
import { BASE_SAMPLE_KEY, checkBase } from "./base-record.ts";
import { type Making, UNKNOWN_MAKING } from "../cards/model-card.ts";
import { wholeModelCard } from "../cards/whole-model-card.ts";
import { classesMetadata } from "./adapter-classes.ts";
import { ADAPTER_FILES, adapterFolderFiles, readAdapterFolder } from "./adapter-folder.ts";
import { fillAdapter, heldTensors } from "./adapter-tensors.ts";
import { peftName, tensorsByOwnNames, withOwnPaths, withPeftPaths } from "./peft-names.ts";
import type { FolderFile } from "../files/folder-file.ts";
import type { Folder } from "../files/folder.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { MODEL_FILES, modelFolderFiles } from "../checkpoint/hf-folder.ts";
import { checkCodes, codesMetadata } from "./codes-hash.ts";
import { takeFrom } from "./raw-config.ts";
import { type StreamedTensor, openSafetensors } from "../files/safetensors.ts";

/** Key of the template's hash in the head of the tensors' file. */
export const TEMPLATE_KEY = "chat_template_sha256";

/** Key of the kind to which the base was rounded. */
const BASE_KEY = "base_rounded_to";

/** Keys of adapter_config.json that say nothing about the numbers. */
const NEUTRAL_KEYS = [
  "auto_mapping",
  "base_model_name_or_path",
  "inference_mode",
  "peft_type",
  "peft_version",
  "revision",
  "task_type",
  "layers_pattern",
  "megatron_core",
  "qalora_group_size",
];

/** Whether the method's result is an adapter folder; else it is a whole model. */
export function isAdapterMethod(adapter: Adapter): boolean {
  return configFileOf(adapter.method) !== null;
}

/** PEFT's words for what a model is for; it has none for classifying images. */
const TASK_TYPES = {
  "causal-lm": "CAUSAL_LM",
  "sequence-classification": "SEQ_CLS",
  "image-classification": null,
};

/** Facts for a file that are not the adapter's own. */
export interface AdapterOrigin {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
  readonly chatTemplateHash: string | null;
  /** What its file is to say of the base (`recordBase`), so that it is refused on another; nothing unless given. */
  readonly baseRecord?: string;
  /** How it was made, for the card, beside the licence that the checkpoint tells. */
  readonly making?: Omit<Making, "license">;
}

/** Names of all files that `adapterFiles` may plan. */
export const RESULT_FILES: readonly string[] = [...ADAPTER_FILES, ...MODEL_FILES];

/** The files that hold what was trained. */
export function adapterFiles(adapter: Adapter, origin: AdapterOrigin): FolderFile[] {
  const { base, checkpoint } = origin;
  const making = { ...UNKNOWN_MAKING, ...origin.making, license: checkpoint.license };
  const file = configFileOf(adapter.method);
  if (file === null) {
    const tensors = [...base.model.tensors.values()].map(({ name, shape }) => {
      const data = adapter.tensor(name)?.data;
      const source = { dtype: "float32" as const, shape };
      if (!data) return [name, { ...source, load: () => base.values(name) }] as const;
      const stream: StreamedTensor["stream"] = (write) =>
        whileHeld(adapter.memory, [data], "read", () => write(data));
      return [name, { ...source, stream }] as const;
    });
    const { generationConfig, tokenizerFiles } = checkpoint;
    const ownConfig = base.model.checkpoint.ownConfig(checkpoint.config);
    const config = { ...ownConfig, dtype: "float32", torch_dtype: "float32" };
    const tags = [adapter.method.name];
    const { task } = base.model;
    const card = wholeModelCard({ baseName: base.name, task, tags, readBy: "transformers", making });
    return modelFolderFiles({ config, generationConfig, tokenizerFiles, tensors, card });
  }
  const tensors = [...heldTensors(adapter)].map(
    ([name, tensor]) => [peftName(name, base.model), tensor] as const,
  );
  const { chatTemplateHash, baseRecord } = origin;
  // In the head of the tensors' file: peft warns of keys in adapter_config.json that it does not know.
  const metadata: Record<string, string> = {
    ...codesMetadata(adapter),
    ...classesMetadata(base.model, base.freshTensors.length > 0),
    ...(chatTemplateHash === null ? {} : { [TEMPLATE_KEY]: chatTemplateHash }),
    ...(base.roundedTo === null ? {} : { [BASE_KEY]: base.roundedTo }),
    ...(baseRecord === undefined ? {} : { [BASE_SAMPLE_KEY]: baseRecord }),
  };
  const readBy = file.readBy(adapter.options);
  return adapterFolderFiles({
    config: adapterConfig(adapter, base),
    tensors,
    metadata,
    readBy,
    making,
    roundedTo: base.roundedTo,
  });
}

function adapterConfig(adapter: Adapter, base: BaseModel): Record<string, unknown> {
  const { targets } = adapter;
  const { regex, modules } = targetsForFile(adapter, base);
  const sites = [...adapter.sites.values()].map(({ path, options, spec }) => {
    const storedTransposed = spec.kind === "embedding" ? null : spec.storedTransposed;
    return { path, options, storedTransposed };
  });
  const saved = savedModules(base.model, adapter.method, adapter.options, adapter.sites);
  const settings = {
    ...settingsForFile(adapter, sites, modules, base.name),
    ...(saved.length > 0 && { modules_to_save: saved }),
  };
  const config = {
    target_modules: regex ?? modules,
    ...withModulesOfPeft(settings, base),
    task_type: TASK_TYPES[base.model.task],
    // Not every method of PEFT knows the key.
    ...(regex !== null && targets.exclude.length > 0 ? { exclude_modules: targets.exclude } : {}),
  };
  return withPeftPaths(config, base.model);
}

/** What an adapter_config.json says beside its target modules; `modules`: their names. */
export function settingsForFile(
  { method, options }: Pick<Adapter, "method" | "options">,
  sites: readonly FileSite<unknown>[],
  modules: readonly string[],
  baseName: string | null,
): Record<string, unknown> {
  const file = configFileOf(method);
  return {
    auto_mapping: null,
    base_model_name_or_path: baseName,
    modules_to_save: null,
    ...file?.toConfig(options, sites, modules),
    peft_type: file?.peftType,
    revision: null,
    task_type: "CAUSAL_LM",
  };
}

/**
 * How a file names the sites: the shortest names that pick exactly these sites, else whole paths. Chosen layers are
 * written as paths too: PEFT knows `layers_to_transform` for some methods only, and for none beside an expression.
 */
function targetsForFile(
  { targets, sites }: Adapter,
  { model }: BaseModel,
): { regex: string | null; modules: readonly string[] } {
  const paths = [...sites.keys()];
  const { modules, layers } = targets;
  // Names could as well mean modules of the parts that are not read here.
  if (paths.some((path) => model.checkpoint.peftPath(path) !== path)) return { regex: null, modules: paths };
  if (typeof modules === "string" && modules !== "all-linear" && layers === null) {
    return { regex: modules, modules: lastNames(paths).sort() };
  }
  const others = new Set<string>();
  for (const layer of model.layers.keys()) {
    const places = placesOf(model, layer);
    for (const { name } of places) if (!sites.has(model.blockPrefix(layer) + name)) others.add(name);
  }
  for (const { name } of model.sitesOutsideBlocks) if (!sites.has(name)) others.add(name);
  const names = new Set([...sites.values()].map(({ spec }) => spec.name));
  const shortest = [...names].map((name) => shortestApart(name, others));
  const isExact = shortest.every((name) => name !== null);
  return { regex: null, modules: isExact ? [...new Set(shortest)].sort() : paths };
}

/** The shortest dotted suffix of a name that is none of the others'; null: there is none. */
function shortestApart(name: string, others: ReadonlySet<string>): string | null {
  const parts = name.split(".");
  for (let length = 1; length <= parts.length; length++) {
    const suffix = parts.slice(-length).join(".");
    if (![...others].some((other) => matchSuffix(suffix, other))) return suffix;
  }
  return null;
}

/** An adapter that was read, with what its file says beside the numbers. */
export interface ReadAdapter {
  readonly adapter: Adapter;
  readonly chatTemplateHash: string | null;
}

/**
 * Reads an adapter folder onto a model; `methods` are those that it may be of.
 * @throws UsageError "usage/adapter" when it was made for another model or says what graft does not do;
 * FormatError "format/tensor" for a missing, surplus or misshaped tensor.
 */
export async function readAdapter(
  folder: Folder,
  base: BaseModel,
  methods: readonly Method[] = METHODS,
): Promise<ReadAdapter> {
  const { path } = folder;
  const { config, tensors: inFile, metadata } = await readAdapterFolder(folder);
  const { tensors, isRenamed } = tensorsByOwnNames(inFile, base.model);
  for (const [name, { data }] of inFile) {
    const count = countNonFinite(data);
    if (count > 0) base.addNote(nonFiniteNote(path, name, count));
  }
  const { [BASE_KEY]: trainedOn = null } = metadata;
  if (trainedOn !== null && trainedOn !== base.roundedTo) {
    base.addNote(
      `Adapter "${path}" was trained on its base rounded to ${trainedOn} (--base ${trainedOn}), and this one is ${base.roundedTo ?? "as its files keep it"}: what they compute differs a little`,
    );
  }
  const own = isRenamed ? withOwnPaths(config, tensors, base.model) : config;
  const settings = readSettings(path, withModulesOfGraft(own, tensors), methods);
  const asked = previewAttach(base.model, base.source, settings);
  const heldBytes = [...inFile.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  requireAdapterSize(path, 4 * asked.numTrained + asked.savedBytes, heldBytes);
  const adapter = await attach(base, settings, null);
  try {
    requireFreshTensors(path, adapter, base);
    if (settings.storedTransposed) requireTransposed(path, adapter);
    checkCodes(path, adapter, metadata);
    await fillAdapter(path, adapter, await withoutCopies(path, base, tensors), base);
    await checkBase(path, base, metadata, config["base_model_name_or_path"]);
  } catch (error) {
    adapter.release();
    throw error;
  }
  return { adapter, chatTemplateHash: metadata[TEMPLATE_KEY] ?? null };
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

/** PEFT's word for models that keep weights as [in, out]. @throws UsageError "usage/adapter" when none is kept so */
function requireTransposed(path: string, { sites }: Adapter): void {
  if ([...sites.values()].some(({ spec }) => spec.storedTransposed)) return;
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}" with this model: fan_in_fan_out is true, expected false: it keeps weights as [out, in]`,
    { hint: "Choose the base model that the adapter was trained on." },
  );
}

/** Reads what an adapter_config.json asks for. @throws UsageError "usage/adapter" as `readAdapter`. */
export function readSettings(
  path: string,
  config: Readonly<Record<string, unknown>>,
  methods: readonly Method[] = METHODS,
): AttachRequest & { readonly storedTransposed: boolean } {
  const raw: Record<string, unknown> = { ...config };
  const method = findMethodOfConfig(raw, methods);
  const take = takeFrom(raw);
  const options = configFileOf(method)?.fromConfig(take, raw);
  const {
    layers_to_transform: layers,
    target_modules: modules,
    exclude_modules: exclude,
  } = readTargets(path, take);
  const storedTransposed = take("fan_in_fan_out") === true;
  refuseUnknown(path, raw);
  const targets = {
    modules: modules ?? null,
    exclude: exclude ?? [],
    layers: layers == null ? null : [layers].flat(),
  };
  return { method, options, targets, storedTransposed };
}

const MODULES = z.union([z.string(), z.array(z.string())]).nullish();
/** Keys that say where an adapter sits. */
const TARGETS = z.object({
  target_modules: MODULES,
  exclude_modules: MODULES,
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
});

/** @throws UsageError "usage/adapter" for values of another type. */
function readTargets(path: string, take: (key: string) => unknown): z.output<typeof TARGETS> {
  const given = Object.fromEntries(Object.keys(TARGETS.shape).map((key) => [key, take(key)]));
  const problems = listProblems(findProblems(TARGETS, given));
  if (problems.length === 0) return TARGETS.parse(given);
  throw new UsageError("usage/adapter", `Cannot use adapter "${path}": ${problems.join("; ")}`, {
    hint: "adapter_config.json is damaged: save the adapter again with the program that made it.",
  });
}

/** Keys that are not known and are set: they would change the numbers. */
function refuseUnknown(path: string, raw: Readonly<Record<string, unknown>>): void {
  const set = Object.entries(raw).filter(([key, value]) => {
    if (NEUTRAL_KEYS.includes(key)) return false;
    const empty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    return !(value === null || value === false || value === 0 || value === "" || empty || value === "none");
  });
  if (set.length === 0) return;
  const found = set.map(([key, value]) => `${key} is ${JSON.stringify(value)}`).join("; ");
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}": ${found}, which graft does not implement`,
    {
      hint: "Make the adapter without these settings, or merge it with the program that made it.",
    },
  );
}

/** Puts the numbers of a saved run, adapter folder or model, back into an adapter of the same settings. */
export async function restoreAdapter(folder: Folder, adapter: Adapter): Promise<void> {
  if (isAdapterMethod(adapter)) {
    // A run's own folder leaves nothing to be made from weights.
    const { tensors } = tensorsByOwnNames((await readAdapterFolder(folder)).tensors, adapter.model);
    await fillAdapter(folder.path, adapter, tensors, null);
    return;
  }
  const file = await openSafetensors(await folder.open("model.safetensors"));
  try {
    for (const { name, value } of adapter.parameters) {
      const found = file.tensors.get(name);
      // What cannot be read says so itself.
      const { dtype, shape } = found?.dtype ? found : await file.read(name);
      if (dtype !== value.dtype || !sameShape(shape, value.shape)) {
        throw new FormatError(
          "format/tensor",
          `Cannot read tensor "${name}" of "${file.path}": ${dtype} ${showShape(shape)}, expected ${value.dtype} ${showShape(value.shape)}`,
          { hint: "Remove this checkpoint to go on from the one before." },
        );
      }
      await whileHeld(adapter.memory, [value.data], "change", () => file.readInto(name, value.data));
    }
  } finally {
    await file.close();
  }
}
