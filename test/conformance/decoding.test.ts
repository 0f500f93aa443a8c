/** @file Every family that writes text, with heads that ONNX Runtime's attention over a cache takes: token by token as at once. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { toBatch } from "../../src/data/batches/batch.ts";
import type { Example } from "../../src/data/examples/example.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import { FAMILIES, openModel } from "../../src/models/families.ts";
import type { RawConfig } from "../../src/models/family.ts";
import { fitsHeadCache } from "../../src/nn/attention.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { logitsOf, randomExamples } from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
const HEADS = { num_attention_heads: 2, num_key_value_heads: 1, head_dim: 16 };
const GEMMA4_HEADS = { ...HEADS, global_head_dim: 32 };

/** Queries and keys of 32, half of them turned. */
const LATENT = {
  num_attention_heads: 2,
  num_key_value_heads: 2,
  qk_nope_head_dim: 16,
  qk_rope_head_dim: 16,
};

const withWideText = ({ text_config: text }: RawConfig): Record<string, unknown> => ({
  text_config: { ...(text as RawConfig), ...HEADS },
});

/** What a family's tiny model needs for heads of 16 that are turned by 16 elements or not at all. */
const WIDE: Readonly<Record<string, (tiny: RawConfig) => Record<string, unknown>>> = {
  gpt2: () => ({ n_head: 2 }),
  gpt_neo: () => ({ num_heads: 2 }),
  gpt_neox: () => ({ num_attention_heads: 1 }),
  opt: () => ({ num_attention_heads: 2 }),
  gemma4_text: () => GEMMA4_HEADS,
  gemma4: ({ text_config }) => ({ text_config: { ...(text_config as RawConfig), ...GEMMA4_HEADS } }),
  gemma4_unified: ({ text_config }) => ({ text_config: { ...(text_config as RawConfig), ...GEMMA4_HEADS } }),
  glm: () => ({ ...HEADS, head_dim: 32 }),
  deepseek_v2: () => LATENT,
  deepseek_v3: () => ({ ...LATENT, q_lora_rank: null }),
  glm4_moe_lite: () => ({ ...LATENT, v_head_dim: 48 }),
  gemma3: withWideText,
  idefics3: withWideText,
  mistral3: withWideText,
  glm4: () => ({ ...HEADS, head_dim: 32 }),
  qwen2_5_vl: withWideText,
  qwen3_vl: withWideText,
  smolvlm: withWideText,
  qwen3_5: ({ text_config }) => ({ text_config: { ...(text_config as RawConfig), ...HEADS, head_dim: 32 } }),
  qwen3_5_moe: ({ text_config }) => ({
    text_config: { ...(text_config as RawConfig), ...HEADS, head_dim: 32 },
  }),
  qwen3_5_moe_text: () => ({ ...HEADS, head_dim: 32 }),
  qwen3_5_text: () => ({ ...HEADS, head_dim: 32 }),
  "modernbert-decoder": () => ({ num_attention_heads: 2 }),
  nemotron: () => ({ ...HEADS, head_dim: 32 }),
  phi: () => ({ num_attention_heads: 1 }),
  phi3: () => ({ num_attention_heads: 1, num_key_value_heads: 1 }),
  stablelm: () => ({ num_attention_heads: 1, num_key_value_heads: 1 }),
};

const writing = FAMILIES.flatMap(({ modelType }) => {
  const tiny = TINY_CONFIGS[modelType]!;
  return openModel(tiny).task === "causal-lm" ? [{ modelType, tiny }] : [];
});

for (const { modelType, tiny } of writing) {
  describe(`decoding of ${modelType}`, async () => {
    const config = WIDE[modelType]?.(tiny) ?? HEADS;
    const path = await writeTinyModel(join(folder, modelType), { modelType, config });
    const { base } = await openUntilEnd(path);
    const { numOutputs, layers } = base.model;
    const [example] = randomExamples([24], 7) as [Example];
    const ids = [...example.ids];

    /** Largest distance of logits, token by token, from those of all tokens at once. */
    async function distance(generator: Generator, promptIds: readonly number[]): Promise<number> {
      const rows: Float32Array[] = [];
      const onLogits = (logits: Float32Array): void => void rows.push(logits.slice());
      const { ids } = await generator.complete({ promptIds, maxNewTokens: 5, onLogits });
      const all = [...promptIds, ...ids];
      const whole = await logitsOf(
        engine,
        base,
        null,
        toBatch([[{ ...example, ids: Int32Array.from(all), weights: new Float32Array(all.length) }]]),
      );
      assert.equal(rows.length, 5);
      return Math.max(
        ...rows.flatMap((row, i) =>
          [...row].map((value, id) => Math.abs(value - whole[(promptIds.length - 1 + i) * numOutputs + id]!)),
        ),
      );
    }

    test("token by token equals all at once, also after another text and from pages of an earlier one", async () => {
      assert.ok(
        layers.every(({ attention, recent }) => (attention ? fitsHeadCache(attention) : recent !== null)),
      );
      const session = new Session(engine, base);
      const generator = await Generator.create({ session, adapter: null });
      // The second has nothing of the first; the third begins with a page of the first.
      for (const prompt of [ids.slice(0, 19), ids.slice(7, 12), ids]) {
        const apart = await distance(generator, prompt);
        assert.ok(apart < 2e-5, `${prompt.length} tokens: ${apart}`);
      }
      await generator.engine.close();
      await session.release();
    });
  });
}

test("a text that outgrows the positions of longrope's short factors goes on by the long ones", async () => {
  const config = {
    num_attention_heads: 1,
    num_key_value_heads: 1,
    max_position_embeddings: 64,
    original_max_position_embeddings: 20,
    rope_scaling: {
      type: "longrope",
      short_factor: Array.from({ length: 8 }, () => 1),
      long_factor: Array.from({ length: 8 }, (_, i) => 2 + i),
    },
  };
  const path = await writeTinyModel(join(folder, "longrope"), { modelType: "phi3", config });
  const { base } = await openUntilEnd(path);
  const [example] = randomExamples([40], 7) as [Example];
  const ids = [...example.ids];
  const logitsAfter = async (before: readonly number[]): Promise<Float32Array> => {
    const whole = { ...example, ids: Int32Array.from(before), weights: new Float32Array(before.length) };
    const logits = await logitsOf(engine, base, null, toBatch([[whole]]));
    return logits.slice(-base.model.numOutputs);
  };
  const session = new Session(engine, base);
  const generator = await Generator.create({ session, adapter: null });
  // Short at first, long from the first token on, and as the last one, whose first page an earlier one has left.
  for (const promptIds of [ids.slice(0, 17), ids.slice(3, 30), ids.slice(0, 18), ids.slice(3, 22)]) {
    const rows: Float32Array[] = [];
    const onLogits = (logits: Float32Array): void => void rows.push(logits.slice());
    const { ids: written } = await generator.complete({ promptIds, maxNewTokens: 6, onLogits });
    assert.equal(written.length, 6);
    for (const [i, row] of rows.entries()) {
      const expected = await logitsAfter([...promptIds, ...written.slice(0, i)]);
      const apart = Math.max(...row.map((value, id) => Math.abs(value - expected[id]!)));
      assert.ok(apart < 2e-5, `token ${i} after ${promptIds.length}: ${apart}`);
    }
  }
  await generator.engine.close();
  await session.release();
});
