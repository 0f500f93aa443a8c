/** @file What definitions of sensitivity read of gradients, and how much memory they take for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PartedVector } from "../../runtime/memory/parted-vector.ts";
import { RESIDENT } from "../../runtime/memory/vector-memory.ts";
import { SENSITIVITIES, squaredDistance } from "./sensitivity.ts";

const NUMBERS = [3, 4, 1, 2, 2];
/** Gradients of three parameters in parts of two numbers, the last parameter without one. */
async function gradients(numbers: readonly number[]) {
  const values = new PartedVector(RESIDENT, { name: "gradients" }, numbers.length, [2, 4, 5]);
  await values.write(Float32Array.from(numbers));
  const parameters = [
    { offset: 0, length: 2 },
    { offset: 2, length: 2 },
    { offset: 4, length: 1 },
  ];
  return { values, groups: [{ group: { parameters }, values, present: [true, true, false] }] };
}

for (const sensitivity of SENSITIVITIES) {
  const { name, numCopies } = sensitivity;
  test(`${name}: sums are right, and of gradients there are as many copies as are planned`, async () => {
    const [whole, other] = [await gradients(NUMBERS), await gradients([0, 0, 1, 0, 7])];
    let copied = 0;
    for (const { values } of [whole, other]) {
      const copy = values.read.bind(values);
      values.read = (from, to) => {
        copied += (to ?? values.length) - (from ?? 0);
        return copy(from, to);
      };
    }
    const distance = squaredDistance(
      await sensitivity.read(whole.groups),
      await sensitivity.read(other.groups),
    );
    // Norms 5, √5 and 0 beside 0, 1 and 0.
    const expected = { norm: 25 + (Math.sqrt(5) - 1) ** 2, gradient: 9 + 16 + 0 + 4 }[name];
    assert.ok(Math.abs(distance - (expected as number)) < 1e-12, `${distance}`);
    // What is absent is not read.
    assert.equal(copied, numCopies * (NUMBERS.length - 1));
    for (const vector of await sensitivity.read(whole.groups))
      assert.ok(numCopies === 0 || vector instanceof Float32Array, "no numbers of twice the size");
  });
}
