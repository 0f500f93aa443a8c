import assert from "node:assert/strict";
import test from "node:test";
import { tinyCharacterMap } from "../../../../test/tiny/character-map.ts";
import { useCharacterMaps } from "./character-map.ts";

function mapOf(charsmap: string): (text: string) => string {
  const step: { charsmap: string; normalize?(text: string): string } = { charsmap };
  useCharacterMaps({ normalizers: [step] });
  return (text) => step.normalize!(text);
}

test("what a file maps a character to takes its place, and the rest of its cluster goes with it", () => {
  const map = mapOf(tinyCharacterMap("b", "né"));
  assert.equal(map("abc é b\n"), "anéc é né\n");
  assert.equal(map("b\u0301"), "né");
  assert.equal(mapOf(tinyCharacterMap("\n", " "))("a\nb\r\n"), "a b\r ");
});

test("a damaged map, and one that makes a long text of a character, are refused", () => {
  const huge = Buffer.from(Uint32Array.of(1 << 30, 0).buffer).toString("base64");
  assert.throws(() => mapOf(huge), /precompiled_charsmap of 8 bytes begins with 1073741824/);
  assert.throws(() => mapOf("AA=="), /of 1 bytes/);
  assert.throws(() => mapOf(tinyCharacterMap("b", "é".repeat(65)))("b"), /makes 65 characters of one/);
});
