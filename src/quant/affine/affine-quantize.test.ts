import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CodeBits, packedBytes } from "../../graph/ops/products/unpack-codes.ts";
import { Random } from "../../random.ts";
import type { AffineWeight } from "./affine.ts";
import { type ScaleStart, quantizeAffine, quantizedFormat } from "./affine-quantize.ts";
import { roundHalfEven } from "./clip-search.ts";
import { packRow } from "../codes/pack-codes.ts";

/** Weights of a normal distribution, with an outlier in each eighth row. */
function weights(numRows: number, numColumns: number, seed = 1): Float32Array {
  const random = new Random(seed);
  return new Float32Array(numRows * numColumns).map((_, i) =>
    i % (8 * numColumns) === 5 ? 6 : random.normal(),
  );
}

/** Codes of a packed weight, one by one. */
function codesOf({ codes }: AffineWeight, bits: CodeBits, numColumns: number): number[] {
  const rowBytes = packedBytes(bits, numColumns);
  return Array.from({ length: codes.shape[0]! * numColumns }, (_, i) => {
    const [row, column] = [Math.floor(i / numColumns), i % numColumns];
    return Array.from({ length: bits }, (_unused, bit) => {
      const at = column * bits + bit;
      return ((codes.data[row * rowBytes + (at >> 3)]! >> (at & 7)) & 1) << bit;
    }).reduce((sum, value) => sum + value, 0);
  });
}

/** The squared error of each group. */
function errorsOf(
  values: Float32Array,
  made: AffineWeight,
  bits: CodeBits,
  numColumns: number,
  groupSize: number,
): number[] {
  const errors = made.scale.data.length;
  const sums = Array.from({ length: errors }, () => 0);
  for (const [i, code] of codesOf(made, bits, numColumns).entries()) {
    const group = Math.floor(i / groupSize);
    sums[group]! += (made.scale.data[group]! * (code - made.zero!.data[group]!) - values[i]!) ** 2;
  }
  return sums;
}

/** The best of all 80 ranges, every one computed whole. */
function exhaustiveScale(group: readonly number[], bits: number): number {
  const largest = 2 ** bits - 1;
  const low = Math.min(0, ...group);
  const full = (Math.max(0, ...group) - low) / largest;
  const zero = roundHalfEven(-low / full);
  const tried = Array.from({ length: 80 }, (_, i) => {
    const scale = Math.fround((1 - i / 100) * full);
    const error = group.reduce((sum, value) => {
      const code = Math.min(largest, Math.max(0, roundHalfEven(value / scale) + zero));
      return sum + (scale * (code - zero) - value) ** 2;
    }, 0);
    return { scale, error };
  });
  return tried.reduce((best, next) => (next.error < best.error ? next : best)).scale;
}

describe("quantizeAffine()", () => {
  for (const bits of [2, 3, 4, 8] as const) {
    for (const groupSize of [16, 96]) {
      const options = { bits, groupSize };
      const values = weights(16, 96);

      test(`${bits} bits, groups of ${groupSize}: the search finds the best of all ranges`, () => {
        const { scale } = quantizeAffine(values, [16, 96], { ...options, start: "clip" });
        for (let group = 0; group < scale.data.length; group++) {
          const own = values.subarray(group * groupSize, (group + 1) * groupSize);
          assert.equal(scale.data[group], exhaustiveScale([...own], bits), `group ${group}`);
        }
      });

      test(`${bits} bits, groups of ${groupSize}: no weight inside the range is half a step off`, () => {
        const made = quantizeAffine(values, [16, 96], { ...options, start: "rtn" });
        for (const [i, code] of codesOf(made, bits, 96).entries()) {
          const group = Math.floor(i / groupSize);
          const scale = made.scale.data[group]!;
          const apart = Math.abs(scale * (code - made.zero!.data[group]!) - values[i]!);
          // The zero is rounded too, so the far end may lie half a step outside.
          const isEnd = code === 0 || code === 2 ** bits - 1;
          assert.ok(apart <= scale * (isEnd ? 1 : 0.5) * (1 + 1e-6), `${i}: ${apart / scale} steps`);
        }
      });

      test(`${bits} bits, groups of ${groupSize}: shapes are those of the format`, () => {
        const made = quantizeAffine(values, [16, 96], { ...options, start: "rtn" });
        const format = quantizedFormat(options);
        assert.deepEqual(made.codes.shape, [16, packedBytes(bits, 96)]);
        assert.deepEqual(made.scale.shape, [16, 96 / groupSize]);
        assert.deepEqual(made.zero?.shape, made.scale.shape);
        assert.deepEqual([made.codes.dtype, made.zero?.dtype], [format.codes, format.zero]);
      });
    }
  }

  test("searching leaves a smaller error in every group, and much less of it with few bits", () => {
    const values = weights(64, 512, 3);
    const total = (bits: CodeBits, start: ScaleStart): number[] =>
      errorsOf(values, quantizeAffine(values, [64, 512], { bits, groupSize: 512, start }), bits, 512, 512);
    for (const [bits, most] of [
      [2, 0.6],
      [3, 0.75],
      [4, 0.9],
    ] as const) {
      const [searched, whole] = [total(bits, "clip"), total(bits, "rtn")];
      for (const [group, error] of searched.entries()) assert.ok(error <= whole[group]!, `group ${group}`);
      const ratio = sum(searched) / sum(whole);
      assert.ok(ratio < most, `${bits} bits: ${ratio} of the error`);
    }
  });

  test("of normal weights the search takes off more than the best scales for codes of the whole range do", () => {
    const [numRows, numColumns] = [64, 512];
    const random = new Random(7);
    const values = new Float32Array(numRows * numColumns).map(() => random.normal());
    const size = Math.hypot(...values);
    for (const [bits, ofRange, refitted, searched] of [
      [2, 0.587, 0.514, 0.382],
      [3, 0.252, 0.244, 0.197],
      [4, 0.117, 0.116, 0.104],
    ] as const) {
      const makeBy = (start: ScaleStart): AffineWeight =>
        quantizeAffine(values, [numRows, numColumns], { bits, groupSize: numColumns, start });
      const errorOf = (made: AffineWeight): number =>
        Math.sqrt(sum(errorsOf(values, made, bits, numColumns, numColumns))) / size;
      const whole = makeBy("rtn");
      assertNear(errorOf(whole), ofRange);
      assertNear(errorOf(refit(values, whole, bits, numColumns)), refitted);
      assertNear(errorOf(makeBy("clip")), searched);
    }
  });

  test("a group of zeros, or of what float32 cannot divide, has scale 1 and no codes but 0", () => {
    const values = new Float32Array(16);
    values[9] = 1e-45;
    const made = quantizeAffine(values, [2, 8], { bits: 4, groupSize: 8, start: "clip" });
    assert.deepEqual([...made.scale.data], [1, 1]);
    assert.ok(made.codes.data.every((pair) => pair === 0));
    assert.deepEqual([...made.zero!.data], [0, 0]);
  });

  test("groups that do not divide the columns are refused", () => {
    assert.throws(
      () => quantizeAffine(new Float32Array(8), [1, 8], { bits: 4, groupSize: 3, start: "rtn" }),
      /8 columns in groups of 3/,
    );
  });
});

test("packRow() writes the lowest bits first, and whole bytes", () => {
  const codes = Uint8Array.of(1, 2, 3, 4, 5);
  const packed = (bits: CodeBits): number[] => {
    const into = new Uint8Array(1 + packedBytes(bits, codes.length)).fill(0xff);
    packRow(codes, bits, into, 1);
    return [...into];
  };
  // 5 codes of 3 bits from the right: 101 100 011 010 001.
  assert.deepEqual(packed(3), [0xff, 0b11_010_001, 0b0101_1000]);
  assert.deepEqual(packed(4), [0xff, 0x21, 0x43, 0x05]);
  assert.deepEqual(packed(8), [0xff, ...codes]);
});

test("roundHalfEven() gives halves to the even neighbour", () => {
  assert.deepEqual(
    [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.49].map(roundHalfEven).map((v) => v + 0),
    [-2, -2, 0, 0, 2, 2, 3],
  );
});

/** The same codes with the scale of each row that has the least squared error. */
function refit(values: Float32Array, made: AffineWeight, bits: CodeBits, numColumns: number): AffineWeight {
  const codes = codesOf(made, bits, numColumns);
  const fit = made.scale.data.map((_, row) => {
    let [product, square] = [0, 0];
    for (let i = row * numColumns; i < (row + 1) * numColumns; i++) {
      const centred = codes[i]! - made.zero!.data[row]!;
      product += centred * values[i]!;
      square += centred * centred;
    }
    return product / square;
  });
  return { ...made, scale: { ...made.scale, data: fit } };
}

/** Within what another draw of as many weights changes. */
function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual / expected - 1) < 0.02, `${actual}, expected ${expected}`);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
