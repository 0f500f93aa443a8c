/**
 * @file Plans the files of an adapter: a PEFT folder, or a model folder if the method trains the base itself.
 *
 * This file knows no method: the method provides its keys and names of tensors.
 */
import { MODEL_TASKS } from "../../models/model-tasks.ts";
import { z } from "zod";
import { A_TEXT, ANYTHING, checkArguments, lazily } from "../../messages/arguments.ts";
import { lastNames, matchSuffix, moduleOf } from "../../models/module-path.ts";
import { autoClassesOf } from "../../models/auto-classes.ts";
import type { CheckpointRules } from "../../models/config/checkpoint-rules.ts";
import { A_BASE, type BaseModel } from "../../models/base/base-model.ts";
import { type Adapter, AN_ADAPTER } from "../../peft/attach.ts";
import { placesOf } from "../../peft/layout.ts";
import type { FileSite } from "../../peft/contract/adapter-file.ts";
import { configFileOf, programThatReads } from "../../peft/method.ts";
import { whyNotMerged } from "../../peft/why-not-merged.ts";
import { savedModules, trainedTensors } from "../../peft/trained-base/trained-tensors.ts";
import { whileHeld } from "../../runtime/memory/vector-memory.ts";
import { withModulesOfPeft } from "./adapter-base.ts";
import { BASE_SAMPLE_KEY } from "./base-record.ts";
import { type Provenance, UNKNOWN_PROVENANCE } from "../cards/model-card.ts";
import { wholeModelCard } from "../cards/whole-model-card.ts";
import { classesMetadata } from "./adapter-classes.ts";
import { ADAPTER_FILES, adapterFolderFiles } from "./adapter-folder.ts";
import { heldTensors } from "./adapter-tensors.ts";
import { peftName, withPeftPaths } from "./peft-names.ts";
import type { FolderFile } from "../files/folder-file.ts";
import { A_CHECKPOINT, type Checkpoint } from "../checkpoint/checkpoint.ts";
import { MODEL_FILES, modelFolderFiles } from "../checkpoint/model-folder-files.ts";
import { folderTensors } from "../checkpoint/folder-tensors.ts";
import { codesMetadata } from "./codes-hash.ts";
import type { StreamedTensor } from "../files/safetensors/safetensors-writer.ts";

/** Key of the template's hash in the header of the tensors' file. */
export const TEMPLATE_KEY = "chat_template_sha256";

/** Key of the storage to which the base was rounded. */
export const BASE_KEY = "base_rounded_to";

/** Where an adapter comes from, as its files tell it. */
export interface AdapterOrigin {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
  readonly chatTemplateHash: string | null;
  /** A record of the base (`recordBase`) for its file, so that the adapter is refused on another base; default: none. */
  readonly baseRecord?: string;
  /** How it was made, for the card; the licence comes from the checkpoint. */
  readonly provenance?: Omit<Provenance, "license">;
}

/** Names of all files that `adapterFiles` may plan. */
export const RESULT_FILES: readonly string[] = [...ADAPTER_FILES, ...MODEL_FILES];

/** Schema of the origin of an adapter that a caller gives. */
export const AN_ORIGIN = z.strictObject({
  base: A_BASE,
  checkpoint: A_CHECKPOINT,
  chatTemplateHash: A_TEXT.nullable(),
  baseRecord: A_TEXT.optional(),
  provenance: ANYTHING,
});
const ARGUMENTS = lazily(() => z.strictObject({ adapter: AN_ADAPTER, origin: AN_ORIGIN }));

/** Plans the files that hold what was trained. */
export function adapterFiles(adapter: Adapter, origin: AdapterOrigin): FolderFile[] {
  checkArguments("adapterFiles", ARGUMENTS, { adapter, origin });
  const { base, checkpoint } = origin;
  const provenance = { ...UNKNOWN_PROVENANCE, ...origin.provenance, license: checkpoint.license };
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
    const { floatSettings, generationConfig, tokenizerFiles } = checkpoint;
    const ownConfig = base.model.checkpoint.ownConfig(checkpoint.config);
    const config = { ...ownConfig, dtype: "float32", torch_dtype: "float32" };
    const tags = [adapter.method.name];
    const { task } = base.model;
    const { written: loader } = autoClassesOf(base.model);
    const card = wholeModelCard({
      baseName: base.name,
      task,
      loader,
      tags,
      readBy: "transformers",
      provenance,
    });
    const inFolder = folderTensors(base.model.checkpoint, tensors);
    return modelFolderFiles({
      config,
      floatSettings,
      generationConfig,
      imageProcessor: base.model.imageProcessor,
      tokenizerFiles,
      tensors: inFolder,
      card,
    });
  }
  const tensors = [...heldTensors(adapter)].map(
    ([name, tensor]) => [peftName(name, base.model), tensor] as const,
  );
  const { chatTemplateHash, baseRecord } = origin;
  // These go in the header of the tensors' file, since peft warns of unknown keys in adapter_config.json.
  const metadata: Record<string, string> = {
    ...codesMetadata(adapter),
    ...classesMetadata(base),
    ...(chatTemplateHash === null ? {} : { [TEMPLATE_KEY]: chatTemplateHash }),
    ...(base.roundedTo === null ? {} : { [BASE_KEY]: base.roundedTo }),
    ...(baseRecord === undefined ? {} : { [BASE_SAMPLE_KEY]: baseRecord }),
  };
  return adapterFolderFiles({
    config: adapterConfig(adapter, base),
    tensors,
    metadata,
    ties: [...base.model.ties].map(([head, table]) => [moduleInFile(head, base), moduleInFile(table, base)]),
    readBy: programThatReadsAdapter(adapter) ?? "graft",
    isMergeable: whyNotMerged(adapter) === null,
    autoClasses: autoClassesOf(base.model),
    provenance,
    roundedTo: base.roundedTo,
  });
}

/** Which program reads an adapter's folder; null: it is a model folder. `takes`: the adapters that PEFT accepts on each module. */
export function programThatReadsAdapter(
  adapter: Adapter,
  takes: CheckpointRules["peftTakes"] = adapter.model.checkpoint.peftTakes,
): ReturnType<typeof programThatReads> {
  const { model, method, options, sites } = adapter;
  const reader = programThatReads(
    adapter,
    trainedTensors(model, method, options, sites).map(({ name }) => name),
    takes,
  );
  // In transformers, experts of a stack are not separate modules.
  const isPart = [...sites.keys()].some((path) => model.checkpoint.inFolder(`${path}.weight`).stack !== null);
  return isPart && reader === "peft" ? "graft" : reader;
}

function moduleInFile(tensor: string, { model }: BaseModel): string {
  return model.checkpoint.peftPath(moduleOf(tensor));
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
    task_type: MODEL_TASKS[base.model.task].peftWord,
    // Not every method of PEFT has this key.
    ...(regex !== null && targets.exclude.length > 0 ? { exclude_modules: targets.exclude } : {}),
  };
  return withPeftPaths(config, adapter.sites, base.model);
}

/** Makes the settings of an adapter_config.json other than target modules; `modules`: names of these. */
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
    task_type: MODEL_TASKS["causal-lm"].peftWord,
  };
}

/**
 * Chooses how a file names the sites: by the shortest names that match exactly these sites, else by whole paths. Chosen layers are
 * written as paths too: PEFT has `layers_to_transform` only for some methods, and never together with an expression.
 */
function targetsForFile(
  { targets, sites }: Adapter,
  { model }: BaseModel,
): { regex: string | null; modules: readonly string[] } {
  const own = [...sites.values()].filter(({ parameter }) => parameter === undefined);
  const paths = own.map(({ path }) => path);
  const { modules, layers } = targets;
  // Names could also match modules of parts that graft does not read.
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
  const names = new Set(own.map(({ spec }) => spec.name));
  const shortest = [...names].map((name) => shortestApart(name, others));
  const isExact = shortest.every((name) => name !== null);
  return { regex: null, modules: isExact ? [...new Set(shortest)].sort() : paths };
}

/** The shortest dotted suffix of a name that matches none of the others; null: there is none. */
function shortestApart(name: string, others: ReadonlySet<string>): string | null {
  const parts = name.split(".");
  for (let length = 1; length <= parts.length; length++) {
    const suffix = parts.slice(-length).join(".");
    if (![...others].some((other) => matchSuffix(suffix, other))) return suffix;
  }
  return null;
}
