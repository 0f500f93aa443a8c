/** @file Products of one input are joined, and attention reads them as one where they are queries, keys and values alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { COMPUTE_NAMES } from "../../nn/computes.ts";
import { openTextModel } from "../open-text-model.ts";

const folder = temporaryFolder();
/** Heads of 16, which ONNX Runtime's attention takes in one projection. */
const SIZES = { hidden_size: 64, intermediate_size: 96 };

for (const [modelType, config, joined] of [
  ["llama", SIZES, "queries, keys and values"],
  ["cohere", { ...SIZES, use_qk_norm: false }, "these and the first products of the feed-forward part"],
] as const) {
  test(`${modelType}, of which one product is ${joined}, writes from few bits by every arithmetic`, async () => {
    const path = await writeTinyModel(join(folder, modelType), { modelType, config });
    for (const compute of COMPUTE_NAMES) {
      const model = await openTextModel(path, { base: "q8_0", compute });
      const { ids } = await model.write([5, 17, 42], { maxNewTokens: 3 });
      assert.ok(ids.length > 0, compute);
      await model.close();
    }
  });
}
