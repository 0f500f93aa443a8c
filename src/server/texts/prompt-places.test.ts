import assert from "node:assert/strict";
import { test } from "node:test";
import { createTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { promptPlaces } from "./prompt-places.ts";

/** A tokenizer of few characters or words; all else is unknown to it. */
function smallTokenizer(
  words: readonly string[],
  changes: object,
  model: object = { type: "BPE", merges: [] },
) {
  const files = byteTokenizerFiles();
  const vocab = Object.fromEntries(["<unk>", ...words].map((word, id) => [word, id]));
  const unk = { id: 0, content: "<unk>", special: true, normalized: false, lstrip: false, rstrip: false };
  const tokenizer = {
    ...files.tokenizer,
    added_tokens: [{ ...unk, single_word: false }],
    pre_tokenizer: null,
    decoder: { type: "Fuse" },
    ...changes,
    model: { unk_token: "<unk>", vocab, ...model },
  };
  const config = { ...files.config, unk_token: "<unk>", eos_token: null, pad_token: null };
  return createTokenizer({ ...files, tokenizer, config });
}

function placesOf(tokenizer: ReturnType<typeof createTokenizer>, text: string): (number | string)[][] | null {
  const ids = tokenizer.encode(text);
  const places = promptPlaces(tokenizer, { ids, text, shownIds: new Set(ids) });
  return places && ids.map((id, i) => [tokenizer.decode([id]), places[i]!]);
}

test("characters that a vocabulary lacks are where they stand in the text, one by one or put together", () => {
  const each = smallTokenizer(["a", "b", " "], {});
  assert.deepEqual(placesOf(each, "aé🙂b éa"), [
    ["a", 0],
    ["<unk>", 1],
    ["<unk>", 2],
    ["b", 3],
    [" ", 4],
    ["<unk>", 5],
    ["a", 6],
  ]);
  const fused = smallTokenizer(["a", "b", " "], {}, { type: "BPE", merges: [], fuse_unk: true });
  assert.deepEqual(placesOf(fused, "🙂éb éé"), [
    ["<unk>", 0],
    ["b", 2],
    [" ", 3],
    ["<unk>", 4],
  ]);
  // As it is typed it is a token like any other.
  assert.deepEqual(placesOf(each, "a<unk>éb"), [
    ["a", 0],
    ["<unk>", 1],
    ["<unk>", 6],
    ["b", 7],
  ]);
  assert.equal(placesOf(each, "ab a<unk>"), null);
});

test("words that a vocabulary lacks begin where they do in the text", () => {
  const words = smallTokenizer(
    ["ka", "lo"],
    { pre_tokenizer: { type: "WhitespaceSplit" }, decoder: null },
    { type: "WordLevel" },
  );
  assert.deepEqual(placesOf(words, "ka kax  lox lo"), [
    ["ka", 0],
    ["<unk>", 3],
    ["<unk>", 8],
    ["lo", 11],
  ]);
});

test("characters that a tokenizer writes otherwise keep their places", () => {
  const lower = smallTokenizer(["a", "b"], { normalizer: { type: "Lowercase" } });
  assert.deepEqual(placesOf(lower, "aBa"), [
    ["a", 0],
    ["b", 1],
    ["a", 2],
  ]);
});
