import assert from "node:assert/strict";
import { test } from "node:test";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import type { TokenizerFiles } from "../../src/format/checkpoint/checkpoint.ts";
import { smallModelText, transferText } from "./make-text.ts";
import { trainBpe } from "./train-bpe.ts";

const NUM_BYTES = 256;
const NUM_SPECIALS = 3;
const SMALLEST = NUM_BYTES + NUM_SPECIALS;
const text = smallModelText(200_000, 1);
const files = trainBpe(text, 600);
const tokenizer = createTokenizer(files);

function mergesOf({ tokenizer }: TokenizerFiles): string[] {
  return (tokenizer["model"] as { merges: string[] }).merges;
}

test("trainBpe() merges the most frequent pair first, and of equals the one of the smallest ids", () => {
  // "ab" 3 times; "ab c" and "Ġ ab" 2 times each; then all pairs once.
  assert.deepEqual(mergesOf(trainBpe("abc abc ab de", SMALLEST + 4)), ["a b", "Ġ ab", "Ġ d", "ab c"]);
});

test("trainBpe() joins a run of equal bytes from the front", () => {
  const aaa = trainBpe("aaa", SMALLEST + 1);
  assert.deepEqual(mergesOf(aaa), ["a a"]);
  assert.deepEqual(createTokenizer(aaa).encode("aaa"), [NUM_BYTES, 97]);
});

test("trainBpe() never joins what the split of GPT-2 parts, nor a special token", () => {
  const merges = mergesOf(trainBpe("<|im_end|>a1.<|im_end|>a1.", SMALLEST + 9));
  assert.deepEqual(merges, []);
});

test("trainBpe() stops when no pair is left", () => {
  assert.equal(createTokenizer(trainBpe("hi hi", 1000)).vocabSize, SMALLEST + 2);
});

test("trainBpe() gives equal files for equal text", () => {
  assert.equal(JSON.stringify(trainBpe(text, 600)), JSON.stringify(files));
  assert.notDeepEqual(mergesOf(trainBpe(transferText(50_000, 1), 600)), mergesOf(files));
});

test("trainBpe() gives a tokenizer of the wanted size whose specials come last", () => {
  assert.equal(tokenizer.vocabSize, 600);
  assert.deepEqual(
    [...tokenizer.specialTokens],
    [
      ["<|im_start|>", 597],
      ["<|im_end|>", 598],
      ["<|endoftext|>", 599],
    ],
  );
  assert.deepEqual([tokenizer.eosId, tokenizer.padId, tokenizer.bosId], [598, 599, null]);
});

test("a trained tokenizer gives back any text, and its own kind in a third of the bytes", () => {
  for (const any of [text.slice(0, 20_000), transferText(2000, 1), "Ünï 👋\u0000 don't  \n\n\tx<|im_end|>"]) {
    assert.equal(tokenizer.decode(tokenizer.encode(any)), any);
  }
  const sample = text.slice(0, 20_000);
  assert.ok(tokenizer.encode(sample).length < sample.length / 3, `${tokenizer.encode(sample).length}`);
});

test("trainBpe() refuses a size without room for bytes and specials", () => {
  assert.throws(() => trainBpe("a", SMALLEST - 1), { code: "usage/flag", message: /258 tokens.*259/ });
  assert.deepEqual(mergesOf(trainBpe("aa", SMALLEST)), []);
});
