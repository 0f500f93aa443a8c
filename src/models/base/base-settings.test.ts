import assert from "node:assert/strict";
import { test } from "node:test";
import { TINY_CONFIGS } from "../../../test/tiny/configs.ts";
import { openModel } from "../families.ts";
import { hashSettings, mayBeAlike } from "./base-settings.ts";

const hashOf = (name: string, config: object = {}): string =>
  hashSettings(openModel({ ...TINY_CONFIGS[name], ...config }));

test("what stretches a context, or means nothing else, counts as it computes, however it is written", () => {
  const yarn = { factor: 4, original_max_position_embeddings: 128 };
  const stretched = hashOf("llama", { rope_scaling: { rope_type: "yarn", ...yarn } });
  assert.notEqual(stretched, hashOf("llama"));
  assert.notEqual(hashOf("llama", { rope_scaling: { rope_type: "yarn", ...yarn, factor: 2 } }), stretched);
  const { rope_theta: _, ...rest } = TINY_CONFIGS["llama"]!;
  const written = { ...rest, rope_parameters: { rope_type: "yarn", rope_theta: 10_000, ...yarn } };
  assert.equal(hashSettings(openModel(written)), stretched);
  assert.equal(hashOf("llama", { initializer_range: 0.5, bos_token_id: 3 }), hashOf("llama"));
  // Numbers in GGUF files have the digits of float32.
  assert.equal(hashOf("llama", { rms_norm_eps: Math.fround(1e-5) }), hashOf("llama"));
  assert.notEqual(hashOf("gpt2", { activation_function: "relu" }), hashOf("gpt2"));
  assert.notEqual(hashOf("mixtral", { num_experts_per_tok: 1 }), hashOf("mixtral"));
  assert.notEqual(hashOf("granite", { logits_scaling: 3 }), hashOf("granite"));
});

// Where this fails, models are described otherwise than in jobs and adapters that there are: raise the form.
test("hashes are those of the versions before", () => {
  const known = { llama: "1076962a56dfd", gemma2: "19c3614f7834d", gpt2: "11916a5f897c5" };
  for (const [name, hash] of Object.entries(known)) assert.equal(hashOf(name), hash, name);
});

test("hashes of two forms tell nothing", () => {
  assert.ok(mayBeAlike("1aa", undefined) && mayBeAlike("1aa", "2aa") && mayBeAlike("1aa", "1aa"));
  assert.ok(!mayBeAlike("1aa", "1ab"));
});
