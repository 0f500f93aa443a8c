import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { chooseBranches } from "./draw-branches.ts";

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
