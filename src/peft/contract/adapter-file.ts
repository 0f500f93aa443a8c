/** @file Part of the contract of a method: how adapter files hold its options and tensors. */
import type { PeftTakes } from "../../models/config/checkpoint-rules.ts";
import type { SiteStart, SiteTensors } from "../sites/site.ts";
import {
  type WholeModules,
  wholeModulesFromConfig,
  wholeModulesToConfig,
} from "../trained-base/whole-modules.ts";

/** A module in an adapter file. */
export interface FileSite<S> {
  readonly path: string;
  readonly options: S;
  /** Whether the base keeps its weight as [in, out]; null: an embedding, for which the question does not arise. */
  readonly storedTransposed: boolean | null;
}

/**
 * How keys begin that PEFT does not know and need not, as it computes the same without. They stand in the head of the tensors' file:
 * of others in adapter_config.json PEFT warns.
 */
export const NOTE_PREFIX = "graft_";

/** How options stand in `adapter_config.json`. */
export interface ConfigFile<O, S> {
  readonly peftType: string;
  /** Whether PEFT, which takes these adapters on each module, reads such a folder with modules of these paths, or graft alone. */
  readBy(options: O, paths: readonly string[], takes: (path: string) => PeftTakes): "peft" | "graft";
  /** Tells methods of one `peft_type` apart by the other keys. */
  claims(config: Readonly<Record<string, unknown>>): boolean;
  /**
   * Keys that say the options. `names` stand for the sites in the file, unless the keys have others as `target_modules`.
   */
  toConfig(
    options: O,
    sites: readonly FileSite<S>[],
    names: readonly string[],
  ): Readonly<Record<string, unknown>>;
  /**
   * Options for the schema. `take` gives the value of a key, undefined for null; a key of `raw` that nobody takes and that
   * is set is refused.
   */
  fromConfig(take: (key: string) => unknown, raw: Readonly<Record<string, unknown>>): unknown;
}

/** Writes options of a method under keys of their own, and reads them. */
export interface ConfigKeys<O> {
  toConfig(options: O): Readonly<Record<string, unknown>>;
  fromConfig(take: (key: string) => unknown): Readonly<Record<string, unknown>>;
}

/** Options that stand in a configuration as they are, each under the key that is given for it, and the whole modules. */
export function configKeys<O extends WholeModules>(keys: {
  readonly [Name in Exclude<keyof O, keyof WholeModules>]: string;
}): ConfigKeys<O> {
  const entries = Object.entries(keys) as [keyof O & string, string][];
  return {
    toConfig: (options) => ({
      ...Object.fromEntries(entries.map(([name, key]) => [key, options[name]])),
      ...wholeModulesToConfig(options),
    }),
    fromConfig: (take) => ({
      ...Object.fromEntries(entries.map(([name, key]) => [name, take(key)])),
      ...wholeModulesFromConfig(take),
    }),
  };
}

/** How adapters stand in files. */
export interface AdapterFile<O, S> extends ConfigFile<O, S> {
  /** What a file holds of a site, by suffix, of its trained and its saved tensors. */
  toTensors(tensors: SiteTensors, options: S): SiteTensors;
  /** The reverse; `site` is there for files that leave out what the weight says. */
  fromTensors(
    held: SiteTensors,
    options: S,
    site: Pick<SiteStart, "spec" | "weight">,
  ): SiteTensors | Promise<SiteTensors>;
}

/**
 * Whether modules are some of several that a block numbers, as experts are. transformers keeps those as one tensor, on which
 * PEFT has LoRA alone: what other methods have there it passes over.
 */
export function areNumbered(paths: readonly string[]): boolean {
  // The first number is that of the block.
  return paths.some((path) => /\.\d+\.(.+\.)?\d+\./.test(path));
}

/** Whether PEFT has adapters that are not of LoRA's kind on modules of these paths. */
export function takesAll(paths: readonly string[], takes: (path: string) => PeftTakes): boolean {
  return !areNumbered(paths) && paths.every((path) => takes(path).others);
}

/** The only method of its type, a folder for graft alone, and a file that holds the tensors as they are. */
export const PLAIN_FILE: Pick<
  AdapterFile<unknown, unknown>,
  "readBy" | "claims" | "toTensors" | "fromTensors"
> = {
  readBy: () => "graft",
  claims: () => true,
  toTensors: (tensors) => tensors,
  fromTensors: (held) => held,
};

/** PEFT's `fan_in_fan_out`: whether the base keeps the weights of all projections as [in, out]. Tensors of adapters stay as they are. */
export function areTransposed(sites: readonly Pick<FileSite<unknown>, "storedTransposed">[]): boolean {
  const projections = sites.filter(({ storedTransposed }) => storedTransposed !== null);
  return projections.length > 0 && projections.every(({ storedTransposed }) => storedTransposed);
}
