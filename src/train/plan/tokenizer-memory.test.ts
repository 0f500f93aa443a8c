/** @file A tokenizer takes memory by its words and merges, however its file keeps them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenizerBytes } from "./tokenizer-memory.ts";

const [WORDS, MERGES] = [["a", "b", "ab"], ["a b"]];
const filesOf = (model: object, tokens?: readonly string[]): Parameters<typeof tokenizerBytes>[0] => ({
  tokenizer: { model },
  ...(tokens && { tokens }),
  config: {},
  chatTemplate: null,
});

test("words in an object and in a list are counted alike, with their merges", () => {
  const vocab = Object.fromEntries(WORDS.map((word, id) => [word, id]));
  const ofObject = tokenizerBytes(filesOf({ vocab, merges: MERGES }));
  assert.equal(ofObject % (WORDS.length + MERGES.length), 0);
  assert.ok(ofObject > 0);
  // As Unigram has them, with scores and without merges.
  const scored = WORDS.map((word) => [word, -1]);
  assert.equal(tokenizerBytes(filesOf({ vocab: scored })), (ofObject / 4) * 3);
});

test("a vocabulary that would have to be made is not looked at", () => {
  const model = {
    get vocab(): never {
      throw new Error("looked at");
    },
    merges: MERGES,
  };
  const twice = filesOf({ merges: [...MERGES, ...MERGES] }, [...WORDS, ...WORDS]);
  assert.equal(2 * tokenizerBytes(filesOf(model, WORDS)), tokenizerBytes(twice));
});

test("none takes nothing, and one that is not there yet what its words will", () => {
  assert.equal(tokenizerBytes(null), 0);
  const vocab = Object.fromEntries(WORDS.map((word, id) => [word, id]));
  const merges = WORDS.map((word) => `${word} ${word}`);
  assert.equal(tokenizerBytes(null, WORDS.length), tokenizerBytes(filesOf({ vocab, merges })));
});
