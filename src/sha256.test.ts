import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Sha256 } from "./sha256.ts";

test("hashes are those of Node at every length around the ends of blocks", () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + length) % 256);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.equal(new Sha256().update(bytes).digest(), expected, `${length} bytes`);
  }
});

test("pieces of any size make the hash of the whole", () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * i) % 251);
  const expected = createHash("sha256").update("ä✓").update(bytes).digest("hex");
  for (const size of [1, 7, 63, 64, 65, 128, 999]) {
    const hash = new Sha256().update("ä✓");
    for (let start = 0; start < bytes.length; start += size) hash.update(bytes.subarray(start, start + size));
    assert.equal(hash.digest(), expected, `pieces of ${size}`);
  }
});
