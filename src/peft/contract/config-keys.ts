/** @file Options of a method that stand in a configuration as they are, each under a key of its own. */

/** The keys of options in a configuration, by the options' names. */
export interface ConfigKeys<O> {
  toConfig(options: O): Readonly<Record<string, unknown>>;
  fromConfig(take: (key: string) => unknown): Readonly<Record<string, unknown>>;
}

/** Writes and reads options by their keys, in this order. */
export function configKeys<O>(keys: { readonly [Name in keyof O]: string }): ConfigKeys<O> {
  const entries = Object.entries(keys) as [keyof O & string, string][];
  return {
    toConfig: (options) => Object.fromEntries(entries.map(([name, key]) => [key, options[name]])),
    fromConfig: (take) => Object.fromEntries(entries.map(([name, key]) => [name, take(key)])),
  };
}
