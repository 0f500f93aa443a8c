/** @file Part of the contract of a method: how its options and tensors are stored in adapter files. */
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
  /** Whether the base stores its weight as [in, out]; null: an embedding, to which this does not apply. */
  readonly storedTransposed: boolean | null;
}

/**
 * Prefix of keys that PEFT does not know and does not need in order to compute the same. They are in the header of the tensors'
 * file, since PEFT warns of unknown keys in adapter_config.json.
 */
export const NOTE_PREFIX = "graft_";

/** How options are stored in `adapter_config.json`. */
export interface ConfigFile<O, S> {
  readonly peftType: string;
  /**
   * Whether PEFT can read such a folder with modules of these paths, or only graft; `takes`: the adapters that PEFT supports on a
   * module.
   */
  readBy(options: O, paths: readonly string[], takes: (path: string) => PeftTakes): "peft" | "graft";
  /** Whether a configuration of this `peft_type` is of this method, judging by its other keys. */
  claims(config: Readonly<Record<string, unknown>>): boolean;
  /** Writes options as keys. `names` denote the sites in the file, unless the keys include other `target_modules`. */
  toConfig(
    options: O,
    sites: readonly FileSite<S>[],
    names: readonly string[],
  ): Readonly<Record<string, unknown>>;
  /**
   * Reads options for the schema. `take` returns the value of a key, undefined for null; keys of `raw` that are set but not taken
   * are refused.
   */
  fromConfig(take: (key: string) => unknown, raw: Readonly<Record<string, unknown>>): unknown;
}

/** Writes options of a method under separate keys, and reads them. */
export interface ConfigKeys<O> {
  toConfig(options: O): Readonly<Record<string, unknown>>;
  fromConfig(take: (key: string) => unknown): Readonly<Record<string, unknown>>;
}

/** Stores options unchanged, each under the given key, and the modules that are trained whole. */
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

/** How adapters are stored in files. */
export interface AdapterFile<O, S> extends ConfigFile<O, S> {
  /** Converts a site's trained and saved tensors to those in a file, by suffix. */
  toTensors(tensors: SiteTensors, options: S): SiteTensors;
  /** The reverse; `site` is for files that leave out what follows from the weight. */
  fromTensors(
    held: SiteTensors,
    options: S,
    site: Pick<SiteStart, "spec" | "weight">,
  ): SiteTensors | Promise<SiteTensors>;
}

/**
 * Whether any module is one of several that a block numbers, such as experts. transformers stores these as one tensor, on which
 * PEFT has only LoRA; it ignores adapters of other methods there.
 */
export function areNumbered(paths: readonly string[]): boolean {
  // The first number is that of the block.
  return paths.some((path) => /\.\d+\.(.+\.)?\d+\./.test(path));
}

/** Whether PEFT supports methods other than LoRA's kind on modules of these paths. */
export function takesAll(paths: readonly string[], takes: (path: string) => PeftTakes): boolean {
  return !areNumbered(paths) && paths.every((path) => takes(path).others);
}

/** Defaults: the only method of its type, a folder that only graft reads, and a file with the tensors unchanged. */
export const PLAIN_FILE: Pick<
  AdapterFile<unknown, unknown>,
  "readBy" | "claims" | "toTensors" | "fromTensors"
> = {
  readBy: () => "graft",
  claims: () => true,
  toTensors: (tensors) => tensors,
  fromTensors: (held) => held,
};

/** PEFT's `fan_in_fan_out`: whether the base stores the weights of all projections as [in, out]. Adapter tensors are not affected. */
export function areTransposed(sites: readonly Pick<FileSite<unknown>, "storedTransposed">[]): boolean {
  const projections = sites.filter(({ storedTransposed }) => storedTransposed !== null);
  return projections.length > 0 && projections.every(({ storedTransposed }) => storedTransposed);
}
