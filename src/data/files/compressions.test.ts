/** @file Compressed files of several parts, one behind the other, as `cat` and programs of many threads make them. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { DECOMPRESS, decompressInSlices } from "./compressions.ts";
import { decompressZst } from "./zstd.ts";

const LINES = ["first\n", "second\n", "", "third\n"];
const WHOLE = LINES.join("");
const COMPRESS = { ".gz": gzipSync, ".zst": zstdCompressSync } as const;

for (const [ending, compress] of Object.entries(COMPRESS) as [keyof typeof COMPRESS, typeof gzipSync][]) {
  test(`${ending}: all parts are read, and refused when they are more than a file may become`, async () => {
    const parts = LINES.map((line) => compress(line));
    assert.equal(Buffer.from(await DECOMPRESS[ending](Buffer.concat(parts))).toString(), WHOLE);
    const zeros = compress(new Uint8Array(1 << 25));
    await assert.rejects(async () => await DECOMPRESS[ending](Buffer.concat([zeros, zeros, zeros])));
    await assert.rejects(async () => await DECOMPRESS[ending](Buffer.concat(parts).subarray(0, -3)));
  });
}

for (const [ending, compress] of Object.entries(COMPRESS) as [keyof typeof COMPRESS, typeof gzipSync][]) {
  test(`${ending}: slices are what the whole is, and are refused where it is`, async () => {
    const slices = async (bytes: Buffer): Promise<Buffer> => {
      const all: Uint8Array[] = [];
      for await (const slice of decompressInSlices(bytes, ending)) all.push(slice);
      return Buffer.concat(all);
    };
    const noise = randomBytes(1 << 20);
    const parts = [...LINES, noise, WHOLE].map((part) => compress(part));
    assert.ok(
      (await slices(Buffer.concat(parts))).equals(
        Buffer.concat([Buffer.from(WHOLE), noise, Buffer.from(WHOLE)]),
      ),
    );
    const zeros = compress(new Uint8Array(1 << 25));
    await assert.rejects(slices(Buffer.concat([zeros, zeros, zeros])), /would expand to more than/);
    for (const damaged of [
      Buffer.concat(parts).subarray(0, -3),
      Buffer.from("no such file"),
      noise,
      Buffer.alloc(0),
    ])
      await assert.rejects(slices(damaged));
  });
}

test(".zst: what is to be skipped is, as pzstd writes it before each part, and nothing else", async () => {
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
  const parts = LINES.flatMap((line) => [skipped, zstdCompressSync(line)]);
  for (const decompress of [DECOMPRESS[".zst"], (bytes: Uint8Array) => decompressZst(bytes, 1 << 20)])
    assert.equal(Buffer.from(await decompress(Buffer.concat([...parts, skipped]))).toString(), WHOLE);
  await assert.rejects(
    async () => await DECOMPRESS[".zst"](Buffer.concat([...parts, Buffer.from("no frame")])),
  );
});
