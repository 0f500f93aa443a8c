import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { allocateRates } from "./allocate-rates.ts";

/** Branches with few unlike sensitivities, so that many are equal, and a target in hundredths. */
const PROBLEM = fc.record({
  branches: fc.array(fc.record({ sensitivity: fc.nat(5), flops: fc.integer({ min: 1, max: 1000 }) }), {
    minLength: 1,
    maxLength: 20,
  }),
  hundredths: fc.integer({ min: 0, max: 90 }),
});

test("rates leave out the target and no more than it needs, the least sensitive branches first, of equals the later", () => {
  fc.assert(
    fc.property(PROBLEM, ({ branches, hundredths }) => {
      const sensitivities = branches.map(({ sensitivity }) => sensitivity);
      const flops = branches.map((branch) => branch.flops);
      const tenths = allocateRates({ sensitivities, flops }, hundredths / 100);
      const [open, raised] = [tenths.map((count) => count < 9), tenths.map((count) => count > 0)];
      // Whole numbers: a tenth of a hundredth of the multiplications.
      const total = flops.reduce((sum, cost) => sum + cost, 0);
      const kept = 100 * flops.reduce((sum, cost, i) => sum + cost * (10 - tenths[i]!), 0);
      const wanted = 10 * (100 - hundredths) * total;
      const step = 100 * Math.max(...flops.map((cost, i) => (raised[i] ? cost : 0)), 0);

      assert.ok(tenths.every((count) => Number.isInteger(count) && count >= 0 && count <= 9));
      assert.ok(kept <= wanted || !open.includes(true), `${kept} kept, ${wanted} wanted`);
      // What may be kept is a whole number of multiplications, in float64 one less now and then.
      assert.ok(kept > wanted - step - 2 * 1000 || step === 0, `${kept} kept, ${wanted} wanted`);
      for (const [i, a] of sensitivities.entries()) {
        for (const [j, b] of sensitivities.entries()) {
          if (a < b || (a === b && i > j)) assert.ok(tenths[i]! >= tenths[j]!, `${i} before ${j}`);
          if (raised[i] && open[j]) assert.ok(a * tenths[i]! <= b * (tenths[j]! + 1), `${i} raised for ${j}`);
        }
      }
    }),
  );
});
