/**
 * @file The models, data and runs over which predictions of memory are compared with what was measured: every setting that
 * decides memory, one or two at a time, on models of unlike shapes with random weights.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { smallModelText } from "../../tools/small-model/make-text.ts";
import { Random } from "../../src/random.ts";
import { type TinyModelOptions, writeTinyModel } from "../../test/tiny/model.ts";
import { type RandomLlamaSizes, writeRandomLlamaFolder, writeRandomLlamaGguf } from "./random-llama.ts";

const SEED = 1;
const NUM_ROWS = 40;
const TEXT_BYTES = 200_000;
/** Words of an answer at most: with a byte for a token, up to some 500 tokens. */
const MAX_WORDS = 100;

/** Models by name: that of the default model's shape, others that are quicker, and one whose vocabulary is read in slices. */
const LLAMAS: Readonly<Record<string, RandomLlamaSizes>> = {
  smol: {
    vocabSize: 49_152,
    width: 576,
    intermediateSize: 1536,
    numLayers: 30,
    numHeads: 9,
    numKeyValueHeads: 3,
  },
  wide: {
    vocabSize: 16_384,
    width: 640,
    intermediateSize: 1792,
    numLayers: 6,
    numHeads: 10,
    numKeyValueHeads: 2,
  },
  narrow: {
    vocabSize: 4096,
    width: 256,
    intermediateSize: 704,
    numLayers: 20,
    numHeads: 8,
    numKeyValueHeads: 8,
  },
  tall: {
    vocabSize: 131_072,
    width: 512,
    intermediateSize: 1408,
    numLayers: 4,
    numHeads: 8,
    numKeyValueHeads: 2,
  },
};

/** Folders of other families, in float32. */
const OTHERS: Readonly<Record<string, TinyModelOptions>> = {
  gpt2: {
    modelType: "gpt2",
    config: { n_embd: 384, n_layer: 8, n_head: 6, n_positions: 1024, vocab_size: 16_384 },
  },
  untied: {
    modelType: "llama",
    config: {
      hidden_size: 512,
      intermediate_size: 1408,
      num_hidden_layers: 6,
      num_attention_heads: 8,
      num_key_value_heads: 2,
      head_dim: 64,
      vocab_size: 32_768,
      max_position_embeddings: 4096,
      tie_word_embeddings: false,
    },
  },
  gemma3: {
    modelType: "gemma3_text",
    config: {
      hidden_size: 320,
      intermediate_size: 960,
      num_hidden_layers: 12,
      num_attention_heads: 5,
      num_key_value_heads: 5,
      head_dim: 64,
      vocab_size: 16_384,
      sliding_window: 128,
      max_position_embeddings: 4096,
      sliding_window_pattern: 6,
    },
  },
};

/** One run: the model, the data, and further flags of `graft train`. */
export interface GridRun {
  readonly model: string;
  readonly data: "text" | "chats" | "pairs";
  readonly flags: string;
  /** Steps until the peak, where steps are unlike each other; 1 unless given. */
  readonly steps?: number;
  /** Texts are written beside the training. */
  readonly hasSamples?: true;
}

/** Paths of data by name, and of the prompts that samples go on from. */
type GridData = Readonly<Record<GridRun["data"] | "prompts", string>>;

/** Of DropBP: a plan is of all draws of a run, and one step draws few. */
const DROPBP_STEPS = 12;

const text = (model: string, batch: number, length: number, flags = ""): GridRun => ({
  model,
  data: "text",
  flags: `--packing --batch-size ${batch} --max-length ${length} ${flags}`.trim(),
});
const chats = (model: string, flags = ""): GridRun => ({
  model,
  data: "chats",
  flags: `--batch-size 8 --max-length 512 ${flags}`.trim(),
});
const pairs = (model: string, flags: string): GridRun => ({
  model,
  data: "pairs",
  flags: `--batch-size 4 --max-length 512 ${flags}`,
});
const RECOMPUTE = "--gradient-checkpointing on";
const KEEP_ATTENTION = "--gradient-checkpointing keep-attention";
const INT8 = "--compute int8";
/** A run that is fitted into a size, of which the rows of a micro-batch are chosen too. */
const fitted = (model: string, flags: string): GridRun => ({
  model,
  data: "text",
  flags: `--packing ${flags}`,
});
const sampled = (run: GridRun): GridRun => ({ ...run, hasSamples: true });

export const GRID: readonly GridRun[] = [
  text("smol", 1, 256),
  text("smol", 2, 256),
  text("smol", 1, 1024),
  text("smol", 4, 128, RECOMPUTE),
  text("smol", 1, 1024, RECOMPUTE),
  text("smol", 1, 1024, KEEP_ATTENTION),
  text("smol", 1, 256, "--weights float32"),
  text("smol", 1, 128, INT8),
  text("smol", 4, 256, INT8),
  text("smol", 4, 256, `${INT8} ${RECOMPUTE}`),
  text("smol", 4, 256, `${INT8} --method road ${RECOMPUTE}`),
  text("smol", 1, 64, "--method full"),
  text("smol.q4", 1, 128),
  text("wide", 4, 256),
  text("wide", 1, 1024),
  text("wide", 8, 128, RECOMPUTE),
  text("wide", 4, 256, "--method dora"),
  text("wide", 4, 256, "--method ia3"),
  text("wide", 4, 256, "--method road"),
  text("wide", 4, 256, "--method bitfit"),
  text("wide", 4, 256, "--method vera"),
  text("wide", 4, 256, "--dropout 0.1"),
  text("wide", 4, 256, "--rank 64 --target-modules all-linear"),
  text("wide", 4, 256, "--layers 3,4,5"),
  text("wide", 4, 256, "--weights float32"),
  text("wide", 4, 256, INT8),
  text("wide", 8, 128, `${INT8} ${RECOMPUTE}`),
  text("wide", 2, 256, `--method full ${INT8}`),
  text("wide", 4, 256, `--method dora ${RECOMPUTE}`),
  { ...text("wide", 4, 256, "--dropbp 0.5 --dropbp-rates uniform"), steps: DROPBP_STEPS },
  { ...text("wide", 4, 256, `--dropbp 0.75 ${RECOMPUTE}`), steps: DROPBP_STEPS },
  text("wide", 4, 256, "--base q8_0"),
  text("wide", 2, 128, "--compute w4"),
  text("wide", 2, 128, "--compute direct"),
  text("wide", 4, 256, "--method trainable-tokens --trainable-token-indices 65,66"),
  text("wide", 4, 256, `--base nf4 ${RECOMPUTE}`),
  text("wide", 4, 256, "--gradient-accumulation-steps 2"),
  text("wide", 2, 256, "--method full"),
  text("wide", 2, 256, `--method full ${RECOMPUTE}`),
  text("wide", 2, 256, "--method full --optimizer sgd"),
  text("wide", 2, 256, `--method full ${RECOMPUTE} --resident-memory 150MB`),
  text("wide", 2, 256, "--resident-memory 100MB"),
  text("wide", 2, 256, `--resident-memory 60MB ${RECOMPUTE}`),
  chats("wide"),
  chats("wide", RECOMPUTE),
  { model: "wide", data: "chats", flags: "--batch-size 4 --max-length 512 --eval-share 0.2" },
  pairs("wide", "--objective dpo"),
  pairs("wide", `--objective dpo ${RECOMPUTE}`),
  pairs("wide", `--objective dpo --compute w4 ${RECOMPUTE}`),
  pairs("wide", "--objective orpo"),
  text("wide.q4", 4, 256),
  text("wide.q4", 4, 256, "--weights float32"),
  text("wide.q4", 4, 256, "--method peqa"),
  text("wide.q4", 4, 256, `${INT8} ${RECOMPUTE}`),
  text("narrow", 4, 256),
  text("narrow", 8, 256),
  text("narrow", 1, 2048),
  text("narrow", 8, 256, RECOMPUTE),
  text("narrow", 1, 2048, KEEP_ATTENTION),
  text("narrow", 1, 2048, `${KEEP_ATTENTION} --activations disk`),
  text("narrow", 4, 256, "--method full"),
  text("narrow", 4, 256, INT8),
  text("narrow", 4, 256, "--method dora"),
  chats("narrow"),
  pairs("narrow", "--objective dpo"),
  text("tall", 1, 256),
  text("tall", 2, 256, RECOMPUTE),
  text("tall", 1, 256, "--weights float32"),
  text("tall.q4", 1, 256),
  text("gpt2", 4, 256),
  text("gpt2", 4, 256, RECOMPUTE),
  text("gpt2", 4, 256, INT8),
  text("gpt2", 4, 256, `${INT8} ${RECOMPUTE}`),
  text("gpt2", 4, 256, `${INT8} --method road`),
  text("untied", 4, 256),
  text("untied", 4, 256, `${INT8} ${RECOMPUTE}`),
  text("gemma3", 4, 256),
  text("gemma3", 4, 256, `${INT8} ${RECOMPUTE}`),
  text("gemma3", 4, 256, INT8),
  text("gemma3", 4, 256, `${INT8} --method road`),
  text("gemma3", 2, 512, `--method dora ${RECOMPUTE}`),
  text("gemma3", 2, 128, "--dropbp 0.25"),
  { ...text("narrow", 4, 256, "--dropbp 0.9 --dropbp-rates uniform"), steps: DROPBP_STEPS },
  { ...text("wide", 2, 128, "--method full --dropbp 0.5 --dropbp-rates gradient"), steps: DROPBP_STEPS },
  { ...text("wide", 2, 128, "--method full --dropbp 0.75"), steps: 3 },
  {
    ...text("wide", 2, 128, "--dropbp 0.5 --gradient-accumulation-steps 2 --data-parallel 2"),
    steps: DROPBP_STEPS,
  },
  fitted("wide", "--max-length 64 --memory 2GB"),
  fitted("gemma3", "--max-length 128 --memory 350MB"),
  fitted("smol.q4", "--max-length 128 --memory 450MB"),
  sampled(text("wide", 1, 128, "--sample-tokens 16")),
  sampled(text("gpt2", 4, 256, `${RECOMPUTE} --sample-tokens 16`)),
  sampled(text("wide", 4, 256, `${INT8} --sample-tokens 16`)),
];

const SUFFIX = ".q4";

/** Writes a model of the grid into a folder, unless it is there; returns its path. */
export async function makeGridModel(folder: string, name: string): Promise<string> {
  const isGguf = name.endsWith(SUFFIX);
  const path = join(folder, isGguf ? `${name}.gguf` : name);
  if (existsSync(isGguf ? path : join(path, "model.safetensors"))) return path;
  await mkdir(folder, { recursive: true });
  const other = OTHERS[name];
  const sizes = LLAMAS[isGguf ? name.slice(0, -SUFFIX.length) : name];
  if (other) await writeTinyModel(path, other);
  else if (!sizes) throw new RangeError(`Cannot make model "${name}": expected one of the grid`);
  else if (isGguf) await writeRandomLlamaGguf(path, sizes, SEED);
  else await writeRandomLlamaFolder(path, sizes, SEED);
  return path;
}

/** Writes the data of the grid into a folder; returns the paths. */
export async function makeGridData(folder: string): Promise<GridData> {
  const random = new Random(SEED);
  const words = (most: number): string =>
    Array.from(
      { length: 1 + random.integer(most) },
      () => ["tea", "lake", "moon", "pear"][random.integer(4)],
    ).join(" ");
  const lines = (row: () => object): string =>
    Array.from({ length: NUM_ROWS }, () => `${JSON.stringify(row())}\n`).join("");
  const contents = {
    text: smallModelText(TEXT_BYTES, SEED),
    chats: lines(() => ({
      messages: [
        { role: "user", content: words(20) },
        { role: "assistant", content: words(MAX_WORDS) },
      ],
    })),
    pairs: lines(() => ({ prompt: words(20), chosen: words(MAX_WORDS), rejected: words(MAX_WORDS) })),
    prompts: `${words(20)}\n${words(20)}\n`,
  };
  const paths = {
    text: join(folder, "text.txt"),
    chats: join(folder, "chats.jsonl"),
    pairs: join(folder, "pairs.jsonl"),
    prompts: join(folder, "prompts.txt"),
  };
  await mkdir(folder, { recursive: true });
  for (const name of ["text", "chats", "pairs", "prompts"] as const)
    await writeFile(paths[name], contents[name]);
  return paths;
}
