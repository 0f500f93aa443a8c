/**
 * @file Limits for what files may ask for, checked before anything is allocated: one flipped bit of a count must be a quick
 * error, not hours or all memory. They are far above what models of today have.
 */
import { FormatError, UsageError } from "../errors.ts";

/** Contents of config.json. */
type RawConfig = Readonly<Record<string, unknown>>;

/** Most blocks of a model. */
const MAX_LAYERS = 4096;
/** Most experts of a block, each of which is a part of its graph. */
const MAX_EXPERTS_OF_LAYER = 1024;
/** Most experts of all blocks together. */
export const MAX_EXPERTS = 1 << 17;
/** Largest width of a head, whose rotation has a table. */
export const MAX_HEAD_WIDTH = 1 << 16;
/** Most tokens that a short convolution covers, each of which is a part of its graph. */
export const MAX_TAPS = 64;
/** Most distances of tokens with a row in a table. */
export const MAX_DISTANCES = 1 << 16;
/** Token ids may have gaps, but are indexes of an array: limit per token, plus a constant. */
const [IDS_PER_TOKEN, SPARE_IDS] = [4, 1 << 16];
/** Most bytes from one compressed byte: images contain gaps of background, bombs nothing else. */
const MAX_EXPANSION = 64;
/** Below this size, memory does not matter. */
const SMALL_BYTES = 1 << 26;
/** Deepest nesting of brackets and list marks in a file that is written by hand. */
const MAX_NESTING = 64;
/** Most characters of templates (the longest of models in use has near 20,000) and of patterns. */
export const [MAX_TEMPLATE_LENGTH, MAX_PATTERN_LENGTH] = [1 << 20, 1 << 14];

/**
 * Most turns of a conversation that are found by rendering all that precedes each: 1024 of them take seconds, and the time is
 * quadratic.
 */
export const MAX_RENDERED_TURNS = 1024;

/** Most examples of one data set in an epoch: their order is a list in memory, which then has 512 MB. */
export const MAX_EPOCH_EXAMPLES = 1 << 26;

const LAYER_KEYS = ["num_hidden_layers", "n_layer", "n_layers", "num_layers"];
const EXPERT_KEYS = ["num_experts", "num_local_experts"];
const WIDTH_KEYS = ["head_dim"];

function largestOf(
  raw: RawConfig,
  keys: readonly string[],
): { readonly key: string; readonly value: number } {
  const found = keys.map((key) => ({ key, value: Number(raw[key] ?? 0) }));
  return found.reduce((a, b) => (b.value > a.value ? b : a));
}

function tooMany(raw: RawConfig, found: string, expected: string): UsageError {
  return new UsageError(
    "usage/model",
    `Cannot use the configuration of this "${String(raw["model_type"])}" model: ${found} (expected ${expected})`,
    { hint: "The configuration is damaged or belongs to another model: download it again." },
  );
}

/**
 * Checks the counts of a configuration against what models can have and, if the weights are known, against the number of tensors.
 * @throws UsageError "usage/model"
 */
export function requireModelSize(raw: RawConfig, numTensors = Infinity): void {
  const { text_config: text } = raw;
  // Of a model of several parts, only the text part is read.
  if (typeof text === "object" && text !== null) requireModelSize(text as RawConfig, numTensors);
  const layers = largestOf(raw, LAYER_KEYS);
  const most = Math.min(MAX_LAYERS, numTensors);
  if (layers.value > most) {
    const why = most === numTensors ? "the number of tensors of the file" : "the largest supported";
    throw tooMany(raw, `${layers.key} is ${layers.value}`, `at most ${most}, ${why}`);
  }
  const experts = largestOf(raw, EXPERT_KEYS);
  if (experts.value > MAX_EXPERTS_OF_LAYER) {
    throw tooMany(raw, `${experts.key} is ${experts.value}`, `at most ${MAX_EXPERTS_OF_LAYER}`);
  }
  if (experts.value * Math.max(1, layers.value) > MAX_EXPERTS) {
    throw tooMany(raw, `${experts.key} is ${experts.value}`, `at most ${MAX_EXPERTS} in all blocks`);
  }
  const width = largestOf(raw, WIDTH_KEYS);
  if (width.value > MAX_HEAD_WIDTH) {
    throw tooMany(raw, `${width.key} is ${width.value}`, `at most ${MAX_HEAD_WIDTH}`);
  }
}

/**
 * Checks the memory that an adapter's settings require against the size of its file, which contains all that is trained.
 * @throws UsageError "usage/adapter"
 */
export function requireAdapterSize(path: string, askedBytes: number, heldBytes: number): void {
  if (askedBytes <= SMALL_BYTES + 4 * heldBytes) return;
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}": its settings require ${askedBytes} bytes, but its file contains ${heldBytes}`,
    { hint: "adapter_config.json does not match the tensors, most likely its rank: download both again." },
  );
}

/** Checks a token id against the number of tokens. @throws FormatError "format/file" */
export function requireTokenId(token: string, id: unknown, numTokens: number): void {
  const most = IDS_PER_TOKEN * numTokens + SPARE_IDS;
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < most) return;
  throw new FormatError(
    "format/file",
    `Cannot read tokenizer "tokenizer.json": token "${token}" has id ${JSON.stringify(id)}, expected a whole number below ${most}`,
    { hint: "Use the unchanged tokenizer.json of the model." },
  );
}

/** Most bytes to which a compressed file of some size may be decompressed. */
export function maxDecompressedBytes(compressedBytes: number): number {
  return Math.max(SMALL_BYTES, MAX_EXPANSION * compressedBytes);
}

/** A compressed file would expand beyond the limit; it need not be damaged. */
export class ExpandsTooFar extends Error {
  constructor(mostBytes: number, options?: ErrorOptions) {
    super(
      `it would expand to more than ${mostBytes} bytes, expected at most 64 MiB or ${MAX_EXPANSION} times its own size`,
      options,
    );
  }
}

/**
 * Checks the nesting of a text in YAML or JSON against what people write, before a parser recurses through it.
 * @throws FormatError "format/file"
 */
export function requireShallowText(path: string, text: string): void {
  let [open, deepest] = [0, 0];
  for (const sign of text) {
    if (sign === "[" || sign === "{") deepest = Math.max(deepest, ++open);
    else if (sign === "]" || sign === "}") open = Math.max(0, open - 1);
  }
  const inLine = /(?:[-?:][ \t]+){64}/.test(text);
  const indented = /^ {512}/m.test(text);
  if (deepest <= MAX_NESTING && !inLine && !indented) return;
  throw new FormatError(
    "format/file",
    `Cannot parse settings file "${path}": more than ${MAX_NESTING} nested levels, expected a few`,
    { hint: "Settings are keys with values and lists, nested a few levels at most: see graft train --help." },
  );
}
