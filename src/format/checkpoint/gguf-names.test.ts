import assert from "node:assert/strict";
import test from "node:test";
import {
  fileRowOrder,
  GGUF_ARCHITECTURES,
  originalRowOrder,
  toGgufName,
  translateName,
} from "./gguf-names.ts";

test("translateName() gives Hugging Face's names for weights and biases, inside and outside blocks", () => {
  const llama = GGUF_ARCHITECTURES["llama"]!;
  const query = "num_attention_heads";
  for (const [ggufName, hfName, reordered] of [
    ["token_embd.weight", "model.embed_tokens.weight", null],
    ["output.weight", "lm_head.weight", null],
    ["output_norm.weight", "model.norm.weight", null],
    ["blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight", query],
    ["blk.12.attn_q.bias", "model.layers.12.self_attn.q_proj.bias", query],
    ["blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight", "num_key_value_heads"],
    ["blk.1.attn_v.weight", "model.layers.1.self_attn.v_proj.weight", null],
    ["blk.1.attn_output.weight", "model.layers.1.self_attn.o_proj.weight", null],
    ["blk.1.attn_norm.weight", "model.layers.1.input_layernorm.weight", null],
    ["blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight", null],
    ["blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight", null],
  ] as const) {
    assert.deepEqual(translateName(llama, ggufName), { hfName, reordered });
    assert.deepEqual(toGgufName(llama, hfName), { ggufName, reordered });
  }
  for (const ggufName of ["blk.0.ffn_gate_exps.weight", "output", "blk.x.attn_q.weight", "rope.weight"]) {
    assert.equal(translateName(llama, ggufName), null);
  }
  for (const hfName of [
    "model.layers.0.mlp.router.weight",
    "lm_head",
    "model.layers.weight",
    "toString.weight",
  ]) {
    assert.equal(toGgufName(llama, hfName), null);
  }
  const qwen3 = GGUF_ARCHITECTURES["qwen3"]!;
  assert.deepEqual(translateName(qwen3, "blk.3.attn_q_norm.weight"), {
    hfName: "model.layers.3.self_attn.q_norm.weight",
    reordered: null,
  });
});

test("originalRowOrder() undoes what the converter does to the rows of q and k", () => {
  // The converter: reshape(heads, 2, width / 2).swapaxes(1, 2). Rows are named by head, half and place.
  const [numHeads, width] = [3, 8];
  const converted: string[] = [];
  for (let head = 0; head < numHeads; head++) {
    for (let place = 0; place < width / 2; place++) {
      for (let half = 0; half < 2; half++) converted.push(`${head} ${half} ${place}`);
    }
  }
  const original = [...originalRowOrder(numHeads * width, numHeads)].map((row) => converted[row]);
  assert.deepEqual(original, converted.toSorted());

  const back = [...fileRowOrder(numHeads * width, numHeads)].map((row) => original[row]);
  assert.deepEqual(back, converted);
});
