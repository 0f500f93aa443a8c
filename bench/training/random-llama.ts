/**
 * @file Writes a Llama of any size with random weights, as a folder in bfloat16 and as a GGUF file in q4_0, one tensor at a time.
 * Its texts are meaningless, but it needs the time and memory of a real model.
 *
 * Drawing a billion numbers would take minutes, so rows are cut at random places from a list of numbers drawn once.
 */
import { byteTokenizerFiles } from "../../test/tiny/byte-tokenizer.ts";
import { writeModel, writeGguf } from "../../src/format/by-path.ts";
import { tokenizerSettings } from "../../src/format/checkpoint/gguf/gguf-vocabulary.ts";
import type { LazyTensor } from "../../src/format/files/safetensors/safetensors-writer.ts";
import { encodeSettings } from "../../src/format/files/gguf/gguf-setting-bytes.ts";
import type { GgufSource } from "../../src/format/files/gguf/gguf-writer.ts";
import { float32ToBfloat16 } from "../../src/quant/codes/half.ts";
import type { StorageName } from "../../src/quant/storages.ts";
import { quantizeTo } from "../../src/quant/stored-tensor.ts";
import { Random } from "../../src/random.ts";
import { hostTensor } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";

/** Sizes of a model with a tied head. */
export interface RandomLlamaSizes {
  readonly vocabSize: number;
  readonly width: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
}

/** The sizes of Llama 3.2 1B. */
export const LLAMA_1B: RandomLlamaSizes = {
  vocabSize: 128_256,
  width: 2048,
  intermediateSize: 8192,
  numLayers: 16,
  numHeads: 32,
  numKeyValueHeads: 8,
};

/** A tensor by its names in both kinds of files. */
interface Spec {
  readonly name: string;
  readonly ggufName: string;
  readonly shape: readonly number[];
}

const POOL_SIZE = 1 << 20;
const CONTEXT_LENGTH = 8192;
const ROPE_THETA = 500_000;
const EPSILON = 1e-5;

function specsOf(sizes: RandomLlamaSizes): Spec[] {
  const { vocabSize, width, intermediateSize, numLayers, numHeads, numKeyValueHeads } = sizes;
  const keys = (width / numHeads) * numKeyValueHeads;
  const block: readonly [string, string, readonly number[]][] = [
    ["input_layernorm", "attn_norm", [width]],
    ["self_attn.q_proj", "attn_q", [width, width]],
    ["self_attn.k_proj", "attn_k", [keys, width]],
    ["self_attn.v_proj", "attn_v", [keys, width]],
    ["self_attn.o_proj", "attn_output", [width, width]],
    ["post_attention_layernorm", "ffn_norm", [width]],
    ["mlp.gate_proj", "ffn_gate", [intermediateSize, width]],
    ["mlp.up_proj", "ffn_up", [intermediateSize, width]],
    ["mlp.down_proj", "ffn_down", [width, intermediateSize]],
  ];
  return [
    { name: "model.embed_tokens.weight", ggufName: "token_embd.weight", shape: [vocabSize, width] },
    { name: "model.norm.weight", ggufName: "output_norm.weight", shape: [width] },
    ...Array.from({ length: numLayers }, (_, layer) =>
      block.map(([name, ggufName, shape]) => ({
        name: `model.layers.${layer}.${name}.weight`,
        ggufName: `blk.${layer}.${ggufName}.weight`,
        shape,
      })),
    ).flat(),
  ];
}

/** Counts the parameters. */
export function countParameters(sizes: RandomLlamaSizes): number {
  return specsOf(sizes).reduce((sum, { shape }) => sum + numElements(shape), 0);
}

/** Cuts the rows of a matrix at random places from numbers drawn once; fresh memory. */
class RowMaker {
  readonly #pool: Float32Array;
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#pool = Float32Array.from({ length: POOL_SIZE }, () => this.#random.normal());
  }

  /**
   * Makes a tensor of this shape; deviations keep the size of what passes through, norms are 1. `narrow` is how numbers
   * are kept, and `rows` memory for them.
   */
  cutInto<A extends Float32Array | Uint16Array>(
    rows: A,
    shape: readonly number[],
    narrow: (values: Float32Array) => A,
  ): A {
    const columns = shape.at(-1)!;
    if (shape.length === 1) {
      rows.fill(narrow(Float32Array.of(1))[0]!);
      return rows;
    }
    const pool = narrow(this.#pool.map((value) => value * columns ** -0.5));
    for (let at = 0; at < rows.length; at += columns) {
      const from = this.#random.integer(POOL_SIZE - columns);
      rows.set(pool.subarray(from, from + columns), at);
    }
    return rows;
  }
}

/** Writes the folder. @throws FailedError failed/write */
export async function writeRandomLlamaFolder(
  path: string,
  sizes: RandomLlamaSizes,
  seed: number,
): Promise<void> {
  const maker = new RowMaker(seed);
  const tensors = specsOf(sizes).map(({ name, shape }): [string, LazyTensor] => [
    name,
    {
      dtype: "bfloat16",
      shape,
      load: () => {
        const rows = new Uint16Array(numElements(shape));
        return hostTensor("bfloat16", shape, maker.cutInto(rows, shape, float32ToBfloat16));
      },
    },
  ]);
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: sizes.vocabSize,
    hidden_size: sizes.width,
    intermediate_size: sizes.intermediateSize,
    num_hidden_layers: sizes.numLayers,
    num_attention_heads: sizes.numHeads,
    num_key_value_heads: sizes.numKeyValueHeads,
    max_position_embeddings: CONTEXT_LENGTH,
    hidden_act: "silu",
    rms_norm_eps: EPSILON,
    rope_theta: ROPE_THETA,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
  };
  await writeModel(path, { config, generationConfig: null, tokenizerFiles: byteTokenizerFiles(), tensors });
}

/** Writes the GGUF file: matrices as q4_0, the embedding as q8_0, norms as f32. @throws FailedError failed/write */
export async function writeRandomLlamaGguf(
  path: string,
  sizes: RandomLlamaSizes,
  seed: number,
): Promise<void> {
  const maker = new RowMaker(seed);
  const sources = specsOf(sizes).map(({ ggufName: name, shape }): GgufSource => {
    const storage: StorageName = shape.length === 1 ? "f32" : name.startsWith("token") ? "q8_0" : "q4_0";
    const load: GgufSource["load"] = () => {
      const values = maker.cutInto(new Float32Array(numElements(shape)), shape, (pool) => pool);
      return quantizeTo(storage, values, shape);
    };
    return { name, shape, storage, load };
  });
  const number = (value: number) => ({ type: "uint32", value }) as const;
  const settings = encodeSettings({
    "general.architecture": { type: "string", value: "llama" },
    "general.name": { type: "string", value: "random" },
    "general.file_type": number(2),
    "llama.vocab_size": number(sizes.vocabSize),
    "llama.context_length": number(CONTEXT_LENGTH),
    "llama.embedding_length": number(sizes.width),
    "llama.feed_forward_length": number(sizes.intermediateSize),
    "llama.block_count": number(sizes.numLayers),
    "llama.attention.head_count": number(sizes.numHeads),
    "llama.attention.head_count_kv": number(sizes.numKeyValueHeads),
    "llama.rope.dimension_count": number(sizes.width / sizes.numHeads),
    "llama.attention.layer_norm_rms_epsilon": { type: "float32", value: EPSILON },
    "llama.rope.freq_base": { type: "float32", value: ROPE_THETA },
    ...tokenizerSettings("random", byteTokenizerFiles(), {
      vocabSize: sizes.vocabSize,
      generationConfig: null,
    }),
  });
  await writeGguf(path, settings, sources);
}
