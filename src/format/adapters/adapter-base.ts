/**
 * @file Tensors of the base in adapter files: copies of matrices that adapters sit on, and modules trained whole.
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
/** Names that peft takes for heads of classes: it trains such modules whole if they exist. */
const PEFT_HEADS = ["classifier", "score"];
const CLASSIFIER_TASKS: readonly string[] = [MODEL_TASKS["sequence-classification"].peftWord, "TOKEN_CLS"];
/** Largest relative distance of a row of a copy from the base's row, as caused by rounding to 16 bits or to few bits. */
const ROUNDING = 4e-3;
const QUANTIZATION = 0.25;

type Tensors = ReadonlyMap<string, HostTensor<"float32">>;

/**
 * Removes copies of the base's tensors, which PEFT saves with adapters on embeddings and heads, or on request
 * (`save_embedding_layers`).
 * @throws UsageError "usage/adapter" when one differs from the base's tensor: the adapter was trained on another base.
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
    // A weight from which the start was subtracted is no copy, but is not needed: the start is computed from the base again.
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

/** Whether a file lacks the initial values of a site, which then are computed from the base's weight. */
function startsFromBase({ path, frozen }: AdaptedSite, tensors: Tensors): boolean {
  return frozen.some(
    ({ suffix, saved, shared }) => saved && !shared && !tensors.has(`${PREFIX}${path}.${suffix}`),
  );
}

/** Whether a tensor is read by two modules. */
function isTied(stored: string, { ties }: Model): boolean {
  return [...ties.values()].includes(stored);
}

/** Whether a tensor of a file belongs to the module inside an adapter: a copy of the base's tensor, or a trained bias. */
export function isInBaseLayer(name: string): boolean {
  return PARTS.some((part) => name.endsWith(`.${BASE_LAYER}.${part}`));
}

/** Whether a tensor equals one of the base, apart from rounding. */
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
    // `!(<=)` instead of `>`, which would accept NaN.
    if (!(apart <= tolerance ** 2 * size)) return false;
  }
  return true;
}

/**
 * Whether PEFT trains a module whole: it matches every module whose path ends with a name, even `norm` and `input_layernorm`, with
 * all modules inside; graft matches only whole parts of a path.
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
 * Removes target modules, parameters and modules trained whole that neither the model nor the file has from a configuration. PEFT
 * ignores them: lists often name those of several families. `part`: prefix of the paths of all modules of the file's class.
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

/** Removes names that match no parameter of the model: neither a tensor nor a stack of matrices. */
function withoutForeign(names: readonly string[], model: Model): readonly string[] {
  const stacks = model.layers.flatMap(({ sites }, layer) =>
    stackSites(sites).map(({ name }) => model.blockPrefix(layer) + name),
  );
  const parameters = [...model.tensors.keys(), ...stacks];
  return names.filter((name) => parameters.some((parameter) => matchSuffix(name, parameter)));
}

/**
 * Removes PEFT's `ensure_weight_tying` from a configuration if it has no effect: the model's head is not tied, or neither head nor
 * embedding is adapted or trained whole. Trained rows always apply to both.
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

/** Changes names of modules trained whole so that they mean for graft what they mean for PEFT, judged by the file's tensors. */
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
  // A model has only one of PEFT's names for heads.
  const names = all.filter(
    (name) =>
      !CLASSIFIER_TASKS.includes(String(task)) ||
      !PEFT_HEADS.includes(name) ||
      modules.some((path) => isWithin(name, path)),
  );
  const whole = modules.every((path) => isSavedByGraft(names, path)) ? names : [...new Set(modules)];
  // PEFT puts no adapter on modules that it trains whole, but still lists them as targets.
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

/** Changes names of modules trained whole so that they mean for PEFT what they mean for graft, also in parts that graft ignores. */
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
