import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { UsageError } from "../../errors.ts";
import { packedBytes } from "../../graph/ops/products/unpack-codes.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { AffineFormat, AffineKind, AffineWeight } from "./affine.ts";
import { plane } from "../planes.ts";
import type { Storage } from "../storage.ts";
import { STORAGE_NAMES, type StorageName, STORAGES } from "../storages.ts";
import { type StoredTensor, dequantize, packStored, unpackStored } from "../stored-tensor.ts";

const edges = JSON.parse(
  readFileSync(new URL("../../../test/golden/data/ggml/edges.json", import.meta.url), "utf8"),
) as { rows: string[]; shape: number[]; raw: Record<StorageName, string> };

const KINDS = STORAGE_NAMES.flatMap((name) => {
  const { affine }: Storage = STORAGES[name];
  // Those of blocks in blocks, and of no blocks, have tests of their own.
  if (affine === "not-affine" || affine.format.groupSize !== 32 || !(name in edges.raw)) return [];
  const format: AffineFormat = { ...affine.format, groupSize: affine.format.groupSize };
  return [[name, affine, format] as const];
});

function edgeTensor(name: StorageName): StoredTensor {
  return unpackStored(name, Uint8Array.from(Buffer.from(edges.raw[name], "base64")), edges.shape);
}

/** scale · (code − zero), the slow way. */
function valuesOf(format: AffineFormat, weight: AffineWeight): Float32Array {
  const { bits, groupSize } = format;
  const [numRows, numGroups] = weight.scale.shape as [number, number];
  const numColumns = numGroups * groupSize;
  const rowBytes = packedBytes(bits, numColumns);
  return Float32Array.from({ length: numRows * numColumns }, (_, i) => {
    const [row, column] = [Math.floor(i / numColumns), i % numColumns];
    const first = row * rowBytes + Math.floor((column * bits) / 8);
    const byte = weight.codes.data[first]!;
    const code = bits === 8 ? byte : (byte >> ((column * bits) % 8)) & (2 ** bits - 1);
    const at = row * numGroups + Math.floor(column / groupSize);
    const zero = typeof format.zero === "number" ? format.zero : weight.zero!.data[at]!;
    return weight.scale.data[at]! * (code - zero);
  });
}

/** The scales times a factor. */
function scaled({ scale }: AffineWeight, factor: number): AffineWeight["scale"] {
  return hostTensor(
    "float32",
    scale.shape,
    scale.data.map((value) => value * factor),
  );
}

/** A block of scale 0, minimum 0.5 and codes that are not 0. */
function constantBlock(name: "q4_1" | "q5_1"): StoredTensor {
  const raw = new Uint8Array(STORAGES[name].blockBytes).fill(0x5a);
  raw.set([0, 0, 0x00, 0x38]);
  return unpackStored(name, raw, [1, 32]);
}

test("kinds of blocks that are written have affine views", () => {
  assert.deepEqual(
    KINDS.map(([name]) => name),
    ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1"],
  );
});

for (const [name, kind, format] of KINDS) {
  describe(`affine view of ${name}`, () => {
    const stored = edgeTensor(name);
    const weight = kind.read(stored.planes);

    test("has the values of the blocks", () => {
      const expected = dequantize(stored);
      valuesOf(format, weight).forEach((value, i) => {
        const block = expected.subarray(i - (i % 32), i - (i % 32) + 32);
        // A zero that is a real number is rounded to float32.
        const tolerance = kind.format.zero === "float32" ? 2e-7 * Math.max(...block.map(Math.abs)) : 0;
        assert.ok(Math.abs(value - expected[i]!) <= tolerance, `${i}: ${value}, expected ${expected[i]}`);
      });
    });

    test("shares the codes, or widens those of 5 bits to bytes", () => {
      if (stored.planes["highBits"] === undefined) assert.equal(weight.codes, stored.planes["codes"]);
      else assert.deepEqual(weight.codes.shape, edges.shape);
    });

    test("written back as it was read it is the same bytes", () => {
      const planes = kind.write(stored.planes, weight.scale, "w");
      assert.deepEqual(packStored({ ...stored, planes }), packStored(stored));
    });

    test("written with other scales it has their values, and the same codes", () => {
      const planes = kind.write(stored.planes, scaled(weight, 1.5), "w");
      assert.equal(planes["codes"], stored.planes["codes"]);
      const before = dequantize(stored);
      // float16 keeps 11 bits; below its normal numbers it keeps steps of 6e-8, times a code.
      dequantize({ ...stored, planes }).forEach((value, i) => {
        const apart = Math.abs(value - 1.5 * before[i]!);
        const size = Math.abs(before[i]!) + 16 * Math.abs(weight.scale.data[Math.floor(i / 32)]!);
        assert.ok(apart <= size * 2 ** -10 + 128 * 2 ** -25, `${i}: ${value}, expected ${1.5 * before[i]!}`);
      });
    });

    test("scales that are nothing beside those that float16 holds become 0, as in nearly dead rows", () => {
      const planes = kind.write(stored.planes, scaled(weight, 1e-14), "w");
      assert.ok(dequantize({ ...stored, planes }).every((value) => value === 0));
    });

    test("refuses scales that float16 cannot hold, and says which", () => {
      const at = edges.rows.indexOf("an outlier");
      const refused = (factor: number): void => {
        assert.throws(
          () => kind.write(stored.planes, scaled(weight, factor), "mlp.up_proj.weight"),
          (error: unknown) => {
            assert.ok(error instanceof UsageError);
            assert.equal(error.code, "usage/scale");
            assert.match(error.message, /of "mlp.up_proj.weight", row \d+, group 0: (-?\d|NaN)/);
            assert.ok(error.hint);
            return true;
          },
        );
      };
      assert.ok(weight.scale.data[at] !== 0);
      refused(1e9);
      refused(NaN);
    });
  });
}

for (const name of ["q4_1", "q5_1"] as const)
  describe(`a ${name} block of one value with a minimum`, () => {
    const kind = STORAGES[name].affine as AffineKind;

    test("is read as that value whatever its codes say, and the stored codes stay", () => {
      const stored = constantBlock(name);
      const weight = kind.read(stored.planes);
      assert.deepEqual(valuesOf({ ...kind.format, groupSize: 32 }, weight), new Float32Array(32).fill(0.5));
      assert.ok(weight.scale.data[0]! > 0);
      assert.deepEqual(stored, constantBlock(name));
    });

    test("is written as one value again", () => {
      const stored = constantBlock(name);
      const planes = kind.write(stored.planes, scaled(kind.read(stored.planes), -3), "w");
      assert.equal(planes["codes"], stored.planes["codes"]);
      assert.deepEqual(dequantize({ ...stored, planes }), new Float32Array(32).fill(-1.5));
    });
  });

test("a scale that float16 keeps only in part is written", () => {
  const tiny = 2 ** -24;
  const stored = edgeTensor("q4_0");
  const kind = STORAGES.q4_0.affine as AffineKind;
  const { scale } = kind.read(stored.planes);
  const planes = kind.write(stored.planes, { ...scale, data: scale.data.map(() => tiny) }, "w");
  assert.ok(plane(planes, "scale", "float16").data.every((bits) => bits === 1));
});
