import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { randomTensor } from "../../../../test/tiny/random-blocks.ts";
import { buildTinyGguf, TINY_METADATA } from "../../../../test/tiny/gguf.ts";
import { Random } from "../../../random.ts";
import { GGML_NAMES, type StorageName } from "../../../quant/storages.ts";
import { type StoredTensor, packStored, unpackStored } from "../../../quant/stored-tensor.ts";
import { openGguf, patchGguf, writeGguf } from "../../by-path.ts";
import { encodeSettings, type GgufValue } from "./gguf-setting-bytes.ts";
import type { GgufSource } from "./gguf-writer.ts";

const root = mkdtempSync(join(tmpdir(), "graft-gguf-writer-"));
after(() => rmSync(root, { recursive: true }));

const random = new Random(7);
function noise(storage: StorageName, shape: readonly number[]): StoredTensor {
  return unpackStored(storage, randomTensor("noise", storage, shape, 1, random).bytes, shape);
}

/** Shapes whose rows fill blocks of every kind. */
const SHAPES: readonly (readonly number[])[] = [[512], [3, 256], [5, 768]];

test("a file that writeGguf() wrote reads back with the same settings and tensors, at any alignment", async () => {
  const values: Record<string, GgufValue> = {
    "general.architecture": { type: "string", value: "llama" },
    text: { type: "string", value: "é\n🙂" },
    whole: { type: "uint32", value: 2 ** 32 - 1 },
    negative: { type: "int32", value: -5 },
    fraction: { type: "float32", value: 0.375 },
    yes: { type: "bool", value: true },
    words: { type: "strings", value: ["", "Ġa", "b"] },
    numbers: { type: "int32s", value: [3, -1] },
    floats: { type: "float32s", value: [0.5, -2] },
    nothing: { type: "strings", value: [] },
  };
  for (const alignment of [null, 8, 64]) {
    const settings =
      alignment === null
        ? values
        : { ...values, "general.alignment": { type: "uint32", value: alignment } as const };
    const tensors = GGML_NAMES.flatMap((storage) =>
      SHAPES.map((shape) => ({ name: `${storage}.${shape.join()}`, stored: noise(storage, shape) })),
    );
    const path = join(root, `all-${alignment}.gguf`);
    const sources = tensors.map(({ name, stored }): GgufSource => ({ ...stored, name, load: () => stored }));
    await writeGguf(path, encodeSettings(settings), sources);
    const file = await openGguf(path);
    assert.deepEqual(
      file.metadata,
      Object.fromEntries(Object.entries(settings).map(([key, { value }]) => [key, value])),
    );
    assert.deepEqual(
      [...file.tensors.keys()],
      tensors.map(({ name }) => name),
    );
    for (const { name, stored } of tensors) {
      const tensor = file.tensors.get(name)!;
      assert.equal(tensor.offset % (alignment ?? 32), 0);
      assert.deepEqual(packStored(await file.read(tensor)), packStored(stored));
    }
    assert.deepEqual(await file.readSettings(), encodeSettings(settings));
    await file.close();
  }
});

test("a file with the settings of another and the same tensors is that file", async () => {
  const original = join(root, "tiny.gguf");
  writeFileSync(original, buildTinyGguf());
  const file = await openGguf(original);
  const copy = join(root, "copy.gguf");
  const sources = [...file.tensors.values()].map((tensor) => ({ ...tensor, load: () => file.read(tensor) }));
  await writeGguf(copy, await file.readSettings(), sources);
  await file.close();
  assert.deepEqual(readFileSync(copy), readFileSync(original));
});

test("patchGguf() changes the bytes of the named tensors and no others", async () => {
  const original = join(root, "before.gguf");
  writeFileSync(original, buildTinyGguf());
  const file = await openGguf(original);
  const path = join(root, "after.gguf");
  const names = ["output_norm.weight", "blk.0.ffn_down.weight"];
  const replaced = new Map(
    names.map((name) => [name, noise(file.tensors.get(name)!.storage, file.tensors.get(name)!.shape)]),
  );
  await patchGguf(
    file,
    path,
    new Map([...replaced].map(([name, stored]) => [name, () => Promise.resolve(stored)])),
  );
  const expected = readFileSync(original);
  for (const [name, stored] of replaced) expected.set(packStored(stored), file.tensors.get(name)!.offset);
  assert.deepEqual(readFileSync(path), expected);
  assert.notDeepEqual(expected, readFileSync(original));

  await patchGguf(file, path, new Map());
  assert.deepEqual(readFileSync(path), readFileSync(original));
  await file.close();
});

test("the writers leave nothing behind when a tensor is not what it said or cannot be made", async () => {
  const original = join(root, "whole.gguf");
  writeFileSync(original, buildTinyGguf());
  const file = await openGguf(original);
  const path = join(root, "broken", "out.gguf");
  const patch = (name: string, load: () => StoredTensor): Promise<void> =>
    patchGguf(file, path, new Map([[name, load]]));
  await assert.rejects(
    patch("output_norm.weight", () => noise("f32", [4, 2])),
    /Cannot write tensor "output_norm\.weight": f32 \[4, 2\], expected f32 \[8\]/,
  );
  await assert.rejects(
    patch("output_norm.weight", () => noise("f16", [8])),
    /f16 \[8\], expected f32 \[8\]/,
  );
  await assert.rejects(
    patch("nothing.weight", () => noise("f16", [8])),
    /has no tensor of this name/,
  );
  const load = (): StoredTensor => {
    throw new Error("no such weight");
  };
  const settings = encodeSettings(TINY_METADATA);
  await assert.rejects(
    writeGguf(path, settings, [{ name: "a", storage: "f32", shape: [8], load }]),
    /no such weight/,
  );
  await file.close();
  assert.ok(!readdirSync(root).includes("broken"));
});

test("readSettings() refuses the narrower layout of version 1", async () => {
  const path = join(root, "old.gguf");
  // Counts and lengths of 4 bytes: version, no tensors, one setting "age" of type uint32.
  const bytes = new Uint8Array(Uint32Array.of(0x46554747, 1, 0, 1, 3, 0x00656761, 0, 0).buffer);
  new DataView(bytes.buffer).setUint32(23, 4, true);
  new DataView(bytes.buffer).setUint32(27, 7, true);
  writeFileSync(path, bytes);
  const file = await openGguf(path);
  assert.deepEqual(file.metadata, { age: 7 });
  await assert.rejects(file.readSettings(), {
    code: "usage/model",
    message: /GGUF version 1, expected 2 or 3/,
  });
  await file.close();
});
