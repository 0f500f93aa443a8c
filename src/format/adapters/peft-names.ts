/**
 * @file Names of modules in peft's files. They are those of transformers' classes, which may differ from the names of a family in
 * graft, or those of a model without its head.
 */
import { FormatError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";
import { lastNames, matchSuffix, moduleOf } from "../../models/module-path.ts";
import type { Adapter } from "../../peft/attach.ts";
import { ROWS } from "../../peft/trained-base/trained-rows.ts";
import { matcher } from "../../peft/sites/targets.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { isNames } from "./adapter-base.ts";
import { PREFIX } from "./adapter-tensors.ts";
import { type Config, mapPaths } from "./moved-paths.ts";

/** Tensors of a module that are not of an adapter on it: its own ones, if it is trained whole, and trained rows. */
const WHOLE_PARTS = ["weight", "bias", ROWS];

/** Matches names inside a module that is trained whole: there peft saves biases a second time if all are trained. */
const TWICE_SAVED = /\.(?:modules_to_save|original_module)\./;

type Tensors = ReadonlyMap<string, HostTensor<"float32">>;
/** Names in a file, by graft's names for the same things. */
type Names = ReadonlyMap<string, string>;

/**
 * Gives the tensors of a file graft's names; also returns their names in the file, without the prefix. Tensors of parts that graft
 * does not read, such as a vision tower, are left out.
 * @throws FormatError "format/tensor" for one that occurs under two names
 */
export function tensorsByOwnNames(
  path: string,
  tensors: Tensors,
  { checkpoint, ties }: Model,
): { readonly tensors: Tensors; readonly isRenamed: boolean; readonly namesInFile: Names } {
  const own = new Map<string, HostTensor<"float32">>();
  const namesInFile = new Map<string, string>();
  let isRenamed = false;
  for (const [name, tensor] of tensors) {
    if (!name.startsWith(PREFIX)) {
      own.set(name, tensor);
      continue;
    }
    const inFile = name.slice(PREFIX.length);
    const renamed = checkpoint.rename(inFile);
    isRenamed ||= renamed !== inFile;
    if (checkpoint.ignored.test(inFile) || TWICE_SAVED.test(inFile)) continue;
    if (own.has(PREFIX + renamed)) {
      throw new FormatError(
        "format/tensor",
        `Cannot use adapter "${path}": tensor "${inFile}" also occurs under another name, expected it once`,
        { hint: "If it is a sum, combine adapters whose files use the same module names." },
      );
    }
    own.set(PREFIX + renamed, tensor);
    namesInFile.set(renamed, inFile);
  }
  // Peft saves rows that a tied head shares with the embedding twice if it trains nothing else.
  const rowsOf = (name: string): string => `${PREFIX}${moduleOf(name)}.${ROWS}`;
  for (const [head, table] of ties) {
    const copy = rowsOf(head);
    if (own.get(copy)?.data.join() === own.get(rowsOf(table))?.data.join()) own.delete(copy);
  }
  return { tensors: own, isRenamed, namesInFile };
}

/**
 * The prefix of graft's names that names in the file lack: the file belongs to a class that is only this part of the model, without
 * anything outside, such as a head. Empty: it belongs to the whole model.
 */
export function partOfClass(names: Names): string {
  const [own = "", inFile = ""] = [...names].find(([name, other]) => name.endsWith(`.${other}`)) ?? [];
  return own.slice(0, own.length - inFile.length);
}

/** Peft's name for a tensor. */
export function peftName(name: string, { checkpoint }: Model): string {
  return name.startsWith(PREFIX) ? PREFIX + checkpoint.peftPath(name.slice(PREFIX.length)) : name;
}

/**
 * Whether a file has no adapters on experts although its targets match them: transformers 5 keeps the matrices of all experts in
 * one tensor, which is not a module, so that peft finds `gate_proj` only in layers without experts and in shared experts.
 */
export function passesOverExperts(
  { target_modules: targets }: Config,
  adapted: Names,
  model: Model,
): boolean {
  const experts = model.layers.flatMap(({ sites }, layer) =>
    sites.filter(({ stack }) => stack).map(({ name }) => model.blockPrefix(layer) + name),
  );
  if (experts.length === 0 || (typeof targets !== "string" && !isNames(targets))) return false;
  const isOnExperts = [...adapted.keys()].some((path) => model.siteOf(path)?.stack);
  return !isOnExperts && experts.some(matcher(targets));
}

/**
 * Changes the settings of a file to graft's names. Target modules are taken from `adapted` (see `adaptedPaths`): an expression
 * cannot be renamed, so it is matched against the file's own paths.
 */
export function withOwnPaths(config: Config, adapted: Names, model: Model): Config {
  const others = mapPaths(
    { ...config, target_modules: null, exclude_modules: null, layers_to_transform: null },
    (path) => model.checkpoint.rename(path),
    [...adapted].map(([own, inFile]) => [inFile, own]),
  );
  return { ...others, target_modules: [...adapted.keys()].filter((path) => model.siteOf(path)) };
}

/** Changes the settings of an adapter on these sites to peft's names of modules. */
export function withPeftPaths(config: Config, sites: Adapter["sites"], { checkpoint }: Model): Config {
  const names = [...sites.values()].map(({ path, parameter = path }) => parameter);
  const peftPath = (path: string): string => checkpoint.peftPath(path);
  return mapPaths(
    config,
    peftPath,
    names.map((name) => [name, peftPath(name)]),
  );
}

/**
 * Paths in a file of everything with an adapter, by graft's paths: of modules, and of parameters that its settings name. `names`:
 * those of its tensors.
 */
export function adaptedPaths(names: Names, { target_parameters: given }: Config, model: Model): Names {
  const parameters = isNames(given) ? given : [];
  const isNamed = (path: string): boolean => parameters.some((parameter) => matchSuffix(parameter, path));
  const paths = new Map<string, string>();
  for (const { own, inFile, rest } of [...names].flatMap(modulesAround)) {
    if (model.siteOf(own) && !WHOLE_PARTS.includes(rest)) paths.set(own, inFile);
    for (const last of lastNames(parameters))
      if (isNamed(`${inFile}.${last}`)) paths.set(`${own}.${last}`, `${inFile}.${last}`);
  }
  return paths;
}

/** Lists the modules that contain a tensor, as long as both names end alike; `rest`: the tensor's name inside the module. */
function modulesAround([name, inFile]: readonly [string, string]) {
  const modules: { readonly own: string; readonly inFile: string; readonly rest: string }[] = [];
  for (let end = name.lastIndexOf("."); end > 0; end = name.lastIndexOf(".", end - 1)) {
    const rest = name.slice(end);
    if (!inFile.endsWith(rest)) break;
    modules.push({ own: name.slice(0, end), inFile: inFile.slice(0, -rest.length), rest: rest.slice(1) });
  }
  return modules;
}
