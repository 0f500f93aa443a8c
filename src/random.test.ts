/** @file Numbers of their own for integers: never 0 and never 1, which a draw would take for certain; and streams of a seed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random, STREAM } from "./random.ts";

/** Undoes the finalizer of MurmurHash3. */
function unmix(z: number): number {
  z ^= z >>> 16;
  z = Math.imul(z, 0x7ed1b41d);
  z ^= (z >>> 13) ^ (z >>> 26);
  z = Math.imul(z, 0xa5cb9243);
  return z ^ (z >>> 16);
}

test("the integers with the least and the greatest number have ones between 0 and 1", () => {
  const seeds = [1, 2, 3];
  for (const seed of seeds) {
    const keys = new Random(seed);
    const [first, second] = [keys.uint32(), keys.uint32()];
    const indexOf = (mixed: number): number => unmix(unmix(mixed) ^ second) ^ first;
    const uniformOf = new Random(seed).uniforms();
    const [least, greatest] = [uniformOf(indexOf(0)), uniformOf(indexOf(-1))];
    assert.ok(least > 0 && least < 1e-9, `${least}`);
    assert.ok(greatest < 1 && greatest > 1 - 1e-9, `${greatest}`);
  }
});

test("what is drawn of a run's seed has streams of its own", () => {
  const numbers = Object.values(STREAM);
  assert.equal(new Set<number>(numbers).size, numbers.length);
});
