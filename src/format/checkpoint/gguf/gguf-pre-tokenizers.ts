/**
 * @file Ways in which byte-level BPE cuts text before merging pairs, by their names in GGUF files.
 *
 * The cuts are those of the tokenizer.json files from which such GGUF files are made.
 */
import type { JsonObject } from "../../files/json-file.ts";
import { lookup } from "../../files/lookup.ts";

/** How text is cut before pairs are merged. */
export interface PreTokenizer {
  readonly normalizer: JsonObject | null;
  readonly steps: readonly JsonObject[];
  /** Whether a word that is in the vocabulary becomes one token without any merges. */
  readonly ignoreMerges: boolean;
  /** Whether bos is put first if the file does not tell. */
  readonly addsBos: boolean;
}

const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

function cutAt(regex: string): JsonObject {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false };
}

/** Cuts by one regular expression, then maps bytes to letters. */
function splitBy(regex: string): JsonObject[] {
  return [cutAt(regex), { ...BYTE_LEVEL, use_regex: false }];
}

const GPT2: PreTokenizer = { normalizer: null, steps: [BYTE_LEVEL], ignoreMerges: false, addsBos: false };

/**
 * Cuts into endings with apostrophes, words, digits in groups as `digits` quantifies, punctuation, line ends and spaces; `marks`
 * are part of words.
 */
function wordsAndDigits(digits: string, marks = ""): string {
  const letters = marks === "" ? "\\p{L}" : `[\\p{L}${marks}]`;
  return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?${letters}+|\\p{N}${digits}| ?[^\\s\\p{L}${marks}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
}

const LLAMA3: PreTokenizer = {
  ...GPT2,
  steps: splitBy(wordsAndDigits("{1,3}")),
  ignoreMerges: true,
  addsBos: true,
};
const COMPOSED: PreTokenizer = { ...GPT2, normalizer: { type: "NFC" } };
/** Words also end before a capital that follows a lower-case letter; no endings with apostrophes; digits one by one. */
const TEKKEN_WORDS =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The pattern of Tekken, but words include endings with apostrophes, and digits are in groups of three. */
const GPT_4O_WORDS =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const CHINESE = cutAt("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+");

/** Line ends, words, punctuation and Chinese characters are separated, digits one by one. */
const DEEPSEEK_CODER: readonly JsonObject[] = [
  cutAt("[\r\n]"),
  cutAt("\\s?\\p{L}+"),
  cutAt("\\s?\\p{P}+"),
  CHINESE,
  { type: "Digits", individual_digits: true },
  { ...BYTE_LEVEL, use_regex: false },
];

/** The same, but letters without case and punctuation of other scripts are not separated from their surroundings. */
const DEEPSEEK_LLM: readonly JsonObject[] = [
  cutAt("[\r\n]"),
  cutAt("\\s?[\\p{Lu}\\p{Ll}\\p{Lt}]+"),
  cutAt("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
  cutAt("\\s+$"),
  CHINESE,
  { type: "Digits", individual_digits: true },
  { ...BYTE_LEVEL, use_regex: false },
];

/** Digits in groups of three, Chinese and Japanese, and words are separated; punctuation stays with ASCII letters that follow it. */
const DEEPSEEK_V3: readonly JsonObject[] = [
  cutAt("\\p{N}{1,3}"),
  cutAt("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
  ...splitBy(
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
  ),
];

/** Ways to cut text, by `tokenizer.ggml.pre`. To add one: one entry. */
export const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  "gpt-2": GPT2,
  smollm: { ...GPT2, steps: [{ type: "Digits", individual_digits: true }, BYTE_LEVEL] },
  "llama-bpe": LLAMA3,
  qwen2: { ...COMPOSED, steps: splitBy(wordsAndDigits("")) },
  qwen35: { ...COMPOSED, steps: splitBy(wordsAndDigits("", "\\p{M}")) },
  olmo: COMPOSED,
  "command-r": { ...COMPOSED, steps: [{ type: "Digits", individual_digits: true }, BYTE_LEVEL] },
  dbrx: { ...LLAMA3, ignoreMerges: false, addsBos: false },
  tekken: { ...LLAMA3, steps: splitBy(TEKKEN_WORDS) },
  "gpt-4o": { ...GPT2, steps: splitBy(GPT_4O_WORDS) },
  "deepseek-coder": { ...GPT2, steps: DEEPSEEK_CODER },
  "deepseek-llm": { ...GPT2, steps: DEEPSEEK_LLM },
  "hunyuan-dense": { ...GPT2, steps: DEEPSEEK_V3 },
};

/** Other names for some of them, which are read and never written. */
const ALIASES: Readonly<Record<string, string>> = {
  llama3: "llama-bpe",
  "llama-v3": "llama-bpe",
  lfm2: "llama-bpe",
  "smaug-bpe": "dbrx",
  "chatglm-bpe": "dbrx",
  exaone4: "gpt-2",
  "deepseek-r1-qwen": "qwen2",
  stablelm2: "qwen2",
  "phi-2": "gpt-2",
  refact: "smollm",
  starcoder: "smollm",
};

/** Names for which another name and the setting for bos are written instead. */
const WITHOUT_BOS: Readonly<Record<string, PreTokenizer>> = { glm4: { ...LLAMA3, addsBos: false } };

/** Finds a way to cut text by its name; undefined for an unknown name. */
export function findPreTokenizer(word: string): PreTokenizer | undefined {
  return lookup(PRE_TOKENIZERS, lookup(ALIASES, word) ?? word) ?? lookup(WITHOUT_BOS, word);
}
