import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomTensor } from "../../../test/tiny/random-blocks.ts";
import { Random } from "../../random.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { AffineKind, AffineWeight } from "./affine.ts";
import { dequantize, packStored, type StoredTensor, unpackStored } from "../stored-tensor.ts";
import { GGML_NAMES, type StorageName, STORAGES } from "../storages.ts";

const SHAPE = [3, 512] as const;
const [NUM_ROWS, NUM_COLUMNS] = SHAPE;

const KINDS = GGML_NAMES.flatMap((name) => {
  const { affine } = STORAGES[name];
  return affine === "not-affine" || affine.format.factor === null ? [] : [[name, affine] as const];
});

function stored(name: StorageName): StoredTensor {
  const { bytes } = randomTensor("t", name, SHAPE, 0.1, new Random(2));
  return unpackStored(name, bytes, SHAPE);
}

/** The two products of which each value is the difference: scale · factor · code and scale · zero. */
function partsOf({ format }: AffineKind, weight: AffineWeight): (readonly [number, number])[] {
  const { groupSize, dtype } = format.factor!;
  assert.equal(weight.factor?.dtype, dtype);
  return Array.from({ length: NUM_ROWS * NUM_COLUMNS }, (_, i) => {
    const group = Math.floor(i / groupSize);
    const byte = weight.codes.data[format.bits === 4 ? i >> 1 : i]!;
    const code = format.bits === 4 ? (byte >> (4 * (i & 1))) & 15 : byte;
    const scale = weight.scale.data[Math.floor(i / 256)]!;
    return [scale * weight.factor!.data[group]! * code, scale * (weight.zero?.data[group] ?? 0)];
  });
}

const scaled = ({ scale }: AffineWeight, factor: number): AffineWeight["scale"] =>
  hostTensor(
    "float32",
    scale.shape,
    scale.data.map((value) => value * factor),
  );

test("all kinds of blocks in blocks are read so", () => {
  assert.deepEqual(
    KINDS.map(([name]) => name),
    ["q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs"],
  );
});

for (const [name, kind] of KINDS) {
  describe(`affine view of ${name}`, () => {
    test("has the values of the blocks", () => {
      const tensor = stored(name);
      const expected = dequantize(tensor);
      for (const [i, [up, down]] of partsOf(kind, kind.read(tensor.planes)).entries()) {
        // Zeros that are real numbers are rounded to float32.
        const tolerance = 2e-7 * (Math.abs(up) + Math.abs(down));
        assert.ok(
          Math.abs(up - down - expected[i]!) <= tolerance,
          `${i}: ${up - down}, expected ${expected[i]}`,
        );
      }
    });

    test("written back as it was read it is the same bytes", () => {
      const tensor = stored(name);
      const planes = kind.write(tensor.planes, kind.read(tensor.planes).scale, "w");
      assert.deepEqual(packStored({ ...tensor, planes }), packStored(tensor));
    });

    test("written with other scales it has their values, to 2^-11 of the products of which they are made", () => {
      const tensor = stored(name);
      const weight = kind.read(tensor.planes);
      const planes = kind.write(tensor.planes, scaled(weight, 1.3), "w");
      const found = dequantize({ ...tensor, planes });
      for (const [i, [up, down]] of partsOf(kind, weight).entries()) {
        const apart = Math.abs(found[i]! - 1.3 * (up - down));
        const size = 1.3 * (Math.abs(up) + Math.abs(down));
        // Random scales are small enough to be subnormal in float16, which keeps steps of 2^-24 of those.
        const least = 2 ** -25 * 64 * 256;
        assert.ok(apart <= size * 2 ** -11 + least, `${i}: ${found[i]}, ${apart} apart`);
      }
    });
  });
}

for (const name of ["q2_k", "q4_k", "q5_k"] as const) {
  test(`a ${name} block of scale 0 has its minima as values, and keeps its scale`, () => {
    const kind = STORAGES[name].affine as AffineKind;
    const tensor = stored(name);
    const zero = { ...tensor.planes["scale"]!, data: new Uint16Array(6) };
    const constant: StoredTensor = { ...tensor, planes: { ...tensor.planes, scale: zero } };
    const expected = dequantize(constant);
    assert.ok(expected.some((value) => value !== 0));
    const weight = kind.read(constant.planes);
    assert.deepEqual(
      partsOf(kind, weight).map(([up, down]) => up - down),
      [...expected],
    );
    const planes = kind.write(constant.planes, scaled(weight, 2), "w");
    assert.deepEqual(planes["scale"]!.data, zero.data);
    assert.deepEqual(
      dequantize({ ...constant, planes }),
      expected.map((value) => 2 * value),
    );
  });
}
