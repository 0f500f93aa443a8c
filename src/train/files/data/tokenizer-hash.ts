/** @file By what a run that goes on knows the tokenizer again that its examples were made with. */
import { createHash } from "node:crypto";
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";

/**
 * Hashes what decides which ids a text becomes, in hexadecimal: part by part, as one text of a large tokenizer would take much
 * memory. The default chat template is left out, since it has a hash of its own.
 */
export function hashTokenizer({ tokenizer, tokens, config }: TokenizerFiles): string {
  const hash = createHash("sha256");
  const add = (name: string, part: unknown): void => void hash.update(`${name} ${JSON.stringify(part)}\n`);
  const { model, ...steps } = tokenizer;
  for (const [name, step] of Object.entries(steps)) add(name, step);
  const parts = (model ?? {}) as Readonly<Record<string, unknown>>;
  // The vocabulary of a file that lists its words would be made if it were looked at.
  for (const name of Object.keys(parts)) add(name, name === "vocab" && tokens ? tokens : parts[name]);
  const { chat_template: templates, ...settings } = config;
  add("settings", settings);
  if (Array.isArray(templates)) add("templates", templates);
  return hash.digest("hex");
}
