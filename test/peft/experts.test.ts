/** @file Experts beside other projections: dropout of their inputs, and what a token costs in the experts that it meets. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeExample } from "../../src/data/examples/example.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import { PLAIN_PART } from "../../src/models/graphs/part-options.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { branchesOf } from "../../src/train/dropbp/branch-list.ts";
import {
  attachTo,
  evaluatedLoss,
  logitsOf,
  lossAndGradients,
  openPasses,
  perturb,
  randomExamples,
  unpacked,
} from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { assertSlopes } from "../reference/slopes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const folder = temporaryFolder();
const engine = sharePrograms(createEngine({ threads: 1 }));
const examples = randomExamples([9, 5]);
const batch = unpacked(examples);

for (const modelType of ["qwen3_moe", "olmoe", "lfm2_moe"]) {
  describe(`experts of ${modelType}`, async () => {
    const { base } = await openUntilEnd(await writeTinyModel(`${folder}/${modelType}`, { modelType }));
    const layer = base.model.layers.length - 1;
    const { num_experts: numExperts, num_experts_per_tok: numChosen } = base.model.settings as Record<
      string,
      number
    >;

    for (const name of ["lora", "dora", "vera"]) {
      test(`dropped inputs of ${name} are the same forward and backward, and whole in evaluation`, async () => {
        // Of the last block, behind which no router chooses: a choice that changes is a jump of the loss.
        const modules = `.*layers\\.${layer}\\..*experts.*`;
        const [adapter, plain] = [
          await attachTo(base, findMethod(name), { dropout: 0.5 }, modules),
          await attachTo(base, findMethod(name), {}, modules),
        ];
        for (const each of [adapter, plain]) perturb(each, 0.1);
        const passes = await openPasses(engine, base, adapter);
        const [first, again, second] = [
          await passes.lossAndGradients([batch], 0),
          await passes.lossAndGradients([batch], 0),
          await passes.lossAndGradients([batch], 1),
        ];
        const recomputed = await lossAndGradients(engine, base, adapter, [batch], { recompute: true });
        assert.deepEqual(again, first);
        assert.notEqual(second.loss, first.loss);
        for (const [parameter, gradient] of first.gradients) {
          const other = recomputed.gradients.get(parameter)!;
          gradient.forEach((value, i) => assert.ok(Math.abs(value - other[i]!) < 1e-5, parameter));
        }
        // An expert that no token chose has a gradient of zeros. DoRA takes the norm as a constant.
        const moved = adapter.parameters.filter((p) =>
          first.gradients.get(p.name)!.some((value) => value !== 0),
        );
        assert.ok(moved.length > adapter.parameters.length / 4);
        const checked = name === "dora" ? moved.filter((p) => p.name.includes("magnitude")) : moved;
        await assertSlopes(checked.slice(0, 6), first.gradients, () => passes.loss(batch, 0), 0.02);
        await passes.release();
        const whole = await evaluatedLoss(engine, base, adapter, examples);
        assert.equal(whole, await evaluatedLoss(engine, base, plain, examples));
      });
    }

    test("write text with a method that turns round what an expert reads", async () => {
      const adapter = await attachTo(base, findMethod("peqa"));
      perturb(adapter, 0.002);
      const session = new Session(engine, base);
      const generator = await Generator.create({ session, adapter });
      const promptIds = [5, 100, 7, 30];
      const seen: Float32Array[] = [];
      const onLogits = (logits: Float32Array): void => void seen.push(logits.slice());
      await generator.complete({ promptIds, maxNewTokens: 1, onLogits });
      await session.release();
      const prompt = makeExample(promptIds, () => true, { file: "prompt", line: 1 });
      const whole = await logitsOf(engine, base, adapter, unpacked([prompt]));
      const expected = whole.subarray(whole.length - seen[0]!.length);
      seen[0]!.forEach((logit, i) => assert.ok(Math.abs(logit - expected[i]!) < 5e-5, `logit ${i}`));
    });

    test("draw one mask for each projection, of as many rows as all experts together have", async () => {
      const adapter = await attachTo(base, findMethod("lora"), { dropout: 0.5 }, ".*experts.*");
      const projector = adapter.projector(layer);
      const { part } = base.model.buildBlock(layer, { ...PLAIN_PART, projector, training: true });
      const shapes = part.dropout.map(({ mask }) => mask.shape);
      const { hidden_size: width, moe_intermediate_size: F, intermediate_size } = base.model.settings;
      const rows = `${numChosen}*B*T`;
      assert.deepEqual(shapes, [
        [rows, width],
        [rows, width],
        [rows, F ?? intermediate_size],
      ]);
      const masks = new Set(part.dropout.map(({ mask }) => mask.name));
      assert.equal(masks.size, 3);
    });

    test("drop what is added to a token by one number for each projection that reads it", async () => {
      const adapter = await attachTo(base, findMethod("snell"), { dropPath: 0.5 }, ".*experts.*");
      const projector = adapter.projector(layer);
      const { part } = base.model.buildBlock(layer, { ...PLAIN_PART, projector, training: true });
      assert.deepEqual(
        part.dropout.map(({ mask, unit }) => [unit, mask.shape]),
        Array.from({ length: 3 }, () => ["row", [`${numChosen}*B*T`, 1]]),
      );
    });

    test("cost a token what it meets of them", () => {
      const branch = branchesOf(base.model, 16).find((one) => one.layer === layer && one.name === "mlp");
      const { sites } = base.model.layers[layer]!;
      const sizeOf = (isChosen: (name: string) => boolean): number =>
        sites
          .filter(({ name }) => isChosen(name))
          .reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, 0);
      const [ofAll, router] = [
        sizeOf((name) => name.includes(".experts.")),
        sizeOf((name) => name.endsWith(".gate")),
      ];
      assert.equal(branch?.flops, router + (ofAll * numChosen!) / numExperts!);
      assert.ok(ofAll > 0 && router > 0 && numChosen! < numExperts!);
    });
  });
}
