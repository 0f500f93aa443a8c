import assert from "node:assert/strict";
import { after, test } from "node:test";
import { findMethod } from "../peft/methods.ts";
import { Session } from "../run/session.ts";
import { loadModel } from "../format/by-path.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { attachTo, perturb, randomExamples } from "../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { Evaluator } from "./evaluate.ts";
import { estimateFisher } from "./fisher.ts";

const { base, checkpoint } = await loadModel(await writeTinyModel(`${temporaryFolder()}/model`));
const session = new Session(createEngine({ threads: 1 }), base);
after(async () => {
  await session.release();
  await checkpoint.close();
});

for (const [name, options] of [
  ["lora", { rank: 2, dropout: 0.5 }],
  ["ia3", {}],
] as const) {
  test(`estimateFisher() of ${name} is the mean square of each example's slope, without dropout`, async () => {
    const adapter = await attachTo(base, findMethod(name), options);
    perturb(adapter, 0.05);
    const units = randomExamples([9, 14, 6]);
    const seen: number[] = [];
    const fisher = await estimateFisher(session, adapter, units, (numDone) => seen.push(numDone));
    assert.deepEqual(seen, [1, 2, 3]);
    assert.deepEqual(
      [...fisher.keys()],
      adapter.parameters.filter((p) => fisher.has(p)),
    );
    assert.equal(fisher.size, adapter.parameters.length);

    const evaluator = await Evaluator.create(session, adapter);
    /** Of each example, the sum over its labels. */
    const logLikelihoods = async (): Promise<number[]> => {
      const found: number[] = [];
      for (const unit of units) {
        const { loss, tokens } = await evaluator.evaluate([unit]);
        found.push(-loss * tokens);
      }
      return found;
    };
    for (const [{ name: tensor, value }, values] of [...fisher].slice(0, 6)) {
      // The largest: the others drown in rounding.
      const largest = values.indexOf(Math.max(...values));
      const own = value.data[largest]!;
      const step = 1e-3;
      value.data[largest] = own + step;
      const above = await logLikelihoods();
      value.data[largest] = own - step;
      const below = await logLikelihoods();
      value.data[largest] = own;
      const slopes = above.map((value, i) => (value - below[i]!) / (2 * step));
      const expected = slopes.reduce((sum, slope) => sum + slope ** 2, 0) / units.length;
      assert.ok(
        Math.abs(values[largest]! / expected - 1) < 0.02,
        `${tensor}[${largest}]: ${values[largest]}, slopes ${slopes.join(", ")}`,
      );
    }
  });
}

test("estimateFisher() refuses to estimate on nothing", async () => {
  const adapter = await attachTo(base, findMethod("ia3"));
  await assert.rejects(estimateFisher(session, adapter, []), { code: "usage/data", message: /no example/ });
});
