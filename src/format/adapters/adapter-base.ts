/**
 * @file What an adapter file holds of the base: copies of matrices that adapters sit on, and modules trained whole.
 */
import { MODEL_TASKS } from "../../models/model-tasks.ts";
import { sameShape, sizeAt } from "../../graph/shape.ts";
import { UsageError } from "../../errors.ts";
import { isWithin, lastName, matchSuffix, moduleOf } from "../../models/module-path.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { stackSites } from "../../models/graphs/sites.ts";
import type { Model } from "../../models/model.ts";
import { STORAGES } from "../../quant/storages.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { AdaptedSite } from "../../peft/layout.ts";
import { ROWS } from "../../peft/trained-base/trained-rows.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { BASE_LAYER, PREFIX } from "./adapter-tensors.ts";

/** Tensors of a module that can be trained whole. */
const PARTS = ["weight", "bias"];
/** Modules that peft takes for heads of classes, and trains whole if they are there. */
const PEFT_HEADS = ["classifier", "score"];
const CLASSIFIER_TASKS: readonly string[] = [MODEL_TASKS["sequence-classification"].peftWord, "TOKEN_CLS"];
/** How far a row of a copy may be from the base's, over its length: what rounding to half or to few bits makes. */
const ROUNDING = 4e-3;
const QUANTIZATION = 0.25;

type Tensors = ReadonlyMap<string, HostTensor<"float32">>;

/**
 * Leaves copies of the base's own tensors out, which PEFT saves beside adapters on embeddings and heads, or where it is asked to
 * (`save_embedding_layers`).
 * @throws UsageError "usage/adapter" when one is not the base's: the adapter was trained on another.
 */
export async function withoutCopies(
  path: string,
  base: BaseModel,
  adapter: Pick<Adapter, "tensor" | "sites">,
  tensors: Tensors,
): Promise<Tensors> {
  const others = new Map(tensors);
  for (const [name, copy] of tensors) {
    if (!name.startsWith(PREFIX)) continue;
    const tensor = name.slice(PREFIX.length).replace(`.${BASE_LAYER}.`, ".");
    const stored = base.model.storedName(tensor);
    if (!base.model.tensors.has(stored) || adapter.tensor(tensor) !== null) continue;
    const site = adapter.sites.get(moduleOf(tensor));
    const isRest = site !== undefined && startsFromBase(site, tensors);
    // What the start has left of the weight is no copy, but nothing is lost: adapters are read on the start that the base gives.
    if (!(isRest && !isTied(stored, base.model)) && !(await isCopy(base, stored, copy))) {
      const hint = isRest
        ? `Train it without "${site.path}": its start has changed the weight, which another module reads too.`
        : "Choose the base model that the adapter was trained on.";
      throw new UsageError(
        "usage/adapter",
        `Cannot use adapter "${path}": it was trained with other values of "${tensor}" than the model has`,
        { hint },
      );
    }
    others.delete(name);
  }
  return others;
}

/** Whether a file leaves out from what values a site started: they are those that the base's weight gives. */
function startsFromBase({ path, frozen }: AdaptedSite, tensors: Tensors): boolean {
  return frozen.some(
    ({ suffix, saved, shared }) => saved && !shared && !tensors.has(`${PREFIX}${path}.${suffix}`),
  );
}

/** Whether two modules read a tensor. */
function isTied(stored: string, { ties }: Model): boolean {
  return [...ties.values()].includes(stored);
}

/** Whether a tensor of a file is a module's own, within the adapter on it: a copy of the base's, or a bias that is trained. */
export function isInBaseLayer(name: string): boolean {
  return PARTS.some((part) => name.endsWith(`.${BASE_LAYER}.${part}`));
}

/** Whether a tensor is one of the base, as far as rounding leaves that to be seen. */
async function isCopy(base: BaseModel, stored: string, copy: HostTensor<"float32">): Promise<boolean> {
  const isWhole = STORAGES[base.source.storageOf(stored)].blockSize === 1;
  return isNear(copy, await base.values(stored), isWhole ? ROUNDING : QUANTIZATION);
}

function isNear(
  { shape, data }: HostTensor<"float32">,
  own: HostTensor<"float32">,
  tolerance: number,
): boolean {
  if (!sameShape(shape, own.shape)) return false;
  const width = sizeAt(shape, -1);
  for (let start = 0; start < data.length; start += width) {
    let [apart, size] = [0, 0];
    for (let i = start; i < start + width; i++) {
      apart += (data[i]! - own.data[i]!) ** 2;
      size += own.data[i]! ** 2;
    }
    // Not `>`: it would let NaN through.
    if (!(apart <= tolerance ** 2 * size)) return false;
  }
  return true;
}

/**
 * Whether PEFT trains a module whole: it takes every module whose path ends with a name, `norm` for `input_layernorm` too,
 * with all that is in it; graft a whole part of a path.
 */
function isSavedByPeft(names: readonly string[], path: string): boolean {
  for (let module = path; module !== ""; module = moduleOf(module)) {
    if (names.some((name) => module.endsWith(name))) return true;
  }
  return false;
}

function isSavedByGraft(names: readonly string[], path: string): boolean {
  return names.some((name) => isWithin(name, path));
}

/**
 * The configuration of a file without target modules, parameters and modules trained whole that neither the model nor the file has. PEFT passes
 * over them: lists often name those of several families. `part`: what the paths of all modules of the file's class begin with.
 */
export function withoutForeignModules(
  config: Readonly<Record<string, unknown>>,
  tensors: Tensors,
  model: Model,
  part: string,
): Readonly<Record<string, unknown>> {
  const { target_modules: targets, target_parameters: named, modules_to_save: whole } = config;
  const inClass = modulePaths(model).filter((path) => path.startsWith(part));
  const paths = [...inClass, ...[...tensors.keys()].map(moduleOf)];
  const own = isNames(targets) && targets.filter((name) => paths.some((path) => isWithin(name, path)));
  return {
    ...config,
    ...(own && own.length > 0 && { target_modules: own }),
    ...(isNames(named) && { target_parameters: withoutForeign(named, model) }),
    ...(isNames(whole) && {
      modules_to_save: whole.filter((name) => paths.some((path) => isSavedByPeft([name], path))),
    }),
  };
}

/** Names of parameters less those that mean none of the model's: no tensor, and no stack of matrices. */
function withoutForeign(names: readonly string[], model: Model): readonly string[] {
  const stacks = model.layers.flatMap(({ sites }, layer) =>
    stackSites(sites).map(({ name }) => model.blockPrefix(layer) + name),
  );
  const parameters = [...model.tensors.keys(), ...stacks];
  return names.filter((name) => parameters.some((parameter) => matchSuffix(name, parameter)));
}

/**
 * The configuration of a file without PEFT's `ensure_weight_tying` where that changes nothing: the model's head is no embedding, or
 * neither is adapted or trained whole. Trained rows are those of both anyway.
 */
export function withoutIdleTying(
  config: Readonly<Record<string, unknown>>,
  tensors: Tensors,
  { ties }: Model,
): Readonly<Record<string, unknown>> {
  const modules = [...ties].flat().map((name) => `${PREFIX}${moduleOf(name)}.`);
  const isTied = [...tensors.keys()].some(
    (name) => !name.endsWith(ROWS) && modules.some((module) => name.startsWith(module)),
  );
  return isTied ? config : { ...config, ensure_weight_tying: false };
}

/** The configuration of a file with names of whole modules that mean for graft what PEFT means, seen by its tensors. */
export function withModulesOfGraft(
  config: Readonly<Record<string, unknown>>,
  tensors: Tensors,
): Readonly<Record<string, unknown>> {
  const { modules_to_save: all, target_modules: adapted, task_type: task } = config;
  if (!isNames(all)) return config;
  const modules = [...tensors.keys()].flatMap((name) => {
    if (!name.startsWith(PREFIX) || !PARTS.includes(lastName(name))) return [];
    const module = moduleOf(name.slice(PREFIX.length));
    return module !== "" && isSavedByPeft(all, module) ? [module] : [];
  });
  // Of its names for heads, a model has one.
  const names = all.filter(
    (name) =>
      !CLASSIFIER_TASKS.includes(String(task)) ||
      !PEFT_HEADS.includes(name) ||
      modules.some((path) => isWithin(name, path)),
  );
  const whole = modules.every((path) => isSavedByGraft(names, path)) ? names : [...new Set(modules)];
  // PEFT puts no adapter on what it trains whole, and names it among the targets all the same.
  const isWhole = (name: string): boolean =>
    isSavedByGraft(whole, name) ||
    (modules.some((path) => matchSuffix(name, path)) && !isAdapted(name, tensors, modules));
  const targets = isNames(adapted) ? adapted.filter((name) => !isWhole(name)) : adapted;
  return { ...config, target_modules: targets, modules_to_save: whole };
}

/** Whether a file has a tensor of an adapter on a module of this name. */
function isAdapted(name: string, tensors: Tensors, whole: readonly string[]): boolean {
  return [...tensors.keys()].some(
    (key) => key.includes(`.${name}.`) && !whole.includes(moduleOf(key.slice(PREFIX.length))),
  );
}

/** The settings of a file with names of whole modules that mean for PEFT what graft means, in parts of its class too that are not read here. */
export function withModulesOfPeft(
  settings: Readonly<Record<string, unknown>>,
  base: BaseModel,
): Readonly<Record<string, unknown>> {
  const { modules_to_save: names } = settings;
  if (!isNames(names)) return settings;
  const paths = modulePaths(base.model);
  const isSame = paths.every(
    (path) =>
      base.model.checkpoint.peftPath(path) === path &&
      isSavedByPeft(names, path) === isSavedByGraft(names, path),
  );
  if (isSame) return settings;
  return { ...settings, modules_to_save: paths.filter((path) => isSavedByGraft(names, path)) };
}

/** Paths of all modules that have tensors. */
function modulePaths({ tensors, ties }: Model): readonly string[] {
  return [...new Set([...tensors.keys(), ...ties.keys()].map(moduleOf))];
}

/** Whether a value is a list of names. */
export function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}
