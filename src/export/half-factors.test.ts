import assert from "node:assert/strict";
import test from "node:test";
import { dimsOf } from "../graph/shape.ts";
import type { FactorPair } from "../peft/algebra/contract.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import { joinFactors, splitFactors } from "./half-factors.ts";

const IN = 3;

/** Factors of `numRows` rows with numbers that begin at one. */
function pairFrom(first: number, numRows: number, rank: number, scale: number): FactorPair {
  const counted = (length: number, from: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length }, (_, i) => from + i);
  return {
    down: hostTensor("float32", [rank, IN], counted(rank * IN, first)),
    up: hostTensor("float32", [numRows, rank], counted(numRows * rank, first + 100)),
    scale,
  };
}

/** scale · B · A, by rows. */
function changeOf({ down, up, scale }: FactorPair): number[] {
  const [numRows, rank] = dimsOf(up.shape, 2);
  return Array.from({ length: numRows * IN }, (_, at) => {
    let sum = 0;
    for (let r = 0; r < rank; r++) {
      sum += up.data[Math.floor(at / IN) * rank + r]! * down.data[r * IN + (at % IN)]!;
    }
    return scale * sum;
  });
}

test("what is split and joined again is the same pair", () => {
  const pair = pairFrom(1, 4, 2, 0.5);
  const halves = splitFactors(pair);
  assert.deepEqual(halves.flatMap(changeOf), changeOf(pair));
  assert.deepEqual(joinFactors(...halves), pair);
});

test("halves with factors of their own, of any rank and scale, change what each of them does", () => {
  const [first, second] = [pairFrom(1, 2, 2, 0.5), pairFrom(7, 2, 1, 4)];
  const joined = joinFactors(first, second);
  assert.deepEqual(
    [joined.down.shape, joined.up.shape],
    [
      [3, IN],
      [4, 3],
    ],
  );
  assert.deepEqual(changeOf(joined), [first, second].flatMap(changeOf));
});

test("a half without factors is not changed", () => {
  const pair = pairFrom(1, 2, 2, 0.5);
  const none = changeOf(pair).map(() => 0);
  assert.deepEqual(changeOf(joinFactors(pair, undefined)), [...changeOf(pair), ...none]);
  assert.deepEqual(changeOf(joinFactors(undefined, pair)), [...none, ...changeOf(pair)]);
});
