import assert from "node:assert/strict";
import { test } from "node:test";

import { temporaryFolder, writeTinyModel } from "../../test/tiny-model.ts";
import { openServingModel } from "./serving-model.ts";

const path = await writeTinyModel(temporaryFolder());

test("texts and trainings begin with the factors that their arithmetic wants", async () => {
  for (const [compute, trainCompute] of [
    ["int8", "f32"],
    ["f32", "int8"],
  ] as const) {
    const model = await openServingModel(path, { compute, trainCompute, cacheBytes: 1e6, threads: 1 });
    const sizes = [model.engine.session, model.trainingSession].map(({ smoothing }) => smoothing.size > 0);
    await model.close();
    assert.deepEqual(sizes, [compute === "int8", trainCompute === "int8"]);
  }
});
