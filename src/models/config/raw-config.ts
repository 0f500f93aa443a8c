/** @file A model's configuration as files have it. */

/** Contents of config.json, under the names of transformers. */
export type RawConfig = Readonly<Record<string, unknown>>;
