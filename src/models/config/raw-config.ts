/** @file A model's configuration as in its file. */

/** Contents of config.json, under the names of transformers. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** A configuration without some of its keys. */
export function without(raw: RawConfig, keys: readonly string[]): RawConfig {
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !keys.includes(key)));
}
