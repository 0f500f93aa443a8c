import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Random } from "../../random.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { FactorPair } from "./contract.ts";
import { stack } from "./factors.ts";
import { truncate } from "./truncate.ts";

function randomPair(outFeatures: number, rank: number, inFeatures: number, seed: number): FactorPair {
  const random = new Random(seed);
  const draw = (shape: readonly [number, number]): FactorPair["up"] =>
    hostTensor(
      "float32",
      shape,
      new Float32Array(shape[0] * shape[1]).map(() => random.normal()),
    );
  return { down: draw([rank, inFeatures]), up: draw([outFeatures, rank]), scale: 0.5 + random.uniform() };
}

/** scale · up · down, [out, in]. */
function dense({ down, up, scale }: FactorPair): Float64Array {
  const [rank, inFeatures] = down.shape as [number, number];
  const outFeatures = up.shape[0]!;
  return Float64Array.from({ length: outFeatures * inFeatures }, (_, i) => {
    const [row, column] = [Math.floor(i / inFeatures), i % inFeatures];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += up.data[row * rank + r]! * down.data[r * inFeatures + column]!;
    return scale * sum;
  });
}

function squaredDistance(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
}

const size = fc.integer({ min: 1, max: 9 });
const seed = fc.nat(1000);

test("stack() is the weighted sum of the products, for any ranks and scales", () => {
  fc.assert(
    fc.property(size, size, size, size, seed, (outFeatures, inFeatures, r, q, from) => {
      const terms = [
        { weight: 0.7, of: randomPair(outFeatures, r, inFeatures, from) },
        { weight: -1.3, of: randomPair(outFeatures, q, inFeatures, from + 1) },
      ];
      const [a, b] = terms.map(({ of }) => dense(of)) as [Float64Array, Float64Array];
      const expected = a.map((value, i) => 0.7 * value - 1.3 * b[i]!);
      assert.ok(squaredDistance(dense(stack(terms)), expected) < 1e-10 * (1 + squaredDistance(expected, a)));
    }),
  );
});

test("truncate() lacks exactly the singular values that it cuts off, and less with every rank", () => {
  fc.assert(
    fc.property(size, size, size, seed, (outFeatures, inFeatures, r, from) => {
      const pair = randomPair(outFeatures, r, inFeatures, from);
      const whole = dense(pair);
      const total = squaredDistance(whole, new Float64Array(whole.length));
      let before = Infinity;
      for (let rank = 1; rank <= Math.min(outFeatures, inFeatures, r); rank++) {
        const { pair: cut, totalSquared, lostSquared } = truncate(pair, rank);
        assert.deepEqual(cut.down.shape, [rank, inFeatures]);
        assert.deepEqual(cut.up.shape, [outFeatures, rank]);
        assert.ok(Math.abs(totalSquared - total) < 1e-5 * total);
        assert.ok(Math.abs(squaredDistance(dense(cut), whole) - lostSquared) < 1e-5 * total);
        assert.ok(lostSquared <= before);
        before = lostSquared;
      }
      assert.ok(before < 1e-9 * total);
    }),
  );
});

test("truncate() of nothing is nothing, and asks for no more rank than there is", () => {
  const pair = randomPair(6, 2, 5, 1);
  const none = truncate({ ...pair, scale: 0 }, 1);
  assert.ok(dense(none.pair).every((value) => value === 0));
  assert.equal(none.lostSquared, 0);
  assert.deepEqual(truncate(pair, 100).pair.down.shape, [2, 5]);
});

test("truncate() finds the known singular values of a diagonal product", () => {
  const diagonal = (values: readonly number[]): FactorPair["up"] =>
    hostTensor(
      "float32",
      [3, 3],
      Float32Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? values[i / 4]! : 0)),
    );
  const { lostSquared, totalSquared } = truncate(
    { down: diagonal([1, 1, 1]), up: diagonal([2, 5, 3]), scale: 2 },
    1,
  );
  assert.ok(Math.abs(totalSquared - 4 * (4 + 25 + 9)) < 1e-9);
  assert.ok(Math.abs(lostSquared - 4 * (4 + 9)) < 1e-9);
});
