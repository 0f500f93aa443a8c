/** @file Many texts that are decoded at once are what each is alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { joinedTexts } from "./joined-texts.ts";

/** Puts a byte between two texts, as the lengths in a file are. */
function decode(texts: readonly Uint8Array[]): string[] {
  const bytes: number[] = [];
  const [starts, ends]: [number[], number[]] = [[], []];
  for (const text of texts) {
    bytes.push(0xff);
    starts.push(bytes.length);
    bytes.push(...text);
    ends.push(bytes.length);
  }
  const places = { starts: Float64Array.from(starts), ends: Float64Array.from(ends) };
  return joinedTexts(Uint8Array.from(bytes), places);
}

test("texts of characters of one to four bytes, empty ones and a mark of byte order are what they were", () => {
  const texts = ["a", "", "Ġthe", "\ufeff", "世界", "🦜x🦜", "end"];
  assert.deepEqual(decode(texts.map((text) => new TextEncoder().encode(text))), texts);
  assert.deepEqual(decode([]), []);
});

test("what is no UTF-8 becomes U+FFFD in its own text alone", () => {
  const ok = new TextEncoder().encode("Ġok");
  assert.deepEqual(decode([ok, Uint8Array.of(0xc4), ok]), ["Ġok", "\ufffd", "Ġok"]);
  // Halves of one character in two texts.
  assert.deepEqual(decode([Uint8Array.of(0x61, 0xc4), Uint8Array.of(0xa0, 0x62)]), ["a\ufffd", "\ufffdb"]);
});
