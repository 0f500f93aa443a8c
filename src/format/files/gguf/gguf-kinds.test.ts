/** @file Every storage kind in a GGUF file: read as it was written, and cut or damaged without any other error than ours. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { buildTinyGguf } from "../../../../test/tiny/gguf.ts";
import { randomTensor } from "../../../../test/tiny/random-blocks.ts";
import { FormatError, UsageError } from "../../../errors.ts";
import { GGML_NAMES, STORAGES, storageOfGgmlType } from "../../../quant/storages.ts";
import { dequantize, packStored } from "../../../quant/stored-tensor.ts";
import { Random } from "../../../random.ts";
import { openGguf } from "../../by-path.ts";
import { UNREAD_TYPES } from "./ggml-types.ts";
import { PIECE_ELEMENTS } from "./gguf-values.ts";

const root = mkdtempSync(join(tmpdir(), "graft-kinds-"));
after(() => rmSync(root, { recursive: true, force: true }));

const BLOCK_KINDS = GGML_NAMES.filter((name) => STORAGES[name].blockSize > 1);
const random = new Random(5);

function write(bytes: Uint8Array): string {
  const path = join(root, "kinds.gguf");
  writeFileSync(path, bytes);
  return path;
}

/** Opens a file and reads all of its tensors to float32. */
async function readAll(path: string): Promise<Float32Array[]> {
  const file = await openGguf(path);
  try {
    const values: Float32Array[] = [];
    for (const tensor of file.tensors.values()) values.push(dequantize(await file.read(tensor)));
    return values;
  } finally {
    await file.close();
  }
}

async function assertTyped(path: string, what: string): Promise<"read" | "refused"> {
  try {
    await readAll(path);
    return "read";
  } catch (error) {
    assert.ok(error instanceof FormatError || error instanceof UsageError, `${what}: ${String(error)}`);
    assert.ok(error.message.includes(path) && error.hint, what);
    return "refused";
  }
}

test("no type that is read stands among those that are not", () => {
  const read = Object.keys(UNREAD_TYPES).filter((ggmlType) => storageOfGgmlType(Number(ggmlType)) !== null);
  assert.deepEqual(read, []);
});

test("tensors of all kinds in one file are read as they were written", async () => {
  const tensors = GGML_NAMES.map((kind) => randomTensor(`t.${kind}`, kind, [3, 256], 0.1, random));
  const file = await openGguf(write(buildTinyGguf({}, tensors)));
  try {
    for (const { name, bytes } of tensors) {
      const tensor = file.tensors.get(name)!;
      assert.equal(`t.${tensor.storage}`, name);
      assert.deepEqual(packStored(await file.read(tensor)), bytes);
    }
  } finally {
    await file.close();
  }
});

test("values of all kinds are read in pieces, from any row on and beside each other", async () => {
  // More than a piece, and not a whole number of them.
  const numRows = PIECE_ELEMENTS / 256 + 3;
  const tensors = GGML_NAMES.map((kind) => randomTensor(`t.${kind}`, kind, [numRows, 256], 0.1, random));
  const file = await openGguf(write(buildTinyGguf({}, tensors)));
  try {
    await Promise.all(
      [...file.tensors.values()].map(async (tensor) => {
        const expected = dequantize(await file.read(tensor));
        const [all, some] = [new Float32Array(numRows * 256), new Float32Array(2 * 256)];
        await Promise.all([file.readInto(tensor, 0, all), file.readInto(tensor, 5 * 256, some)]);
        assert.deepEqual(all, expected, tensor.name);
        // What has been looked at is not taken apart again.
        await file.readInto(tensor, 0, all.fill(0));
        assert.deepEqual(all, expected, tensor.name);
        assert.deepEqual(some, expected.subarray(5 * 256, 7 * 256), tensor.name);
      }),
    );
  } finally {
    await file.close();
  }
});

test("a scale that is no number is refused when values are read", async () => {
  const { bytes, ...tensor } = randomTensor("w", "q8_0", [2, 256], 0.1, random);
  bytes.set([0x00, 0x7e], 34);
  const file = await openGguf(write(buildTinyGguf({}, [{ ...tensor, bytes }])));
  try {
    const found = file.tensors.get("w")!;
    await assert.rejects(file.readInto(found, 0, new Float32Array(512)), { code: "format/file" });
    await file.readInto(found, 256, new Float32Array(256));
  } finally {
    await file.close();
  }
});

test("also where rows before it were read at the same place", async () => {
  const { bytes, ...tensor } = randomTensor("w", "q8_0", [2, 4096], 0.1, random);
  bytes.set([0x00, 0x7e], bytes.length / 2);
  const file = await openGguf(write(buildTinyGguf({}, [{ ...tensor, bytes }])));
  try {
    const found = file.tensors.get("w")!;
    await file.readInto(found, 0, new Float32Array(4096));
    await assert.rejects(file.readInto(found, 0, new Float32Array(8192)), { code: "format/file" });
  } finally {
    await file.close();
  }
});

for (const kind of BLOCK_KINDS) {
  const whole = buildTinyGguf({}, [randomTensor("w", kind, [2, 256], 0.1, random)]);
  const dataStart = whole.length - Math.ceil((512 / STORAGES[kind].blockSize) * STORAGES[kind].blockBytes);

  test(`${kind}: a file that is cut is refused wherever it is cut`, async () => {
    const padding = 32;
    for (const numBytes of [dataStart - 40, dataStart - 1, dataStart + 1, whole.length - padding]) {
      const path = write(whole.subarray(0, numBytes));
      assert.equal(await assertTyped(path, `cut at ${numBytes}`), "refused", `cut at ${numBytes}`);
    }
  });

  test(`${kind}: damaged bytes of the header and of blocks are read or refused`, async () => {
    for (let i = 0; i < 60; i++) {
      const bytes = Buffer.from(whole);
      // Every other time in the tensor's entry or its data, else anywhere.
      const from = i % 2 === 0 ? dataStart - 80 : 0;
      const at = from + (random.uint32() % (bytes.length - from));
      bytes[at] = random.uint32() & 0xff;
      await assertTyped(write(bytes), `byte ${at}`);
    }
  });

  test(`${kind}: a scale that is no number is refused, with the tensor's name`, async () => {
    const path = write(buildTinyGguf({}, [withInfiniteScales(kind)]));
    await assert.rejects(readAll(path), {
      code: "format/file",
      message: /tensor "w" has NaN or infinity as a scale, expected numbers/,
    });
  });
}

function withInfiniteScales(kind: (typeof BLOCK_KINDS)[number]): ReturnType<typeof randomTensor> {
  const tensor = randomTensor("w", kind, [2, 256], 0.1, random);
  return { ...tensor, bytes: tensor.bytes.map(() => 0xff) };
}
