import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { Random } from "../../random.ts";
import { dareMix, dropRandom, magnitudeMix, pruneSmall, tiesMix, weightedSum } from "./mixing.ts";

const numbers = fc
  .array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 40 })
  .map((list) => Float64Array.from(list));
const density = fc.integer({ min: 1, max: 20 }).map((n) => n / 20);

describe("pruneSmall()", () => {
  test("keeps the largest, of equals the earlier, and cuts the count", () => {
    assert.deepEqual([...pruneSmall(Float64Array.of(1, -3, 2, 3, -1), 0.5)], [0, -3, 0, 3, 0]);
    assert.deepEqual([...pruneSmall(Float64Array.of(2, -2, 2), 0.67)], [2, -2, 0]);
    assert.deepEqual([...pruneSmall(Float64Array.of(1, 2, 3), 0.3)], [0, 0, 0]);
  });

  test("keeps ⌊density n⌋ entries as they are, none smaller than one that it drops", () => {
    fc.assert(
      fc.property(numbers, density, (tensor, share) => {
        const kept = pruneSmall(tensor, share);
        const [inside, outside]: [number[], number[]] = [[], []];
        tensor.forEach((value, i) =>
          (kept[i] === value && value !== 0 ? inside : outside).push(Math.abs(value)),
        );
        assert.ok(kept.every((value, i) => value === 0 || value === tensor[i]));
        assert.ok(inside.length <= Math.floor(share * tensor.length));
        assert.ok(Math.min(...inside) >= Math.max(0, ...outside) || inside.length === 0);
      }),
    );
  });
});

describe("dropRandom()", () => {
  test("keeps the mean and the share, the same for a seed", () => {
    const tensor = new Float64Array(20_000).fill(3);
    const kept = dropRandom(tensor, 0.3, new Random(1));
    assert.deepEqual(kept, dropRandom(tensor, 0.3, new Random(1)));
    assert.notDeepEqual(kept, dropRandom(tensor, 0.3, new Random(2)));
    assert.ok(kept.every((value) => value === 0 || Math.abs(value - 10) < 1e-12));
    const mean = kept.reduce((sum, value) => sum + value, 0) / kept.length;
    // Four deviations of the mean of draws of 10 with probability 0.3.
    assert.ok(Math.abs(mean - 3) < (4 * 10 * Math.sqrt(0.3 * 0.7)) / Math.sqrt(kept.length), `mean ${mean}`);
  });

  test("draws otherwise for each tensor and place", () => {
    const ones = [new Float64Array(64).fill(1), new Float64Array(64).fill(1)];
    const mix = dareMix(0.5, 7);
    assert.deepEqual(mix(ones, [1, 1], [0, 0]), mix(ones, [1, 1], [0, 0]));
    assert.notDeepEqual(mix(ones, [1, 1], [0, 0]), mix(ones, [1, 1], [0, 1]));
    assert.notDeepEqual(mix(ones, [1, 0], [0, 0]), mix(ones, [0, 1], [0, 0]));
  });
});

describe("tiesMix()", () => {
  const tensors = [
    Float64Array.of(4, -1, 2, 1),
    Float64Array.of(-1, -2, -2, 1),
    Float64Array.of(-1, 5, 0, 1),
  ];

  test("averages the values of the elected sign, by sum", () => {
    // Sums 2, 2, 0, 3: all plus; a tie is plus.
    assert.deepEqual([...tiesMix(1, "total")(tensors, [1, 1, 1], [])], [4, 5, 2, 1]);
  });

  test("averages the values of the elected sign, by count", () => {
    assert.deepEqual([...tiesMix(1, "frequency")(tensors, [1, 1, 1], [])], [-1, -1.5, 2, 1]);
  });

  test("elects before the weights are applied", () => {
    assert.deepEqual([...tiesMix(1, "total")(tensors, [-1, 0.5, 2], [])], [-4, 10, -2, 0.5]);
  });

  test("is the pruned adapter itself, where there is one", () => {
    fc.assert(
      fc.property(numbers, density, (tensor, share) => {
        assert.deepEqual(
          tiesMix(share, "total")([tensor], [1], []),
          pruneSmall(tensor, share).map((v) => v + 0),
        );
      }),
    );
  });
});

describe("sums", () => {
  test("weightedSum() and magnitudeMix() at density 1 are linear", () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: -9, max: 9 }), (tensor, w) => {
        const expected = tensor.map((value) => w * value + 2 * value);
        assert.deepEqual(
          weightedSum([tensor, tensor], [w, 2]),
          expected.map((v) => v + 0),
        );
        assert.deepEqual(
          magnitudeMix(1)([tensor, tensor], [w, 2], []),
          expected.map((v) => v + 0),
        );
      }),
    );
  });
});
