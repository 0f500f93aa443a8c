import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { TextOffsets } from "./text-offsets.ts";

const WORDS = ["é", "€", "🙂", "\uFFFD", "a€", "b🙂c"];
const TEXT = new TextEncoder();
const asFallback = (bytes: Uint8Array): string[] =>
  Array.from(bytes, (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

/** Tokens of every part of some words, as byte-level BPE writes them. */
function partsTokenizer(): { tokenizer: ReturnType<typeof createTokenizer>; parts: Uint8Array[] } {
  const files = byteTokenizerFiles();
  const model = files.tokenizer["model"] as { vocab: Record<string, number> };
  const symbols = Object.keys(model.vocab);
  const parts = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const specials = (files.tokenizer["added_tokens"] as { id: number }[]).length;
  for (let i = 0; i < specials; i++) parts.push(new Uint8Array(0));
  for (const bytes of WORDS.map((word) => TEXT.encode(word))) {
    for (let start = 0; start < bytes.length; start++) {
      for (let end = start + 2; end <= bytes.length; end++) {
        const symbol = Array.from(bytes.subarray(start, end), (byte) => symbols[byte]).join("");
        if (Object.hasOwn(model.vocab, symbol)) continue;
        model.vocab[symbol] = parts.length;
        parts.push(bytes.slice(start, end));
      }
    }
  }
  return { tokenizer: createTokenizer(files), parts };
}

/** Pieces of SentencePiece: bytes that no piece has, and words. */
function fallbackTokenizer(): { tokenizer: ReturnType<typeof createTokenizer>; parts: Uint8Array[] } {
  const words = ["a", "b", "é", "€", "🙂c", "\uFFFD"];
  const parts = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const names = parts.flatMap(asFallback);
  const { tokenizer, config } = byteTokenizerFiles();
  const specials = tokenizer["added_tokens"] as { content: string; id: number }[];
  const vocab = Object.fromEntries(
    [...names, ...specials.map(({ content }) => content), ...words].map((name, id) => [name, id]),
  );
  const model = { ...(tokenizer["model"] as object), vocab, byte_fallback: true };
  const decoder = { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] };
  const files = {
    tokenizer: { ...tokenizer, pre_tokenizer: null, decoder, model },
    config,
    chatTemplate: null,
  };
  return {
    tokenizer: createTokenizer(files),
    parts: [...parts, ...specials.map(() => new Uint8Array(0)), ...words.map((word) => TEXT.encode(word))],
  };
}

for (const [name, { tokenizer, parts }] of [
  ["byte-level", partsTokenizer()],
  ["byte fallback", fallbackTokenizer()],
] as const) {
  test(`every token begins where its first byte is in the text, however characters are split (${name})`, () => {
    const ids = fc.array(fc.oneof(fc.nat(parts.length - 1), fc.integer({ min: 259, max: parts.length - 1 })));
    const split = fc.constantFrom(...WORDS).map((word) => [...TEXT.encode(word)]);
    fc.assert(
      fc.property(
        fc.oneof(
          ids,
          fc.array(fc.oneof(split, ids)).map((each) => each.flat()),
        ),
        (all) => {
          const offsets = new TextOffsets(tokenizer);
          let before = new Uint8Array(0);
          for (const [i, id] of all.entries()) {
            const part = parts[id]!;
            const place = offsets.push(id);
            if (part.length === 0) continue;
            assert.equal(
              place,
              numCharacters([...before, ...part.subarray(0, 1)]) - 1,
              `token ${i} of ${all.join()}`,
            );
            before = Uint8Array.of(...before, ...part);
          }
          const text = tokenizer.decode(all, { skipSpecialTokens: true });
          assert.equal(numCharacters([...before]), Array.from(text).length);
        },
      ),
      { numRuns: 2000, seed: 1 },
    );
  });
}

/** As the standard of encodings counts what is no character. */
function numCharacters(bytes: readonly number[]): number {
  return Array.from(new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes))).length;
}

test("what follows a text that is given back is counted from its end, whatever its last bytes are", () => {
  const offsets = new TextOffsets(partsTokenizer().tokenizer);
  assert.deepEqual(
    [0x61, 0xe2].map((id) => offsets.push(id)),
    [0, 1],
  );
  offsets.startBehind("a\uFFFD", [0x61, 0xe2]);
  assert.deepEqual(
    [0x82, 0x62].map((id) => offsets.push(id)),
    [2, 3],
  );
});
