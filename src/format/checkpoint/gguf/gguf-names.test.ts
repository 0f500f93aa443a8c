import assert from "node:assert/strict";
import test from "node:test";
import { findGgufFamily, GGUF_FAMILIES } from "../../../models/families.ts";
import type { GgufChange } from "../../../models/config/gguf-rules.ts";
import { toGgufName, translateName } from "./gguf-names.ts";

const CASES: readonly [string, string, string, GgufChange | null][] = [
  ["llama", "token_embd.weight", "model.embed_tokens.weight", null],
  ["llama", "output.weight", "lm_head.weight", null],
  ["llama", "output_norm.weight", "model.norm.weight", null],
  ["llama", "blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight", "query-rows"],
  ["llama", "blk.12.attn_q.bias", "model.layers.12.self_attn.q_proj.bias", "query-rows"],
  ["llama", "blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight", "key-rows"],
  ["llama", "blk.1.attn_v.weight", "model.layers.1.self_attn.v_proj.weight", null],
  ["llama", "blk.1.attn_output.weight", "model.layers.1.self_attn.o_proj.weight", null],
  ["llama", "blk.1.attn_norm.weight", "model.layers.1.input_layernorm.weight", null],
  ["llama", "blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight", null],
  ["llama", "blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight", null],
  ["qwen3", "blk.3.attn_q_norm.weight", "model.layers.3.self_attn.q_norm.weight", null],
  ["gemma", "blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight", "plus-one"],
  ["gemma2", "output_norm.weight", "model.norm.weight", "plus-one"],
  ["gemma2", "blk.0.ffn_norm.weight", "model.layers.0.pre_feedforward_layernorm.weight", "plus-one"],
  ["gemma3", "blk.0.attn_k_norm.weight", "model.layers.0.self_attn.k_norm.weight", "plus-one"],
  ["gpt2", "blk.10.ffn_up.weight", "transformer.h.10.mlp.c_fc.weight", "transposed"],
  ["gpt2", "blk.10.ffn_up.bias", "transformer.h.10.mlp.c_fc.bias", null],
  ["gpt2", "output_norm.bias", "transformer.ln_f.bias", null],
  ["olmoe", "blk.2.ffn_gate_inp.weight", "model.layers.2.mlp.gate.weight", null],
  ["llama with experts", "blk.2.attn_k.weight", "model.layers.2.self_attn.k_proj.weight", "key-rows"],
  [
    "llama with experts",
    "blk.2.ffn_up_exps.weight",
    "model.layers.2.block_sparse_moe.experts.7.w3.weight",
    "stacked",
  ],
  ["gpt-oss", "blk.1.attn_sinks.weight", "model.layers.1.self_attn.sinks", null],
  ["gpt-oss", "blk.1.post_attention_norm.weight", "model.layers.1.post_attention_layernorm.weight", null],
  ["gpt-oss", "blk.1.ffn_down_exps.bias", "model.layers.1.mlp.experts.7.down_proj.bias", "stacked"],
  ["qwen3moe", "blk.2.ffn_up_exps.weight", "model.layers.2.mlp.experts.7.up_proj.weight", "stacked"],
  [
    "gemma4 with experts",
    "blk.2.ffn_down_exps.weight",
    "model.layers.2.experts.7.down_proj.weight",
    "stacked",
  ],
  ["gemma4 with experts", "blk.2.ffn_down_exps.scale", "model.layers.2.router.per_expert_scale", null],
  ["gemma4 with experts", "blk.2.ffn_gate_inp.weight", "model.layers.2.router.proj.weight", null],
];

for (const [architecture, ggufName, hfName, change] of CASES) {
  test(`${ggufName} of ${architecture} is ${hfName} in a folder`, () => {
    const [name = "", ...more] = architecture.split(" with ");
    const { gguf } = findGgufFamily("a.gguf", name, more.length > 0 ? { [`${name}.expert_count`]: 8n } : {});
    const found = translateName(gguf, ggufName);
    const expert = change === "stacked" ? 7 : 0;
    assert.equal(found?.hfName(expert), hfName);
    assert.equal(found?.change, change);
    assert.deepEqual(toGgufName(gguf, hfName), {
      ggufName,
      secondHalf: null,
      change,
      place: expert,
      numCuts: 1,
    });
  });
}

test("matrices of two modules of an expert lie one below the other in one tensor", () => {
  const { gguf } = findGgufFamily("a.gguf", "gemma4", { "gemma4.expert_count": 8n });
  const ggufName = "blk.2.ffn_gate_up_exps.weight";
  const found = translateName(gguf, ggufName);
  for (const [cut, matrix] of ["gate_proj", "up_proj"].entries()) {
    const place = 2 * 7 + cut;
    assert.equal(found?.hfName(place), `model.layers.2.experts.7.${matrix}.weight`);
    assert.deepEqual(toGgufName(gguf, found.hfName(place)), {
      ggufName,
      secondHalf: null,
      change: "stacked",
      place,
      numCuts: 2,
    });
  }
});

test("gate and up of all experts are read from one tensor and from two, whichever graft writes", () => {
  for (const [architecture, experts] of [
    ["gemma4", "experts.7"],
    ["qwen3moe", "mlp.experts.7"],
  ] as const) {
    const { gguf } = findGgufFamily("a.gguf", architecture, { [`${architecture}.expert_count`]: 8n });
    for (const [cut, name] of ["gate", "up"].entries()) {
      const hfName = `model.layers.2.${experts}.${name}_proj.weight`;
      assert.equal(translateName(gguf, `blk.2.ffn_${name}_exps.weight`)?.hfName(7), hfName);
      assert.equal(translateName(gguf, "blk.2.ffn_gate_up_exps.weight")?.hfName(2 * 7 + cut), hfName);
    }
  }
});

test("names that a family does not have are found neither way", () => {
  const { gguf } = findGgufFamily("a.gguf", "llama", {});
  for (const name of [
    "blk.0.ffn_gate_exps.weight",
    "output",
    "blk.x.attn_q.weight",
    "rope.weight",
    "constructor.weight",
  ]) {
    assert.equal(translateName(gguf, name), null);
  }
  for (const name of [
    "model.layers.0.mlp.router.weight",
    "lm_head",
    "model.layers.weight",
    "toString.weight",
  ]) {
    assert.equal(toGgufName(gguf, name), null);
  }
});

test("files of one architecture are told by how experts are judged; the first of GLM-4.7-Flash do not say it", () => {
  const familyOf = (settings: Record<string, number>): string => {
    const own = Object.entries(settings).map(([name, value]) => [`deepseek2.${name}`, value]);
    return findGgufFamily("a.gguf", "deepseek2", Object.fromEntries(own)).modelType;
  };
  assert.equal(familyOf({ block_count: 27 }), "deepseek_v2");
  assert.equal(familyOf({ block_count: 47, expert_gating_func: 1 }), "deepseek_v2");
  assert.equal(familyOf({ expert_gating_func: 2 }), "deepseek_v3");
  assert.equal(familyOf({ block_count: 48, vocab_size: 154_880 }), "deepseek_v3");
});

test("every tensor that a family's rules name has one name each way", () => {
  for (const { gguf, modelType } of GGUF_FAMILIES) {
    for (const name of [
      ...Object.keys(gguf.outsideBlocks).map((module) => `${module}.weight`),
      ...Object.entries(gguf.inBlock).map(
        ([module, { isTensor }]) => `blk.4.${module}${isTensor ? "" : ".weight"}`,
      ),
    ]) {
      const hfName = translateName(gguf, name)?.hfName(3);
      const found = toGgufName(gguf, hfName!);
      if (translateName(gguf, name)?.isReadOnly) {
        assert.notEqual(found?.ggufName ?? name, name);
        continue;
      }
      const change = translateName(gguf, name)?.change ?? "";
      const isSecond = ["second-half", "value-heads", "stacked-odd-rows"].includes(change);
      assert.equal(isSecond ? found?.secondHalf : found?.ggufName, name, `${modelType}: ${name}`);
    }
  }
});
