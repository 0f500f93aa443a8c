import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { allocateRates } from "./allocate-rates.ts";
import { chooseBranches, drawBranches } from "./draw-branches.ts";

const BRANCHES = fc.array(
  fc.record({
    rate: fc.integer({ min: 0, max: 9 }).map((tenths) => tenths / 10),
    uniform: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  }),
  { minLength: 1, maxLength: 30 },
);

test("what is drawn is out, and of the others those of the largest rates until the target is", () => {
  fc.assert(
    fc.property(BRANCHES, fc.integer({ min: 0, max: 90 }), (branches, hundredths) => {
      const rates = branches.map(({ rate }) => rate);
      const isDropped = chooseBranches(
        rates,
        hundredths / 100,
        branches.map(({ uniform }) => uniform),
      );
      const count = isDropped.filter(Boolean).length;
      const forced = branches.filter(({ rate, uniform }, i) => isDropped[i] && uniform >= rate);
      const kept = branches.filter((_, i) => !isDropped[i]);

      assert.ok(branches.every(({ rate, uniform }, i) => uniform >= rate || isDropped[i]));
      assert.ok(100 * count >= hundredths * branches.length);
      assert.ok(forced.length === 0 || 100 * (count - 1) < hundredths * branches.length);
      for (const { rate } of forced) assert.ok(kept.every((other) => other.rate <= rate));
    }),
  );
});

test("in the mean as much of the backward pass is out as was asked for, or more, though branches are counted", () => {
  const flops = Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? 100 : 270));
  const sensitivities = flops.map((_, i) => 1 + ((7 * i) % 24));
  const total = flops.reduce((sum, cost) => sum + cost, 0);
  for (const target of [0.25, 0.5, 0.75, 0.875]) {
    const rates = allocateRates({ sensitivities, flops }, target).map((tenths) => tenths / 10);
    const numDraws = 2000;
    let [left, numDropped] = [0, 0];
    for (let step = 0; step < numDraws; step++) {
      const isDropped = drawBranches(rates, target, 5, { step, micro: 0 });
      left += flops.reduce((sum, cost, i) => sum + (isDropped[i] ? cost : 0), 0);
      numDropped += isDropped.filter(Boolean).length;
    }
    const [share, shareOfBranches] = [left / (numDraws * total), numDropped / (numDraws * flops.length)];
    assert.ok(share > target && share < target + 0.1, `${share} of ${target}`);
    assert.ok(shareOfBranches >= target, `${shareOfBranches} of ${target}`);
  }
});
