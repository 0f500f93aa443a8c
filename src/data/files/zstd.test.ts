/** @file `.zst` without Node's decoder: the same bytes, and a bomb is refused before anything is allocated. */
import assert from "node:assert/strict";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { constants, createZstdCompress, zstdCompressSync } from "node:zlib";
import { decompressZst } from "./zstd.ts";

const MOST = 1 << 26;
const text = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `row ${i * 7919}\n`).join(""));

/** A frame whose size is not known when it begins. */
async function streamed(...pieces: readonly Uint8Array[]): Promise<Buffer> {
  const stream = createZstdCompress();
  for (const piece of pieces) stream.write(piece);
  stream.end();
  return await buffer(stream);
}

test("frames with and without a size, one after another, with a checksum or between others, become what they were", async () => {
  const sized = zstdCompressSync(text);
  const checked = zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const unsized = await streamed(text.subarray(0, 1000), text.subarray(1000));
  const skipped = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  for (const [parts, times] of [
    [[sized], 1],
    [[checked], 1],
    [[unsized], 1],
    [[sized, skipped, unsized, checked], 3],
    [[zstdCompressSync("")], 0],
  ] as const) {
    const expected = Buffer.concat(Array.from({ length: times }, () => text));
    assert.ok(expected.equals(decompressZst(Buffer.concat(parts), MOST)));
  }
});

test("what would become too much is refused at once, whatever its frames say", async () => {
  const zeros = new Uint8Array(1 << 22);
  const few = (numBytes: number, bytes: Uint8Array) =>
    assert.throws(() => decompressZst(bytes, numBytes), /would expand to more than/);
  few(1 << 20, zstdCompressSync(zeros));
  few(1 << 20, await streamed(zeros));
  few(MOST, Buffer.concat(Array.from({ length: 20 }, () => zstdCompressSync(zeros))));
  // Says 2^40 bytes and has none; then blocks of one byte within a window of 128 MiB, each of which moves it.
  few(MOST, Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]));
  const tiny = Array.from({ length: 1000 }, () => [0x0a, 0, 0, 7]).flat();
  few(MOST, Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, ...tiny, 1, 0, 0]));
});

test("what is damaged is an error", () => {
  const whole = zstdCompressSync(text);
  for (const bytes of [Buffer.from("no zstd"), whole.subarray(0, 3), whole.subarray(0, whole.length - 9)])
    assert.throws(() => decompressZst(bytes, MOST), Error);
});
