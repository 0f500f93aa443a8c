/** @file Factors of a matrix whose rows lie in two tensors of a GGUF file: each has its own there. */
import { assertInternal } from "../errors.ts";
import { dimsOf, sameShape } from "../graph/shape.ts";
import type { FactorPair } from "../peft/algebra/contract.ts";
import { hostTensor, zeros } from "../runtime/host-tensor.ts";

/** What each half has: A as it is, and its rows of B. */
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
 * Factors of the whole of those of its halves, of which one may be missing: B above B where both have the same A, else one pair
 * behind the other, with zeros beside.
 */
export function joinFactors(first: FactorPair | undefined, second: FactorPair | undefined): FactorPair {
  const known = first ?? second;
  assertInternal(known !== undefined, "no half");
  const none = { ...known, up: zeros("float32", known.up.shape) };
  const [upper, lower] = [first ?? none, second ?? none];
  const isOne = upper.scale === lower.scale && isSame(upper, lower);
  const [[upperRows, upperRank], [lowerRows, lowerRank]] = [
    dimsOf(upper.up.shape, 2),
    dimsOf(lower.up.shape, 2),
  ];
  const rank = isOne ? upperRank : upperRank + lowerRank;
  const up = new Float32Array((upperRows + lowerRows) * rank);
  for (let row = 0; row < upperRows; row++) {
    up.set(rowOf(upper, row, isOne), row * rank);
  }
  for (let row = 0; row < lowerRows; row++) {
    up.set(rowOf(lower, row, isOne), (upperRows + row) * rank + (isOne ? 0 : upperRank));
  }
  const ups = hostTensor("float32", [upperRows + lowerRows, rank], up);
  if (isOne) return { down: upper.down, up: ups, scale: upper.scale };
  const inFeatures = upper.down.shape[1]!;
  const down = new Float32Array(rank * inFeatures);
  down.set(upper.down.data);
  down.set(lower.down.data, upperRank * inFeatures);
  return { down: hostTensor("float32", [rank, inFeatures], down), up: ups, scale: 1 };
}

/** A row of B, with its scale unless both have one. */
function rowOf({ up: { shape, data }, scale }: FactorPair, row: number, isOne: boolean): Float32Array {
  const rank = shape[1]!;
  const found = data.subarray(row * rank, (row + 1) * rank);
  return isOne ? found : found.map((value) => value * scale);
}

function isSame({ down: first }: FactorPair, { down: second }: FactorPair): boolean {
  return sameShape(first.shape, second.shape) && first.data.every((value, i) => value === second.data[i]);
}
