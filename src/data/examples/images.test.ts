import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { NO_LABEL, toBatch } from "../batches/batch.ts";
import { readIdxFile, readImageFile, readImages } from "../files/image-files.ts";
import { plainNormalization } from "../../models/config/image-processor.ts";
import { imageFiles } from "./images.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-images-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The bytes of an IDX file, put together by hand. */
function idx(shape: readonly number[], data: readonly number[], type = 8): Buffer {
  const sizes = shape.flatMap((n) => [(n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
  return Buffer.from([0, 0, type, shape.length, ...sizes, ...data]);
}

function write(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

const MODEL = {
  image: { channels: 1, size: 2, patchSize: 1, normalization: plainNormalization(1) },
  maxPositions: 5,
  numOutputs: 3,
};
const PIXELS = [0, 255, 51, 102, 1, 2, 3, 4];

/** Two images of 2 × 2 pixels with classes 2 and 0. */
function writeSet(name: string, compress = (bytes: Buffer): Buffer => bytes, suffix = ""): string {
  write(`${name}-labels-idx1-ubyte${suffix}`, compress(idx([2], [2, 0])));
  return write(`${name}-images-idx3-ubyte${suffix}`, compress(idx([2, 2, 2], PIXELS)));
}

describe("readIdxFile()", () => {
  test("gives sizes and elements, compressed or not", () => {
    const bytes = idx([2, 1, 3], [1, 2, 3, 4, 5, 6]);
    for (const path of [write("plain", bytes), write("packed.gz", gzipSync(bytes))]) {
      const { shape, data } = readIdxFile(path, 3);
      assert.deepEqual(
        [shape, [...data]],
        [
          [2, 1, 3],
          [1, 2, 3, 4, 5, 6],
        ],
      );
    }
  });

  test("names the file and what is wrong with it", () => {
    const cases: [string, Uint8Array | null, RegExp][] = [
      ["absent", null, /absent": no such file/],
      ["text", Buffer.from("label,pixel\n"), /text": it does not start like an IDX file/],
      ["empty", Buffer.alloc(0), /empty": it does not start/],
      ["floats", idx([1], [0, 0, 0, 0], 13), /floats": 1 axes of type 13, expected 1 of type 8/],
      ["rank", idx([1, 1], [0]), /rank": 2 axes of type 8, expected 1/],
      ["header", idx([1], []).subarray(0, 6), /header": its header is truncated/],
      ["short", idx([5], [1, 2, 3]), /short": 3 bytes after its header, expected 5 \(5\)/],
      ["long", idx([1], [1, 2]), /long": 2 bytes after its header, expected 1/],
      ["bomb.gz", gzipSync(Buffer.alloc(2 ** 26 + 1)), /bomb.gz": it would expand to more than/],
      ["torn.gz", gzipSync(idx([5], [1, 2, 3, 4, 5])).subarray(0, 20), /torn.gz": unexpected end/],
    ];
    for (const [name, bytes, message] of cases) {
      const path = bytes === null ? join(folder, name) : write(name, bytes);
      assert.throws(() => readIdxFile(path, 1), { code: "format/file", message });
    }
  });
});

describe("readImages()", () => {
  test("pairs images with the labels beside them", () => {
    for (const path of [writeSet("a"), writeSet("b", gzipSync, ".gz")]) {
      const images = readImageFile(path, MODEL);
      assert.deepEqual(
        images.map(({ label, pixels }) => [label, ...pixels]),
        [
          [2, ...PIXELS.slice(0, 4)],
          [0, ...PIXELS.slice(4)],
        ],
      );
      assert.deepEqual(images[1]?.source, { file: path, line: 2 });
    }
  });

  test("a folder has images to train on, and others to evaluate on", () => {
    writeSet("set/train");
    assert.equal(readImages(join(folder, "set"), MODEL).heldOut, null);
    writeSet("set/t10k", gzipSync, ".gz");
    const { train, heldOut } = readImages(join(folder, "set"), MODEL);
    assert.deepEqual([train.length, heldOut?.length], [2, 2]);
    assert.match(heldOut?.[0]?.source.file ?? "", /t10k-images-idx3-ubyte\.gz$/);
  });

  test("what imageFiles() makes is read again as it was", () => {
    const images = readImageFile(writeSet("f"), MODEL);
    const files = imageFiles(images, 2, 2);
    assert.deepEqual(Buffer.from(files["images-idx3-ubyte"]!), idx([2, 2, 2], PIXELS));
    assert.deepEqual(Buffer.from(files["labels-idx1-ubyte"]!), idx([2], [2, 0]));
  });

  test("refuses what does not fit the model, and sets that do not pair", () => {
    const path = writeSet("c");
    const refuse = (use: () => unknown, message: RegExp): void =>
      assert.throws(use, { code: "usage/data", message });
    const image = { channels: 3, size: 4, patchSize: 2, normalization: plainNormalization(3) };
    refuse(() => readImageFile(path, { ...MODEL, image }), /1 × 2 × 2 pixels, expected 3 × 4 × 4/);
    refuse(
      () => readImageFile(path, { ...MODEL, numOutputs: 2 }),
      /class 2 of image 1, expected one below 2/,
    );
    write("d-labels-idx1-ubyte", idx([1], [0]));
    refuse(
      () => readImageFile(write("d-images-idx3-ubyte", idx([2, 2, 2], PIXELS)), MODEL),
      /2 images and 1 labels/,
    );
    refuse(() => readImages(folder, MODEL), /the folder has no training images/);
  });
});

test("toBatch() reads each channel as the model says", () => {
  const normalization = { rescale: 1 / 255, mean: [0.1, 0.4], std: [0.2, 0.5] };
  const image = { channels: 2, size: 1, patchSize: 1, normalization };
  const source = { file: "two channels", line: 1 };
  const { input } = toBatch([[{ pixels: Uint8Array.of(51, 255), image, label: 0, numPositions: 2, source }]]);
  assert.deepEqual([...input.data], [0.5, 1.2].map(Math.fround));
});

test("toBatch() puts pixels around zero and the class on the first position", () => {
  const images = readImageFile(writeSet("e"), MODEL);
  const { input, labels, segments, numRows, length, numTokens, numLabels } = toBatch(images.map((i) => [i]));
  assert.deepEqual([numRows, length, numTokens, numLabels], [2, 5, 10, 2]);
  assert.deepEqual(input.shape, [2, 1, 2, 2]);
  assert.deepEqual([...input.data].slice(0, 4), [-1, 1, 51 / 127.5 - 1, 102 / 127.5 - 1].map(Math.fround));
  const none = Array.from({ length: 4 }, () => NO_LABEL);
  assert.deepEqual([...labels], [2, ...none, 0, ...none]);
  assert.deepEqual(
    [...segments],
    Array.from({ length: 10 }, () => 1),
  );
});
