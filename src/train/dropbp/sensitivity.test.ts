/** @file What definitions of sensitivity read of gradients, and how much memory they take for it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PartedVector } from "../../runtime/memory/parted-vector.ts";
import { RESIDENT } from "../../runtime/memory/vector-memory.ts";
import { SENSITIVITIES } from "./sensitivity.ts";

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
  const { name, keepsAll } = sensitivity;
  test(`${name}: sums are right, and no more is copied than is planned`, async () => {
    const [whole, other] = [await gradients(NUMBERS), await gradients([0, 0, 1, 0, 7])];
    let copied = 0;
    for (const { values } of [whole, other]) {
      const copy = values.read.bind(values);
      values.read = (from, to) => {
        copied += (to ?? values.length) - (from ?? 0);
        return copy(from, to);
      };
    }
    const kept = await sensitivity.read(whole.groups);
    const distance = await sensitivity.distance(kept, other.groups);
    // Norms 5, √5 and 0 beside 0, 1 and 0.
    const expected = { norm: 25 + (Math.sqrt(5) - 1) ** 2, gradient: 9 + 16 + 0 + 4 }[name];
    assert.ok(Math.abs(distance - expected!) < 1e-12, `${distance}`);
    // What is absent is not read.
    assert.equal(copied, keepsAll ? NUMBERS.length - 1 : 0);
    assert.ok(!keepsAll || kept.every((vector) => vector instanceof Float32Array), "of twice the size");
  });
}
