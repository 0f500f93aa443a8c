/** Which matrices settings of codes mean, by what transformers, GPTQModel, llm-compressor and mlx-lm make of them. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TINY_CONFIGS } from "../../../test/tiny/configs.ts";
import { temporaryFolder } from "../../../test/tiny/model.ts";
import { openOutlined } from "../by-path.ts";

const root = temporaryFolder();
const MODEL = {
  ...TINY_CONFIGS["llama"],
  dtype: "bfloat16",
  intermediate_size: 64,
  tie_word_embeddings: false,
};

const BLOCK = "model.layers.0";
const NAMES = [`${BLOCK}.self_attn.q_proj`, `${BLOCK}.mlp.down_proj`, "lm_head", "model.embed_tokens"];

/** The kinds of some matrices. */
async function kindsOf(config: object, settings: object, names: readonly string[]): Promise<string> {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, quantization_config: settings }));
  const { tensors } = await openOutlined(folder);
  return names
    .map((name) => tensors.get(`${name}.weight`)!)
    .map(({ storage, groupSize }) => (groupSize === undefined ? storage : `${storage}/${groupSize}`))
    .join(" ");
}
let folders = 0;

/** The kinds of two projections, the head, the embedding and a norm. */
const kindsBy = (settings: object): Promise<string> =>
  kindsOf(MODEL, settings, [...NAMES, `${BLOCK}.input_layernorm`]);

const gptq = { quant_method: "gptq", bits: 4, group_size: 16 };
const awq = { quant_method: "awq", bits: 4, group_size: 16 };
const nf4 = { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" };
const compressed = (weights: object, more: object = {}, targets = ["Linear"]) => ({
  quant_method: "compressed-tensors",
  config_groups: { group_0: { targets, weights } },
  ignore: ["lm_head"],
  ...more,
});
const INT4 = { num_bits: 4, type: "int", group_size: 16 };

for (const [what, settings, expected] of [
  ["GPTQ: projections", gptq, "u4/16 u4/16 bf16 bf16 bf16"],
  ["GPTQ: whole rows", { ...gptq, group_size: -1 }, "u4/32 u4/64 bf16 bf16 bf16"],
  ["GPTQ: a head", { ...gptq, lm_head: true }, "u4/16 u4/16 u4/16 bf16 bf16"],
  [
    "GPTQ: modules of blocks",
    { ...gptq, modules_in_block_to_quantize: [["self_attn.q_proj"], ["self_attn.o_proj"]] },
    "u4/16 bf16 bf16 bf16 bf16",
  ],
  [
    "GPTQ: modules that are no names",
    { ...gptq, modules_in_block_to_quantize: [{ toString: 1 }, "mlp.down_proj"] },
    "bf16 u4/16 bf16 bf16 bf16",
  ],
  ["GPTQ: but some", { ...gptq, dynamic: { "-:model\\.layers\\.0\\.mlp": {} } }, "u4/16 bf16 bf16 bf16 bf16"],
  ["AWQ: projections", awq, "u4/16 u4/16 bf16 bf16 bf16"],
  ["AWQ: but some", { ...awq, modules_to_not_convert: ["mlp"] }, "u4/16 bf16 bf16 bf16 bf16"],
  ["bitsandbytes: all but the head", { load_in_8bit: true }, "u8/32 u8/64 bf16 bf16 bf16"],
  [
    "bitsandbytes: all but some",
    { load_in_8bit: true, llm_int8_skip_modules: ["model.layers.0.mlp"] },
    "u8/32 bf16 u8/32 bf16 bf16",
  ],
  [
    "FP8: but some",
    { quant_method: "fp8", weight_block_size: [16, 48], modules_to_not_convert: ["lm_head", "q_proj"] },
    "bf16 f8_e4m3/16 bf16 bf16 bf16",
  ],
  [
    "AutoFP8: but some",
    {
      quant_method: "fp8",
      activation_scheme: "static",
      ignored_layers: ["lm_head", "model.layers.0.mlp.down_proj"],
    },
    "f8_e4m3/32 bf16 bf16 bf16 bf16",
  ],
  ["MLX: the embedding too", { bits: 4, group_size: 32 }, "q4_1 q4_1 q4_1 q4_1 bf16"],
  [
    "MLX: settings of some",
    { bits: 8, group_size: 32, lm_head: false, "model.layers.0.mlp.down_proj": { bits: 3, group_size: 64 } },
    "m8/32 m3/64 bf16 m8/32 bf16",
  ],
  ["MLX: rows that groups do not fill", { bits: 8, group_size: 64 }, "bf16 m8/64 bf16 bf16 bf16"],
  ["compressed-tensors: projections", compressed(INT4), "u4/16 u4/16 bf16 bf16 bf16"],
  [
    "compressed-tensors: but some",
    compressed(INT4, { ignore: ["re:.*down_proj", "re:lm_"] }),
    "u4/16 bf16 bf16 bf16 bf16",
  ],
  [
    "compressed-tensors: floats in groups",
    compressed({ num_bits: 8, type: "float", group_size: 16 }),
    "f8_e4m3/16 f8_e4m3/16 bf16 bf16 bf16",
  ],
  [
    "compressed-tensors: a name before all projections",
    compressed(INT4, {
      config_groups: {
        group_0: { targets: ["Linear"], weights: INT4 },
        group_1: { targets: ["re:.*down_proj$"], weights: { num_bits: 8, type: "int" } },
      },
    }),
    "u4/16 u8/64 bf16 bf16 bf16",
  ],
  [
    "compressed-tensors: expressions",
    compressed({ num_bits: 8, type: "float" }, { ignore: [] }, ["re:.*q_proj", "lm_head"]),
    "f8_e4m3/32 bf16 f8_e4m3/32 bf16 bf16",
  ],
] as const) {
  test(what, async () => assert.equal(await kindsBy(settings), expected));
}

for (const [settings, message] of [
  [nf4, /"model\.layers\.0\.self_attn\.q_proj" \[32, 32\] in nf4, expected blocks of 64 that fill rows/],
  [{ ...gptq, group_size: 0.5 }, /32 inputs of .* in groups of 0\.5/],
  [{ ...gptq, group_size: 24 }, /32 inputs of "model\.layers\.0\.self_attn\.q_proj" in groups of 24/],
  [{ bits: 4, group_size: 32, lm_head: { bits: 7 } }, /of "lm_head" with bits 7/],
] as const) {
  test(`refused: ${message.source}`, async () => {
    await assert.rejects(kindsBy(settings), { code: "usage/quantization", message });
  });
}

describe("a model of experts", () => {
  const config = {
    ...TINY_CONFIGS["qwen2_moe"],
    dtype: "bfloat16",
    intermediate_size: 64,
    moe_intermediate_size: 32,
    shared_expert_intermediate_size: 32,
  };
  const names = ["0.mlp.gate_proj", "1.mlp.gate", "1.mlp.shared_expert_gate", "1.mlp.experts.2.gate_proj"];
  for (const [what, settings, expected] of [
    ["GPTQ: no router", gptq, "u4/16 bf16 bf16 u4/16"],
    [
      "AWQ: all in whose names a word lies",
      { ...awq, modules_to_not_convert: ["gate"] },
      "bf16 bf16 bf16 bf16",
    ],
    [
      "FP8: routers",
      {
        quant_method: "fp8",
        modules_to_not_convert: ["lm_head", "model.layers.0.mlp.gate", "model.layers.1.mlp.gate"],
      },
      "f8_e4m3/32 bf16 f8_e4m3/32 f8_e4m3/32",
    ],
  ] as const) {
    const modules = names.map((name) => `model.layers.${name}`);
    test(what, async () => assert.equal(await kindsOf(config, settings, modules), expected));
  }
});

describe("a model that reads images too: settings name its modules as files or transformers do", () => {
  const text = { ...(TINY_CONFIGS["mistral3"]?.["text_config"] as object), intermediate_size: 64 };
  const config = { ...TINY_CONFIGS["mistral3"], dtype: "bfloat16", text_config: text };
  for (const [what, settings, expected] of [
    [
      "bitsandbytes, older names",
      { load_in_8bit: true, llm_int8_skip_modules: ["lm_head", "language_model.model.layers.0.mlp"] },
      "u8/32 bf16 bf16 bf16",
    ],
    [
      "FP8, newer names",
      {
        quant_method: "fp8",
        modules_to_not_convert: ["lm_head", "model.language_model.layers.0.mlp.down_proj"],
      },
      "f8_e4m3/32 bf16 bf16 bf16",
    ],
    [
      "GPTQ",
      { ...gptq, dynamic: { "-:model\\.language_model\\.layers\\.0\\.self_attn": {} } },
      "bf16 u4/16 bf16 bf16",
    ],
    [
      "compressed-tensors",
      compressed(INT4, {
        ignore: [
          "language_model.lm_head",
          "re:language_model\\.model\\.layers\\.\\d+\\.self_attn",
          "re:vision_tower.*",
        ],
      }),
      "bf16 u4/16 bf16 bf16",
    ],
    [
      "MLX",
      {
        bits: 8,
        group_size: 32,
        "language_model.model.layers.0.mlp.down_proj": { bits: 3, group_size: 64 },
        "language_model.lm_head": false,
      },
      "m8/32 m3/64 bf16 m8/32",
    ],
  ] as const) {
    test(what, async () => assert.equal(await kindsOf(config, settings, NAMES), expected));
  }
});
