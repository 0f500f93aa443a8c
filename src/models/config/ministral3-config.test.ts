/** GGUF files of one architecture: queries that grow, and Mistral Small 3.1, whose do not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TINY_CONFIGS } from "../../../test/tiny/configs.ts";
import { openModel } from "../families.ts";
import type { Model } from "../model.ts";
import { PLAIN_PART } from "../graphs/part-options.ts";
import { findDifference } from "../same-model.ts";
import { MINISTRAL3_GGUF } from "./ministral3-config.ts";

const { rope_parameters: _, rope_scaling: __, ...config } = TINY_CONFIGS["mistral"]!;
const SMALL = { ...config, sliding_window: null, rope_theta: 1e9, head_dim: 8 };
const told = (more: object): Readonly<Record<string, unknown>> => ({
  ...MINISTRAL3_GGUF.complete!({ ...SMALL, llama_4_scaling_beta: 0, ...more }),
  model_type: "ministral3",
});

test("a file without a scale of queries holds a Mistral", () => {
  assert.equal(findDifference(openModel(SMALL), openModel(told({}))), null);
});

test("rotary settings under the keys of transformers 4 are read as those of transformers 5", () => {
  const { rope_parameters: rotation, ...rest } = told({ llama_4_scaling_beta: 0.25 });
  const { rope_theta, ...scaling } = rotation as Record<string, unknown>;
  const early = openModel({ ...rest, rope_theta, rope_scaling: scaling });
  assert.equal(findDifference(early, openModel({ ...rest, rope_parameters: rotation })), null);
});

test("YaRN without a number as factor is as wide as the model's positions over those it was trained on", () => {
  const yarn = (factor: number | null): Model =>
    openModel({
      ...SMALL,
      max_position_embeddings: 64,
      rope_scaling: { rope_type: "yarn", factor, original_max_position_embeddings: 16 },
    });
  assert.equal(findDifference(yarn(null), yarn(4)), null);
  assert.notEqual(findDifference(yarn(null), yarn(2)), null);
});

test("a scale of queries begins where the original context of the rotation ends", () => {
  const scaling = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16 };
  const grown = openModel(told({ llama_4_scaling_beta: 0.25, rope_scaling: scaling }));
  assert.match([...grown.buildBlock(0, PLAIN_PART).part.passInputs.keys()].join(), /queryScale\(0\.25, 16\)/);
  assert.equal(findDifference(openModel(SMALL), grown), "the rotation of heads in layer 0");
});
