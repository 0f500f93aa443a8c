/** @file How many numbers methods train on the models of their papers, and the bytes of what is trained and kept. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openModel } from "../../src/models/families.ts";
import { previewAttach } from "../../src/peft/preview.ts";
import { findMethod } from "../../src/peft/methods.ts";

/** Sizes of LLaMA (arXiv:2302.13971, table 2). */
const LLAMAS = {
  "7B": { hidden_size: 4096, intermediate_size: 11_008, num_attention_heads: 32, num_hidden_layers: 32 },
  "65B": { hidden_size: 8192, intermediate_size: 22_016, num_attention_heads: 64, num_hidden_layers: 80 },
};
/** A model whose projections are all square. */
const SQUARE = { hidden_size: 1024, intermediate_size: 1024, num_attention_heads: 16, num_hidden_layers: 2 };

function sizeOf(
  sizes: object,
  method: string,
  options: object = {},
  modules: readonly string[] | null = null,
): { readonly numTrained: number; readonly frozenBytes: number } {
  const model = openModel({ model_type: "llama", vocab_size: 32_000, ...sizes });
  return previewAttach(
    model,
    { storageOf: () => "f32", groupSizeOf: () => null },
    { method: findMethod(method), options, targets: { modules } },
  );
}

const countOf = (...request: Parameters<typeof sizeOf>): number => sizeOf(...request).numTrained;

describe("trained numbers of", () => {
  test("PEQA with one scale a row: 1.36 million of LLaMA-7B and 6.80 million of 65B; more by the groups of a row", () => {
    assert.equal(countOf(LLAMAS["7B"], "peqa"), (4 * 4096 + 2 * 11_008 + 4096) * 32);
    assert.equal(countOf(LLAMAS["65B"], "peqa"), (4 * 8192 + 2 * 22_016 + 8192) * 80);
    const { hidden_size: D, intermediate_size: F } = LLAMAS["7B"];
    for (const groupSize of [256, 128, 64]) {
      assert.equal(countOf(LLAMAS["7B"], "peqa", { groupSize }), ((4 * D * D + 3 * D * F) / groupSize) * 32);
    }
  });

  test("LoRA of rank 4 of LLaMA-7B: 4.19 million on q, k, v, o, 2.10 million on q and v", () => {
    const countOn = (...modules: string[]): number => countOf(LLAMAS["7B"], "lora", { rank: 4 }, modules);
    assert.equal(countOn("q_proj", "k_proj", "v_proj", "o_proj"), 4 * (4096 + 4096) * 4 * 32);
    assert.equal(countOn("q_proj", "v_proj"), 4 * (4096 + 4096) * 2 * 32);
  });

  test("RoAd of LLaMA-7B: 0.02, 0.04 and 0.08 percent of the model", () => {
    const all = countOf(LLAMAS["7B"], "full");
    for (const [variant, percent] of [
      ["road_1", "0.02"],
      ["road_2", "0.04"],
      ["road_4", "0.08"],
    ] as const) {
      assert.equal(((100 * countOf(LLAMAS["7B"], "road", { variant })) / all).toFixed(2), percent);
    }
  });

  test("square projections: RoAd and PEQA a sixteenth of LoRA of rank 8, SNELL as many as LoRA", () => {
    for (const rank of [4, 8]) {
      const lora = countOf(SQUARE, "lora", { rank });
      assert.equal(countOf(SQUARE, "road") / lora, 1 / (2 * rank));
      assert.equal(countOf(SQUARE, "peqa") / lora, 1 / (2 * rank));
      assert.equal(countOf(SQUARE, "snell", { rank, learnKernel: false }), lora);
    }
    // One number an output, of as many inputs.
    const weights = 7 * SQUARE.num_hidden_layers * SQUARE.hidden_size ** 2;
    assert.equal(countOf(SQUARE, "peqa"), weights / SQUARE.hidden_size);
  });
});

test("codes, zeros and scales of LLaMA-7B take a seventh of its float32 weights with 4 bits, a tenth with 3, none of which are wasted", () => {
  const { hidden_size: D, intermediate_size: F, num_hidden_layers: L } = LLAMAS["7B"];
  const weights = (4 * D * D + 3 * D * F) * L;
  for (const [bits, share] of [
    [4, 7.4],
    [3, 9.7],
  ] as const) {
    const { numTrained, frozenBytes } = sizeOf(LLAMAS["7B"], "peqa", { bits, groupSize: 128 });
    const bytes = frozenBytes + 4 * numTrained;
    assert.ok(Math.abs((4 * weights) / bytes - share) < 0.05, `${(4 * weights) / bytes} times less`);
    // One byte for the zero of a group.
    assert.equal(frozenBytes, (bits * weights) / 8 + numTrained);
  }
});
