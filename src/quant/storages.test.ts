import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { plane } from "./planes.ts";
import { rowBytes, type Storage } from "./storage.ts";
import {
  GGML_NAMES,
  storageOfGgmlType,
  type StorageName,
  STORAGE_NAMES,
  STORAGES,
  WRITABLE_NAMES,
  writableKind,
} from "./storages.ts";
import {
  dequantize,
  dequantizeFrom,
  packStored,
  permuteRows,
  quantizeTo,
  unpackStored,
} from "./stored-tensor.ts";

// Raw blocks and values by ggml's own Python package; the recipe stands in the file.
interface Case {
  readonly storage: StorageName;
  readonly shape: [rows: number, columns: number];
  readonly raw: string;
  readonly values: string;
}

const readGolden = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../test/golden/data/ggml/${name}.json`, import.meta.url), "utf8"));

/** What rounding makes of the same values in each kind. */
const rounded = (readGolden("blocks") as { cases: Case[] }).cases;

/** Random bytes as blocks of the kinds that have more in a block than a scale and codes. */
const random = (readGolden("raw") as { cases: Case[] }).cases;

/** Values at the edges of rounding, and the raw blocks they become. */
const edges = readGolden("edges") as { rows: string[]; shape: number[]; raw: Record<StorageName, string> };

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "base64"));
const floatsOf = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer);
const asBytes = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

test("the golden files have every kind that is written as it is rounded, and every other as it is read", () => {
  assert.deepEqual(rounded.map(({ storage }) => storage).toSorted(), WRITABLE_NAMES.toSorted());
  const read = new Set([...rounded, ...random].map(({ storage }) => storage));
  assert.deepEqual([...read].toSorted(), GGML_NAMES.toSorted());
});

test("every kind that is written as it is rounded has a number of files of its own, and no other has one", () => {
  const numbered = STORAGE_NAMES.map((name): Storage => STORAGES[name]).filter(
    ({ ggufFileType }) => ggufFileType !== undefined,
  );
  assert.deepEqual(numbered.map(({ name }) => name).toSorted(), WRITABLE_NAMES.toSorted());
  assert.equal(new Set(numbered.map(({ ggufFileType }) => ggufFileType)).size, numbered.length);
});

for (const { storage: key, shape, raw, values } of [...rounded, ...random]) {
  const storage: Storage = STORAGES[key];
  const [numRows, numColumns] = shape;

  test(`${key}: the list, the file type and the name agree`, () => {
    assert.equal(storage.name, key);
    for (const ggmlType of storage.ggmlTypes) assert.equal(storageOfGgmlType(ggmlType), key);
  });

  test(`${key}: dequantize() gives ggml's values bit for bit`, () => {
    const found = dequantize(unpackStored(key, bytesOf(raw), shape));
    assert.equal(Buffer.compare(asBytes(found), asBytes(floatsOf(values))), 0);
  });

  test(`${key}: pack() is the inverse of unpack(), and the bytes are as many as rowBytes() says`, () => {
    const stored = unpackStored(key, bytesOf(raw), shape);
    assert.equal(Buffer.compare(packStored(stored), bytesOf(raw)), 0);
    assert.equal(rowBytes(storage, numColumns) * numRows, bytesOf(raw).length);
  });

  test(`${key}: unpack() reads bytes at any offset of their buffer`, () => {
    const shifted = new Uint8Array(bytesOf(raw).length + 1);
    shifted.set(bytesOf(raw), 1);
    const found = dequantize(unpackStored(key, shifted.subarray(1), shape));
    assert.deepEqual(found, floatsOf(values));
  });

  test(`${key}: permuteRows() moves whole rows and leaves the source alone`, () => {
    const stored = unpackStored(key, bytesOf(raw), shape);
    const order = Int32Array.from({ length: numRows }, (_, row) => (row + 2) % numRows);
    const moved = dequantize(permuteRows(stored, order));
    const before = floatsOf(values);
    const rowOf = (all: Float32Array, row: number): Float32Array =>
      all.subarray(row * numColumns, (row + 1) * numColumns);
    for (const [row, from] of order.entries()) assert.deepEqual(rowOf(moved, row), rowOf(before, from));
    assert.deepEqual(dequantize(stored), before);
  });

  test(`${key}: dequantizeFrom() gives each row alone, and the rows behind it`, () => {
    const stored = unpackStored(key, bytesOf(raw), shape);
    const whole = floatsOf(values);
    for (let row = 0; row < numRows; row++) {
      for (const end of new Set([row + 1, numRows])) {
        const expected = whole.slice(row * numColumns, end * numColumns);
        const found = new Float32Array(expected.length);
        dequantizeFrom(stored, row * numColumns, found);
        assert.equal(Buffer.compare(asBytes(found), asBytes(expected)), 0);
      }
    }
  });
}

for (const { storage: key, shape, raw } of rounded) {
  test(`${key}: quantizeTo() gives ggml's blocks bit for bit`, () => {
    const { raw: original } = rounded.find((item) => item.storage === "f32")!;
    const found = packStored(quantizeTo(key, floatsOf(original), shape));
    assert.equal(Buffer.compare(found, bytesOf(raw)), 0);
    const edge = packStored(quantizeTo(key, floatsOf(edges.raw.f32), edges.shape));
    const rowLength = edge.length / edges.rows.length;
    for (const [row, name] of edges.rows.entries()) {
      const [from, end] = [row * rowLength, (row + 1) * rowLength];
      assert.deepEqual(edge.subarray(from, end), bytesOf(edges.raw[key]).subarray(from, end), name);
    }
  });
}

test("quantizeTo() refuses kinds that are only read, and writableKind() names another with as many bits", () => {
  for (const name of GGML_NAMES.filter((other) => !WRITABLE_NAMES.includes(other))) {
    assert.throws(() => quantizeTo(name, new Float32Array(256), [1, 256]), {
      code: "usage/quantization",
      message: /can only read it, expected f32, .*q5_1, mxfp4$/,
    });
  }
  for (const name of WRITABLE_NAMES) assert.equal(writableKind(name), name);
  assert.equal(writableKind("q2_k"), "q4_0");
  assert.equal(writableKind("q4_k"), "q4_0");
  assert.equal(writableKind("q5_k"), "q5_0");
  assert.equal(writableKind("q6_k"), "q8_0");
});

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

test("rowBytes() refuses columns that do not fill blocks", () => {
  assert.throws(() => rowBytes(STORAGES.q4_0, 48), /48 columns, expected a multiple of 32/);
  assert.throws(() => rowBytes(STORAGES.q4_k, 288), /288 columns, expected a multiple of 256/);
});

test("dequantizeFrom() refuses rows that a tensor does not have, and what is no whole rows", () => {
  const stored = unpackStored("q4_0", new Uint8Array(72), [2, 64]);
  const into = new Float32Array(64);
  for (const start of [-64, 128, 32, 0.5, NaN]) {
    assert.throws(() => dequantizeFrom(stored, start, into), /expected whole rows of \[2, 64\]/);
  }
  assert.throws(() => dequantizeFrom(stored, 64, new Float32Array(128)), /elements 64 to 192/);
  assert.throws(() => dequantizeFrom(stored, 0, new Float32Array(32)), /elements 0 to 32/);
});
