/** @file The hash by which a resumed run recognises its tokenizer. */
import { createHash } from "node:crypto";
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";

/**
 * Hashes everything that decides which ids a text becomes; returns hexadecimal. Part by part, since a large tokenizer as one text would
 * take much memory. The default chat template is left out, since it has a hash of its own.
 */
export function hashTokenizer({ tokenizer, tokens, config }: TokenizerFiles): string {
  const hash = createHash("sha256");
  const add = (name: string, part: unknown): void => void hash.update(`${name} ${JSON.stringify(part)}\n`);
  const { model, ...steps } = tokenizer;
  for (const [name, step] of Object.entries(steps)) add(name, step);
  const parts = (model ?? {}) as Readonly<Record<string, unknown>>;
  // `tokens` first: reading `vocab` of a file that lists its words would build the vocabulary.
  for (const name of Object.keys(parts)) add(name, name === "vocab" && tokens ? tokens : parts[name]);
  const { chat_template: templates, ...settings } = config;
  add("settings", settings);
  if (Array.isArray(templates)) add("templates", templates);
  return hash.digest("hex");
}
