/** @file Factors of a matrix whose rows are split between two tensors of a GGUF file, each with its own factors. */
import { assertInternal } from "../errors.ts";
import { dimsOf, sameShape, sizeAt } from "../graph/shape.ts";
import type { FactorPair } from "../peft/algebra/contract.ts";
import { stack } from "../peft/algebra/factors.ts";
import { hostTensor, zeros } from "../runtime/host-tensor.ts";

/** Splits factors for both halves: each gets A, and its rows of B. */
export function splitFactors({ down, up, scale }: FactorPair): [FactorPair, FactorPair] {
  const [numRows, rank] = dimsOf(up.shape, 2);
  const size = up.data.length / 2;
  const of = (half: 0 | 1): FactorPair => ({
    down,
    up: hostTensor("float32", [numRows / 2, rank], up.data.subarray(half * size, (half + 1) * size)),
    scale,
  });
  return [of(0), of(1)];
}

/**
 * Joins the factors of both halves, of which one may be missing. With the same A, one B is put above the other; otherwise the
 * pairs are concatenated, each with zeros for the rows of the other half.
 */
export function joinFactors(first: FactorPair | undefined, second: FactorPair | undefined): FactorPair {
  const known = first ?? second;
  assertInternal(known !== undefined, "no half");
  const none = { ...known, up: zeros("float32", known.up.shape) };
  const [upper, lower] = [first ?? none, second ?? none];
  if (upper.scale === lower.scale && isSame(upper, lower)) return { ...upper, up: above(upper.up, lower.up) };
  const [numUpper, upperRank] = dimsOf(upper.up.shape, 2);
  const [numLower, lowerRank] = dimsOf(lower.up.shape, 2);
  const upperAlone = { ...upper, up: above(upper.up, zeros("float32", [numLower, upperRank])) };
  const lowerAlone = { ...lower, up: above(zeros("float32", [numUpper, lowerRank]), lower.up) };
  return stack([upperAlone, lowerAlone].map((of) => ({ weight: 1, of })));
}

/** Puts the rows of one matrix above those of another. */
function above(upper: FactorPair["up"], lower: FactorPair["up"]): FactorPair["up"] {
  const [numUpper, rank] = dimsOf(upper.shape, 2);
  const rows = zeros("float32", [numUpper + sizeAt(lower.shape, 0), rank]);
  rows.data.set(upper.data);
  rows.data.set(lower.data, upper.data.length);
  return rows;
}

function isSame({ down: first }: FactorPair, { down: second }: FactorPair): boolean {
  return sameShape(first.shape, second.shape) && first.data.every((value, i) => value === second.data[i]);
}
