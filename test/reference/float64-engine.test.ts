import { describe, test } from "node:test";
import { toBatch } from "../../src/data/batches/batch.ts";
import { FAMILIES } from "../../src/models/families.ts";
import { full } from "../../src/peft/methods/full.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertGradientsNear } from "../matrix/nearness.ts";
import { sampled } from "../matrix/sampled.ts";
import { attachTo, examplesFor, lossAndGradients } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { float64Engine } from "./float64-engine.ts";

const engine = createEngine({ threads: 1 });
const folder = temporaryFolder();
/** Experts, a memory, parts that layers give each other. */
const SAMPLE = ["llama", "gemma4", "gpt_oss", "qwen3_5_moe_text"];

for (const { modelType } of sampled(FAMILIES, (family) => SAMPLE.includes(family.modelType))) {
  describe(`whole passes of ${modelType} in float64`, async () => {
    const { base } = await openUntilEnd(await writeTinyModel(`${folder}/${modelType}`, { modelType }));
    if (base.model.image !== null) return;
    const adapter = await attachTo(base, full);
    const examples = examplesFor(base.model, [8, 5, 6, 3]);
    const [a, b, c, d] = examples.map((example) => [example]);
    const apart = await lossAndGradients(float64Engine(), base, adapter, [toBatch([a!, b!, c!, d!], 11)]);

    test("packed rows have the gradients of rows of their own, to the last bits", async () => {
      const rows = [
        [...c!, ...a!],
        [...d!, ...b!],
      ];
      const packed = await lossAndGradients(float64Engine(), base, adapter, [toBatch(rows)]);
      assertGradientsNear(packed.gradients, apart.gradients, 2e-7);
    });

    test("those in float32 are as near as rounding lets them", async () => {
      const { gradients } = await lossAndGradients(engine, base, adapter, [toBatch([a!, b!, c!, d!])]);
      assertGradientsNear(gradients, apart.gradients);
    });
  });
}
