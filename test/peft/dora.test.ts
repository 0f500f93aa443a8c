/** @file Tests of DoRA on a model with rows of zeros, as pruning leaves them: they have no length to divide by. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dora } from "../../src/peft/methods/dora.ts";
import { mergeAdapter } from "../../src/peft/merge.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import {
  attachTo,
  logitsOf,
  lossAndGradients,
  randomExamples,
  unpacked,
  withTensors,
} from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const PATH = "model.layers.0.self_attn.q_proj";
const engine = createEngine({ threads: 1 });
const { base: whole } = await openUntilEnd(
  await writeTinyModel(temporaryFolder(), { config: { attention_bias: true } }),
);

test("an output whose weights are all zero stays so, and all others train", async () => {
  const weight = await whole.values(`${PATH}.weight`);
  const width = weight.shape[1]!;
  const data = weight.data.slice().fill(0, 0, width);
  const base = await withTensors(whole, new Map([[`${PATH}.weight`, { ...weight, data }]]));
  const adapter = await attachTo(base, dora, { rank: 2 }, ["q_proj"]);
  const batch = unpacked(randomExamples([9]));
  const expected = await logitsOf(engine, base, null, batch);
  const found = await logitsOf(engine, base, adapter, batch);
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 1e-4, `${value}, ${expected[i]}`));

  const { gradients } = await lossAndGradients(engine, base, adapter, [batch]);
  for (const [name, gradient] of gradients) assert.ok(gradient.every(Number.isFinite), name);
  const ofLengths = gradients.get(`${PATH}.lora_magnitude_vector`)!;
  assert.equal(ofLengths[0], 0);
  assert.ok(ofLengths.subarray(1).every((value) => value !== 0));

  const merged = (await mergeAdapter(engine, base, adapter)).get(`${PATH}.weight`)!;
  merged.data.forEach((value, i) => assert.ok(Math.abs(value - data[i]!) < 1e-6));
});
