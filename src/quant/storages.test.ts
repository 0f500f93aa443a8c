import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { plane, permuteRows, rowBytes, type Storage } from "./storage.ts";
import {
  dequantize,
  packStored,
  quantizeTo,
  sizeBytes,
  storageOfGgmlType,
  type StorageName,
  STORAGES,
  unpackStored,
} from "./storages.ts";

// Raw blocks and values by ggml's own Python package; the recipe stands in the file.
const golden = JSON.parse(
  readFileSync(new URL("../../test/golden/data/ggml/blocks.json", import.meta.url), "utf8"),
) as { cases: { storage: StorageName; shape: number[]; raw: string; values: string }[] };

/** Values at the edges of rounding, and the raw blocks they become, by the same package. */
const edges = JSON.parse(
  readFileSync(new URL("../../test/golden/data/ggml/edges.json", import.meta.url), "utf8"),
) as { rows: string[]; shape: number[]; raw: Record<StorageName, string> };

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "base64"));
const floatsOf = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer);
const asBytes = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

test("the golden file has every storage kind", () => {
  assert.deepEqual(golden.cases.map(({ storage }) => storage).toSorted(), Object.keys(STORAGES).toSorted());
});

for (const [key, storage] of Object.entries(STORAGES) as [StorageName, Storage][]) {
  const { shape, raw, values } = golden.cases.find((item) => item.storage === key)!;

  test(`${key}: the list, the file type and the name agree`, () => {
    assert.equal(storage.name, key);
    for (const ggmlType of storage.ggmlTypes) assert.equal(storageOfGgmlType(ggmlType), storage);
  });

  test(`${key}: dequantize() gives ggml's values bit for bit`, () => {
    const found = dequantize(unpackStored(key, bytesOf(raw), shape));
    assert.equal(Buffer.compare(asBytes(found), asBytes(floatsOf(values))), 0);
  });

  test(`${key}: pack() is the inverse of unpack(), and both have the size that rowBytes() says`, () => {
    const stored = unpackStored(key, bytesOf(raw), shape);
    assert.equal(Buffer.compare(packStored(stored), bytesOf(raw)), 0);
    assert.equal(sizeBytes(stored), bytesOf(raw).length);
    assert.equal(rowBytes(storage, shape[1]!) * shape[0]!, bytesOf(raw).length);
  });

  test(`${key}: quantizeTo() gives ggml's blocks bit for bit`, () => {
    const { raw: original } = golden.cases.find((item) => item.storage === "f32")!;
    const found = packStored(quantizeTo(key, floatsOf(original), shape));
    assert.equal(Buffer.compare(found, bytesOf(raw)), 0);
    const edge = packStored(quantizeTo(key, floatsOf(edges.raw.f32), edges.shape));
    const rowLength = edge.length / edges.rows.length;
    for (const [row, name] of edges.rows.entries()) {
      const [from, end] = [row * rowLength, (row + 1) * rowLength];
      assert.deepEqual(edge.subarray(from, end), bytesOf(edges.raw[key]).subarray(from, end), name);
    }
  });

  test(`${key}: unpack() reads bytes at any offset of their buffer`, () => {
    const shifted = new Uint8Array(bytesOf(raw).length + 1);
    shifted.set(bytesOf(raw), 1);
    const found = dequantize(unpackStored(key, shifted.subarray(1), shape));
    assert.deepEqual(found, floatsOf(values));
  });

  test(`${key}: permuteRows() moves whole rows and leaves the source alone`, () => {
    const stored = unpackStored(key, bytesOf(raw), shape);
    const order = new Int32Array([3, 0, 5, 1, 2, 4]);
    const moved = dequantize(permuteRows(stored, order));
    const before = floatsOf(values);
    for (const [row, from] of order.entries()) {
      assert.deepEqual(moved.subarray(row * 64, row * 64 + 64), before.subarray(from * 64, from * 64 + 64));
    }
    assert.deepEqual(dequantize(stored), before);
  });
}

test("4-bit planes hold element 2k in the low half of byte k and 2k + 1 in the high half", () => {
  const raw = new Uint8Array(18);
  raw[1] = 0x3c; // scale 1
  for (let i = 0; i < 16; i++) raw[2 + i] = i | ((15 - i) << 4); // element i = i, element i + 16 = 15 - i
  const { planes } = unpackStored("q4_0", raw, [1, 32]);
  const codes = plane(planes, "codes", "uint8");
  assert.deepEqual(codes.shape, [1, 16]);
  const elements = [...codes.data].flatMap((pair) => [pair & 15, pair >> 4]);
  const expected = Array.from({ length: 32 }, (_, i) => (i < 16 ? i : 31 - i));
  assert.deepEqual(elements, expected);
  assert.deepEqual(plane(planes, "scale", "float16").shape, [1, 1]);
});

test("unpack() of f32 is a view of aligned bytes", () => {
  const bytes = new Uint8Array(8);
  const { planes } = unpackStored("f32", bytes, [2]);
  assert.equal(plane(planes, "data", "float32").data.buffer, bytes.buffer);
});

test("permuteRows() takes tensors of one axis, and refuses an order of another length", () => {
  const stored = unpackStored("f32", new Uint8Array(new Float32Array([1, 2, 3]).buffer), [3]);
  assert.deepEqual([...dequantize(permuteRows(stored, new Int32Array([2, 0, 1])))], [3, 1, 2]);
  assert.throws(() => permuteRows(stored, new Int32Array(2)), /2 rows in the order, expected 3/);
});

test("quantizeTo() refuses rows that do not fill blocks", () => {
  assert.throws(() => quantizeTo("q4_0", new Float32Array(48), [1, 48]), /expected a multiple of 32/);
});

test("rowBytes() refuses columns that do not fill blocks; storageOfGgmlType() knows no other types", () => {
  assert.throws(() => rowBytes(STORAGES.q4_0, 48), /48 columns, expected a multiple of 32/);
  assert.equal(storageOfGgmlType(14), null);
});
