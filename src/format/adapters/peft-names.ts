/**
 * @file Names of modules as peft has them. They are those of transformers' classes, which may differ from the names of a family
 * here, or those of a model without its head.
 */
import { FormatError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";
import { moduleOf } from "../../models/module-path.ts";
import { ROWS } from "../../peft/trained-base/trained-rows.ts";
import { matcher, patternValues } from "../../peft/sites/targets.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { isNames } from "./adapter-base.ts";
import { PREFIX } from "./adapter-tensors.ts";

/** What a module has by itself: tensors of one that is trained whole, and rows of one. */
const WHOLE_PARTS = ["weight", "bias", ROWS];

/** Inside of a module that is trained whole, where peft saves biases once more if all are trained. */
const TWICE_SAVED = /\.(?:modules_to_save|original_module)\./;

type Tensors = ReadonlyMap<string, HostTensor<"float32">>;

/**
 * The tensors of a file by the names of graft. Those of parts that are not read here, such as a vision tower, are left out.
 * @throws FormatError "format/tensor" for one that is there under two names
 */
export function tensorsByOwnNames(
  path: string,
  tensors: Tensors,
  { checkpoint, ties }: Model,
): { readonly tensors: Tensors; readonly isRenamed: boolean } {
  const own = new Map<string, HostTensor<"float32">>();
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
  }
  // Rows that a tied head shares with the embedding are saved once more, where peft trains nothing else.
  const rowsOf = (name: string): string => `${PREFIX}${moduleOf(name)}.${ROWS}`;
  for (const [head, table] of ties) {
    const copy = rowsOf(head);
    if (own.get(copy)?.data.join() === own.get(rowsOf(table))?.data.join()) own.delete(copy);
  }
  return { tensors: own, isRenamed };
}

/** A tensor's name as peft has it. */
export function peftName(name: string, { checkpoint }: Model): string {
  return name.startsWith(PREFIX) ? PREFIX + checkpoint.peftPath(name.slice(PREFIX.length)) : name;
}

type Config = Readonly<Record<string, unknown>>;

/**
 * Whether a file has nothing on the experts that its targets are also names of: transformers 5 keeps the matrices of all experts as
 * one tensor, which is no module, so that peft finds `gate_proj` in layers without experts and shared experts alone.
 */
export function passesOverExperts(
  { target_modules: targets }: Config,
  tensors: Tensors,
  model: Model,
): boolean {
  const experts = model.layers.flatMap(({ sites }, layer) =>
    sites.filter(({ stack }) => stack).map(({ name }) => model.blockPrefix(layer) + name),
  );
  if (experts.length === 0 || (typeof targets !== "string" && !isNames(targets))) return false;
  const isOnExperts = adaptedPaths(tensors, model).some((path) => model.siteOf(path)?.stack);
  return !isOnExperts && experts.some(matcher(targets));
}

/** The settings of a file whose tensors have other names here. Where its adapters sit is told by these: an expression cannot be renamed. */
export function withOwnPaths(config: Config, tensors: Tensors, model: Model): Config {
  const rename = (path: string): string => model.checkpoint.rename(path);
  return {
    ...mapPaths(config, rename, (pattern) =>
      Object.fromEntries(Object.entries(pattern).map(([path, value]) => [rename(path), value])),
    ),
    target_modules: adaptedPaths(tensors, model),
    exclude_modules: null,
    layers_to_transform: null,
  };
}

/** Settings with names of modules as peft has them, of an adapter on modules with these paths. */
export function withPeftPaths(config: Config, paths: readonly string[], { checkpoint }: Model): Config {
  const peftPath = (path: string): string => checkpoint.peftPath(path);
  // An expression cannot be renamed, the paths that it means can.
  const ofPattern = (pattern: Pattern): Pattern => {
    const valueOf = patternValues(pattern);
    if (paths.every((path) => valueOf(path) === valueOf(peftPath(path)))) return pattern;
    return Object.fromEntries(
      paths.flatMap((path) => {
        const value = valueOf(path);
        return value === null ? [] : [[peftPath(path), value]];
      }),
    );
  };
  return mapPaths(config, peftPath, ofPattern);
}

/** Numbers of modules by expressions for their paths. */
type Pattern = Readonly<Record<string, number>>;

/** Renames modules in lists, and in settings that have values for some of them (`rank_pattern` and its kin, lists of tokens). */
function mapPaths(
  config: Config,
  ofPath: (path: string) => string,
  ofPattern: (pattern: Pattern) => Pattern,
): Config {
  const renamed = Object.entries(config).map(([key, value]) => {
    if (Array.isArray(value))
      return [key, value.map((each: unknown) => (typeof each === "string" ? ofPath(each) : each))];
    if (typeof value !== "object" || value === null) return [key, value];
    if (key.endsWith("_pattern")) return [key, ofPattern(value as Pattern)];
    return [key, Object.fromEntries(Object.entries(value).map(([path, each]) => [ofPath(path), each]))];
  });
  return Object.fromEntries(renamed) as Config;
}

/** Paths of the modules that a file has adapters on. */
function adaptedPaths(tensors: Tensors, model: Model): readonly string[] {
  const paths = new Set<string>();
  for (const name of tensors.keys()) {
    const inner = name.slice(PREFIX.length);
    for (let end = inner.lastIndexOf("."); end > 0; end = inner.lastIndexOf(".", end - 1)) {
      const path = inner.slice(0, end);
      if (model.siteOf(path) && !WHOLE_PARTS.includes(inner.slice(end + 1))) paths.add(path);
    }
  }
  return [...paths];
}
