import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { assert as check, asyncProperty, nat, tuple } from "fast-check";
import {
  TINY_METADATA,
  buildTinyGguf,
  countingTensor,
  ggufValues,
  type RawTensor,
  TINY_TENSORS,
  TINY_TOKENS,
} from "../../../../test/tiny/gguf.ts";
import { FormatError, UsageError } from "../../../errors.ts";
import { GGUF_FAMILIES, openModel } from "../../../models/families.ts";
import { dequantize } from "../../../quant/stored-tensor.ts";
import { openCheckpoint } from "../../by-path.ts";
import { llama3Factors } from "./gguf-rope.ts";
import type { GgufValue } from "../../files/gguf/gguf-setting-bytes.ts";

const root = mkdtempSync(join(tmpdir(), "graft-gguf-"));
after(() => rmSync(root, { recursive: true }));

function write(bytes: Uint8Array, name = "m.gguf"): string {
  writeFileSync(join(root, name), bytes);
  return join(root, name);
}

const tiny = (
  metadata: Record<string, GgufValue | null> = {},
  tensors: readonly RawTensor[] = TINY_TENSORS,
): string => write(buildTinyGguf(metadata, tensors));

async function configOf(path: string): Promise<Record<string, unknown>> {
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  return checkpoint.config;
}

test("a GGUF file opens with Hugging Face's config", async () => {
  const checkpoint = await openCheckpoint(tiny());
  await checkpoint.close();
  assert.deepEqual(checkpoint.config, {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    num_hidden_layers: 1,
    max_position_embeddings: 64,
    hidden_size: 8,
    intermediate_size: 32,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    rms_norm_eps: 2 ** -16,
    rope_theta: 10000,
    head_dim: 4,
    attention_bias: true,
    mlp_bias: false,
    vocab_size: 6,
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 1,
  });
  assert.deepEqual(checkpoint.generationConfig, { bos_token_id: 0, eos_token_id: 1 });
});

test("tensors of a GGUF file have Hugging Face's names, shapes and order of rows", async () => {
  const checkpoint = await openCheckpoint(tiny());
  assert.equal(checkpoint.tensors.size, TINY_TENSORS.length);
  const down = checkpoint.tensors.get("model.layers.0.mlp.down_proj.weight");
  assert.deepEqual(down, {
    name: "model.layers.0.mlp.down_proj.weight",
    shape: [8, 32],
    storage: "q4_1",
    sizeBytes: 160,
  });
  const bias = await checkpoint.read("model.layers.0.self_attn.q_proj.bias");
  assert.deepEqual([...dequantize(bias)], [0, 2, 1, 3, 4, 6, 5, 7]); // two heads of width 4
  const key = await checkpoint.read("model.layers.0.self_attn.k_proj.weight");
  const firsts = [...dequantize(key)].filter((_, i) => i % 8 === 0);
  assert.deepEqual(firsts, [0, 16, 8, 24]);
  const value = dequantize(await checkpoint.read("model.layers.0.self_attn.v_proj.weight"));
  assert.deepEqual(
    [...value],
    Array.from({ length: 32 }, (_, i) => i),
  );
  await assert.rejects(checkpoint.read("lm_head.weight"), {
    code: "format/tensor",
    message: /"lm_head\.weight"/,
  });
  await checkpoint.close();
});

test("an output tensor unties the head, and an end-of-turn id joins the ids that end a text", async () => {
  const path = tiny(ggufValues({ "tokenizer.ggml.eot_token_id": 5 }), [
    ...TINY_TENSORS,
    countingTensor("output.weight", [6, 8]),
  ]);
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  assert.equal(checkpoint.config["tie_word_embeddings"], false);
  assert.ok(checkpoint.tensors.has("lm_head.weight"));
  assert.deepEqual(checkpoint.generationConfig, { bos_token_id: 0, eos_token_id: [1, 5] });
});

test("a token that ends a turn joins the ids that end a text, where the file does not name it", async () => {
  const tokens = TINY_TOKENS.with(4, "<end_of_turn>");
  const checkpoint = await openCheckpoint(tiny(ggufValues({ "tokenizer.ggml.tokens": tokens })));
  await checkpoint.close();
  assert.deepEqual(checkpoint.generationConfig, { bos_token_id: 0, eos_token_id: [1, 4] });
});

test("a message of harmony ends no text", async () => {
  const tokens = TINY_TOKENS.with(3, "<|end|>").with(4, "<|return|>").with(5, "<|call|>");
  const checkpoint = await openCheckpoint(tiny(ggufValues({ "tokenizer.ggml.tokens": tokens })));
  await checkpoint.close();
  assert.deepEqual(checkpoint.generationConfig, { bos_token_id: 0, eos_token_id: [1, 4, 5] });
});

/** As the published models are scaled, but for the factor. */
const LLAMA3 = {
  kind: "llama3",
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 8192,
} as const;

const WITHOUT_NORMS = TINY_TENSORS.filter(({ name }) => !/^blk.*_norm/.test(name));

/** The tiny model's settings under another architecture's name, and more. */
function settingsOf(architecture: string, own: Parameters<typeof ggufValues>[0]): Record<string, GgufValue> {
  const renamed = Object.entries(TINY_METADATA).map(([key, value]) => [
    key.replace("llama.", `${architecture}.`),
    value,
  ]);
  return {
    ...(Object.fromEntries(renamed) as typeof TINY_METADATA),
    ...ggufValues({ "general.architecture": architecture, ...own }),
  };
}

test("a gate of one row is a vector or a matrix, as converters have written it at different times", async () => {
  const settings = settingsOf("qwen2moe", {
    "qwen2moe.expert_count": 4,
    "qwen2moe.expert_used_count": 2,
    "qwen2moe.expert_feed_forward_length": 32,
  });
  for (const shape of [[8], [1, 8]]) {
    const path = tiny(settings, [
      countingTensor("token_embd.weight", [6, 8]),
      countingTensor("blk.0.ffn_gate_inp_shexp.weight", shape),
    ]);
    const checkpoint = await openCheckpoint(path);
    const name = "model.layers.0.mlp.shared_expert_gate.weight";
    assert.deepEqual(checkpoint.tensors.get(name)?.shape, [1, 8]);
    assert.deepEqual([...dequantize(await checkpoint.read(name))], [0, 1, 2, 3, 4, 5, 6, 7]);
    await checkpoint.close();
  }
});

test("layers of OLMo 3 with a window are rotated by their own base where the file has one", async () => {
  const basesOf = async (own: Parameters<typeof ggufValues>[0]): Promise<(number | undefined)[]> => {
    const settings = settingsOf("olmo2", {
      "olmo2.block_count": 4,
      "olmo2.attention.sliding_window": 4,
      ...own,
    });
    const { layers } = openModel(await configOf(tiny(settings, WITHOUT_NORMS)));
    return layers.map(({ attention }) => attention?.rope?.theta);
  };
  assert.deepEqual(await basesOf({}), [10000, 10000, 10000, 10000]);
  assert.deepEqual(await basesOf({ "olmo2.rope.freq_base_swa": 500 }), [500, 500, 500, 10000]);
});

test("Granite 4 without state-space layers is read as llama.cpp's converter writes it, with settings of such layers", async () => {
  const settings = settingsOf("granite", {
    "granite.expert_count": 0,
    "granite.expert_used_count": 0,
    "granite.expert_shared_feed_forward_length": 32,
    "granite.ssm.conv_kernel": 4,
    "granite.ssm.state_size": 8,
    "granite.ssm.group_count": 1,
    "granite.ssm.inner_size": 16,
    "granite.ssm.time_step_rank": 4,
    "granite.rope.scaling.finetuned": true,
  });
  const heads: GgufValue = { type: "int32s", value: [1, 1] };
  const config = await configOf(tiny({ ...settings, "granite.attention.head_count_kv": heads }));
  assert.equal(config["num_key_value_heads"], 1);
  assert.equal(openModel(config).layers[0]?.attention?.numKeyValueHeads, 1);
});

test("a Granite that does not rotate, as llama.cpp reads it in its file, is refused", async () => {
  const settings = settingsOf("granite", { "granite.rope.scaling.finetuned": false });
  const config = await configOf(tiny(settings));
  assert.throws(() => openModel(config), /position_embedding_type is "nope"/);
});

/** The settings of a Granite 4 H of one state-space layer. */
const stateSpaceSettings = (): Record<string, GgufValue> => ({
  ...settingsOf("granitehybrid", {
    "granitehybrid.ssm.conv_kernel": 4,
    "granitehybrid.ssm.inner_size": 16,
    "granitehybrid.ssm.state_size": 4,
    "granitehybrid.ssm.time_step_rank": 2,
  }),
  "granitehybrid.attention.head_count_kv": { type: "int32s", value: [0] },
});

test("the norm of a state-space layer is a matrix of one row, or the vector that llama.cpp's quantizer makes of it", async () => {
  for (const shape of [[1, 16], [16]]) {
    const tensors = [
      countingTensor("token_embd.weight", [6, 8]),
      countingTensor("blk.0.ssm_norm.weight", shape),
    ];
    const path = tiny(stateSpaceSettings(), tensors);
    const checkpoint = await openCheckpoint(path);
    const name = "model.layers.0.mamba.norm.weight";
    assert.deepEqual(checkpoint.tensors.get(name)?.shape, [16]);
    assert.deepEqual((await checkpoint.read(name)).shape, [16]);
    await checkpoint.close();
  }
});

test("rope scaling comes from the settings, or from the factors of llama3", async () => {
  const linear = ggufValues({ "llama.rope.scaling.type": "linear" });
  linear["llama.rope.scaling.factor"] = { type: "float32", value: 4 };
  assert.deepEqual((await configOf(tiny(linear)))["rope_scaling"], { rope_type: "linear", factor: 4 });

  const settings = { ...LLAMA3, factor: 32 };
  const theta: GgufValue = { type: "float32", value: 500000 };
  const factors = (values: Float32Array): RawTensor => ({
    name: "rope_freqs.weight",
    ggmlType: 0,
    shape: [values.length],
    bytes: new Uint8Array(values.buffer),
  });
  const wide = { "llama.rope.freq_base": theta, "llama.attention.key_length": null };
  const found = await configOf(tiny(wide, [...TINY_TENSORS, factors(llama3Factors(settings, 500000, 64))]));
  assert.deepEqual(found["rope_scaling"], {
    rope_type: "llama3",
    factor: 32,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  });
  const odd = factors(new Float32Array([1, 7, 3]));
  await assert.rejects(configOf(tiny(wide, [...TINY_TENSORS, odd])), { code: "usage/model" });
});

test("llama3Factors() gives the factors of transformers 5.23 (factor 8, theta 500000, width 128)", () => {
  const factors = llama3Factors({ ...LLAMA3, factor: 8 }, 500000, 64);
  for (const [i, expected] of [
    [0, 1],
    [28, 1],
    [29, 1.20748],
    [31, 2.02631],
    [33, 3.68425],
    [35, 8],
    [63, 8],
  ] as const) {
    assert.ok(Math.abs(factors[i]! - expected) < 1e-5, `${i}: ${factors[i]}`);
  }
});

const REFUSED: readonly [string, () => string, string, RegExp][] = [
  [
    "an architecture that has no entry",
    () => tiny(ggufValues({ "general.architecture": "mamba" })),
    "usage/model",
    /GGUF architecture mamba, expected one of llama/,
  ],
  [
    "numbers of layers that differ where one for all is expected",
    () => tiny({ "llama.attention.head_count_kv": { type: "int32s", value: [1, 2] } }),
    "format/file",
    /llama\.attention\.head_count_kv is missing or a list/,
  ],
  [
    "a number for all layers where a list says of each whether it has a window",
    () => {
      const settings = settingsOf("exaone4", {
        "exaone4.attention.sliding_window": 4,
        "exaone4.attention.sliding_window_pattern": 4,
      });
      return tiny(settings, WITHOUT_NORMS);
    },
    "format/file",
    /exaone4\.attention\.sliding_window_pattern is not a list of true and false/,
  ],
  [
    "half of the rows of a tensor alone",
    () => tiny(stateSpaceSettings(), [countingTensor("blk.0.ffn_up.bias", [32])]),
    "format/file",
    /"blk\.0\.ffn_up\.bias" without the other half/,
  ],
  [
    "a stack where one matrix is expected",
    () => tiny({}, [countingTensor("blk.0.ffn_up.weight", [2, 32, 8])]),
    "format/tensor",
    /"blk\.0\.ffn_up\.weight" \[2, 32, 8\]/,
  ],
  [
    "experts with an odd number of rows where two matrices lie one below the other",
    () =>
      tiny(settingsOf("gemma4", { "gemma4.expert_count": 2 }), [
        countingTensor("blk.0.ffn_gate_up_exps.weight", [2, 3, 8]),
      ]),
    "format/file",
    /"blk\.0\.ffn_gate_up_exps\.weight" with matrices of 3 rows/,
  ],
  [
    "one of two lists of rotary factors",
    () => tiny({}, [...TINY_TENSORS, countingTensor("rope_factors_long.weight", [2])]),
    "usage/model",
    /rope scaling "none" with one list of factors, expected both or none/,
  ],
  [
    "rotary factors that the converter has left out",
    () => tiny(ggufValues({ "llama.rope.scaling.type": "longrope" })),
    "usage/model",
    /rope scaling "longrope" with no list of factors, expected both\b(?! or)/,
  ],
  [
    "a setting that would change the numbers",
    () => tiny(ggufValues({ "llama.attention.clamp_kqv": 8 })),
    "usage/model",
    /setting llama\.attention\.clamp_kqv is 8/,
  ],
  [
    "experts as the first converters wrote them, a tensor each",
    () => tiny(ggufValues({ "llama.expert_count": 8 }), [countingTensor("blk.0.ffn_up.0.weight", [2, 8])]),
    "format/tensor",
    /"blk\.0\.ffn_up\.0\.weight" \[2, 8\]/,
  ],
  [
    "a missing setting",
    () => tiny({ "llama.block_count": null }),
    "format/file",
    /llama\.block_count is missing/,
  ],
  [
    "heads that turn in part",
    () => tiny(ggufValues({ "llama.rope.dimension_count": 2 })),
    "usage/model",
    /head widths 4, 4 and 2/,
  ],
  [
    "a tensor that the family lacks",
    () => tiny({}, [countingTensor("blk.0.attn_sinks.weight", [2])]),
    "format/tensor",
    /"blk\.0\.attn_sinks\.weight" \[2\]/,
  ],
  [
    "a type of tensor that has no storage kind",
    () => tiny({}, [{ ...countingTensor("token_embd.weight", [2, 256]), ggmlType: 16 }]),
    "usage/model",
    /tensors 1 of type IQ2_XXS, expected f32, f16/,
  ],
  [
    "an architecture and types of tensors that are unknown, both told",
    () =>
      tiny(ggufValues({ "general.architecture": "mamba" }), [
        { ...countingTensor("token_embd.weight", [2, 256]), ggmlType: 16 },
        { ...countingTensor("output.weight", [2, 256]), ggmlType: 99 },
      ]),
    "usage/model",
    /architecture mamba, expected one of llama.*; tensors 1 of type IQ2_XXS, 1 of type number 99, expected f32/,
  ],
  [
    "columns that do not fill blocks",
    () => tiny({}, [{ ...countingTensor("token_embd.weight", [2, 48]), ggmlType: 8 }]),
    "format/file",
    /48 columns, expected a multiple of 32/,
  ],
  [
    "columns that do not fill larger blocks",
    () => tiny({}, [{ ...countingTensor("token_embd.weight", [2, 288]), ggmlType: 12 }]),
    "format/file",
    /288 columns, expected a multiple of 256/,
  ],
  [
    "a name that comes twice",
    () => tiny({}, [TINY_TENSORS[1]!, TINY_TENSORS[1]!]),
    "format/file",
    /"output_norm\.weight" occurs twice/,
  ],
  ["one part of several", () => tiny(ggufValues({ "split.count": 3 })), "usage/model", /one of 3 parts/],
  [
    "a file that is something else",
    () => write(Buffer.from("PK\u0003\u0004....")),
    "format/file",
    /expected GGUF/,
  ],
  ["an empty file", () => write(new Uint8Array()), "format/file", /it starts with "", expected GGUF/],
  ["a missing file", () => join(root, "no.gguf"), "format/file", /no such file/],
];

for (const [what, make, code, message] of REFUSED) {
  test(`openCheckpoint() refuses ${what}, naming the file`, async () => {
    const path = make();
    await assert.rejects(openCheckpoint(path), (error: unknown) => {
      assert.ok(error instanceof FormatError || error instanceof UsageError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.ok(error.message.includes(path));
      assert.ok(error.hint);
      return true;
    });
  });
}

test("a GGUF file that is cut anywhere is a FormatError with found and expected bytes", async () => {
  const whole = buildTinyGguf();
  for (const numBytes of [5, 20, 100, 700, 1500, whole.length - 200, whole.length - 33]) {
    const path = write(whole.subarray(0, numBytes));
    await assert.rejects(
      openCheckpoint(path),
      (error: unknown) => error instanceof FormatError && error.message.includes(path),
      `cut at ${numBytes}`,
    );
  }
  const path = write(whole.subarray(0, whole.length - 33));
  await assert.rejects(openCheckpoint(path), {
    message: new RegExp(`${whole.length - 33} bytes, expected at least ${whole.length} for tensor`),
  });
});

test("a GGUF file with any damaged byte opens or is a FormatError or UsageError", async () => {
  const whole = buildTinyGguf();
  const damage = tuple(nat(1600), nat(255));
  await check(
    asyncProperty(damage, async ([index, byte]) => {
      const bytes = Buffer.from(whole);
      bytes[index] = byte;
      try {
        await (await openCheckpoint(write(bytes))).close();
      } catch (error) {
        assert.ok(error instanceof FormatError || error instanceof UsageError, String(error));
      }
    }),
    { numRuns: 300, seed: 1 },
  );
});

test("an architecture that is not known is told the nearest", async () => {
  const path = tiny(ggufValues({ "general.architecture": "gemma9" }));
  await assert.rejects(openCheckpoint(path), (error: unknown) => {
    assert.ok(error instanceof UsageError);
    const known = [...new Set(GGUF_FAMILIES.map(({ gguf }) => gguf.architecture))].join(", ");
    assert.ok(error.message.endsWith(`architecture gemma9, expected one of ${known}`), error.message);
    assert.match(error.hint ?? "", /the nearest is gemma\b/);
    return true;
  });
});

test("words of a file that every object knows are not taken for entries of a table", async () => {
  for (const metadata of [
    { "general.architecture": "constructor" },
    { "llama.toString": 1 },
    { "tokenizer.ggml.pre": "valueOf" },
  ]) {
    await assert.rejects(openCheckpoint(tiny(ggufValues(metadata))), { code: "usage/model" });
  }
  const strange = tiny({}, [...TINY_TENSORS, countingTensor("constructor.weight", [1])]);
  await assert.rejects(openCheckpoint(strange), { code: "format/tensor" });
});
