import assert from "node:assert/strict";
import { test } from "node:test";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { UsageError } from "../../src/errors.ts";
import type { TokenizerFiles } from "../../src/format/checkpoint/checkpoint.ts";
import { PRE_TOKENIZERS } from "../../src/format/checkpoint/gguf/gguf-pre-tokenizers.ts";
import { makeTokenizerFiles } from "../../src/format/checkpoint/gguf/gguf-tokenizer.ts";
import { tokenizerSettings } from "../../src/format/checkpoint/gguf/gguf-vocabulary.ts";
import type { GgufValue } from "../../src/format/files/gguf/gguf-setting-bytes.ts";
import type { JsonObject } from "../../src/format/files/json-file.ts";

const plain = (settings: Readonly<Record<string, GgufValue>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(settings).map(([key, { value }]) => [key, value]));

const write = (files: TokenizerFiles, vocabSize = 5, eos: unknown = null): Record<string, unknown> =>
  plain(tokenizerSettings("m", files, { vocabSize, generationConfig: { eos_token_id: eos } }));

/** The tokenizer settings of a GGUF file. */
const METADATA = {
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.tokens": ["<s>", "</s>", "a", "b", "ab"],
  "tokenizer.ggml.token_type": [3, 4, 1, 1, 1],
  "tokenizer.ggml.merges": ["a b"],
  "tokenizer.ggml.bos_token_id": 0,
  "tokenizer.ggml.eos_token_id": 1,
  "tokenizer.ggml.unknown_token_id": 2,
  "tokenizer.ggml.padding_token_id": 1,
  "tokenizer.chat_template": "{{ x }}",
};

test("tokenizer settings that were read are written back as they were, for every way to cut text", () => {
  for (const pre of Object.keys(PRE_TOKENIZERS)) {
    for (const [addsBos, addsEos] of [
      [true, false],
      [false, false],
    ]) {
      const metadata = {
        ...METADATA,
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.add_bos_token": addsBos,
        "tokenizer.ggml.add_eos_token": addsEos,
      };
      assert.deepEqual(write(makeTokenizerFiles({ path: "m.gguf", metadata })!), metadata);
    }
  }
});

/** The tokenizer settings of a GGUF file with pieces: "bab" is made of "ba" or of "ab", whichever comes first. */
const PIECES = {
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "<0x41>", "▁", "a", "b", "ab", "ba", "bab", "  ", "▁▁ab"],
  "tokenizer.ggml.token_type": [2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4, 1],
  "tokenizer.ggml.scores": [-5, -5, -5, -5, -5, -5, -5, -1, -2, -3, 0, -4],
  "tokenizer.ggml.bos_token_id": 1,
  "tokenizer.ggml.eos_token_id": 2,
  "tokenizer.ggml.unknown_token_id": 0,
  "tokenizer.ggml.add_bos_token": true,
  "tokenizer.ggml.add_eos_token": false,
};

test("pieces that were read are written back with scores in the same order", () => {
  for (const addsPrefix of [true, false]) {
    const metadata = { ...PIECES, "tokenizer.ggml.add_space_prefix": addsPrefix };
    const files = makeTokenizerFiles({ path: "m.gguf", metadata })!;
    const { merges } = files.tokenizer["model"] as { merges: string[][] };
    assert.deepEqual(
      merges.map((pair) => pair.join(" ")),
      ["▁ ▁", "a b", "b a", "b ab", "ba b", "▁▁ ab"],
    );
    const { "tokenizer.ggml.scores": scores, ...written } = write(
      files,
      PIECES["tokenizer.ggml.tokens"].length,
    );
    const { "tokenizer.ggml.scores": given, ...expected } = metadata;
    assert.deepEqual(written, expected);
    const order = (values: readonly number[]): number[] =>
      [10, 7, 8, 9, 11].toSorted((a, b) => values[b]! - values[a]!);
    assert.deepEqual(order(scores as number[]), order(given));
    assert.deepEqual(createTokenizer(files).encode(" babA"), [1, addsPrefix ? 10 : 4, 9, 3]);
  }
});

/** The tokenizer of those pieces without the first of its merges. */
function withFewerMerges(metadata: Readonly<Record<string, unknown>>): TokenizerFiles {
  const files = makeTokenizerFiles({ path: "m.gguf", metadata })!;
  const model = files.tokenizer["model"] as JsonObject;
  const fewer = { ...model, merges: (model["merges"] as unknown[]).slice(1) };
  return { ...files, tokenizer: { ...files.tokenizer, model: fewer } };
}

test("merges that are not all that the pieces allow are listed, and read back", () => {
  const files = withFewerMerges({ ...PIECES, "tokenizer.ggml.add_space_prefix": false });
  const written = write(files, PIECES["tokenizer.ggml.tokens"].length);
  assert.equal(written["tokenizer.ggml.model"], "gemma4");
  assert.deepEqual(written["tokenizer.ggml.merges"], ["a b", "b a", "b ab", "ba b", "▁▁ ab"]);
  const again = makeTokenizerFiles({ path: "m.gguf", metadata: written })!;
  const [before, after] = [createTokenizer(files), createTokenizer(again)];
  for (const text of [" babA", "ab  ab\n", "é"])
    assert.deepEqual(after.encode(text), before.encode(text), text);
  assert.equal(after.decode(after.encode(" bab")), before.decode(before.encode(" bab")));
});

test("such merges are refused where a space is put first", () => {
  assert.throws(() => write(withFewerMerges(PIECES), 12), {
    code: "usage/model",
    message: /merges of its own, expected all that its pieces allow/,
  });
});

/** The byte tokenizer with other parts. */
function tokenizerWith(parts: JsonObject, config: JsonObject = {}): TokenizerFiles {
  const files = byteTokenizerFiles();
  return { ...files, tokenizer: { ...files.tokenizer, ...parts }, config: { ...files.config, ...config } };
}

const template = (single: readonly unknown[]): JsonObject => ({
  type: "Sequence",
  processors: [{ type: "ByteLevel" }, { type: "TemplateProcessing", single }],
});

test("bos and eos are added where the post-processor puts them, unless the settings say otherwise", () => {
  const bos = { SpecialToken: { id: "<|im_start|>", type_id: 0 } };
  const eos = { SpecialToken: { id: "<|im_end|>", type_id: 0 } };
  const text = { Sequence: { id: "A", type_id: 0 } };
  const added = (single: readonly unknown[], config: JsonObject = {}): unknown[] => {
    const parts = { post_processor: template(single) };
    const settings = write(tokenizerWith(parts, { bos_token: { content: "<|im_start|>" }, ...config }), 259);
    return ["bos", "eos"].map((name) => settings[`tokenizer.ggml.add_${name}_token`]);
  };
  assert.deepEqual(added([bos, text]), [true, false]);
  assert.deepEqual(added([bos, text, eos]), [true, true]);
  assert.deepEqual(added([text]), [false, false]);
  assert.deepEqual(added([bos, text], { add_bos_token: false }), [false, false]);
  assert.deepEqual(added([text], { add_bos_token: true }), [true, false]);
  assert.deepEqual(added([text], { bos_token: null, add_bos_token: true }), [false, false]);
});

test("rows of the embedding beyond the vocabulary are unused tokens, and merges may be pairs", () => {
  const { model } = byteTokenizerFiles().tokenizer as { model: JsonObject };
  const settings = write(tokenizerWith({ model: { ...model, merges: [["a", "b"], "b c"] } }), 261);
  const tokens = settings["tokenizer.ggml.tokens"] as string[];
  const types = settings["tokenizer.ggml.token_type"] as number[];
  assert.deepEqual(tokens.slice(256), [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "[PAD259]",
    "[PAD260]",
  ]);
  assert.deepEqual(types.slice(255), [1, 3, 3, 3, 5, 5]);
  assert.deepEqual(settings["tokenizer.ggml.merges"], ["a b", "b c"]);
});

test("ids beside eos that end a text are end of turn and end of message", () => {
  const ends = (eos: unknown): unknown[] => {
    const settings = write(byteTokenizerFiles(), 259, eos);
    return ["eos", "eot", "eom"].map((name) => settings[`tokenizer.ggml.${name}_token_id`]);
  };
  assert.deepEqual(ends([257, 258, 3]), [257, 258, 3]);
  assert.deepEqual(ends([258, 257]), [257, 258, undefined]);
  assert.deepEqual(ends(257), [257, undefined, undefined]);
  assert.deepEqual(ends(null), [257, undefined, undefined]);
});

const { model } = byteTokenizerFiles().tokenizer as { model: JsonObject };
const [token] = byteTokenizerFiles().tokenizer["added_tokens"] as JsonObject[];

const REFUSED: readonly [string, TokenizerFiles, RegExp][] = [
  [
    "another kind",
    tokenizerWith({ model: { ...model, type: "Unigram" } }),
    /tokenizer type Unigram, expected BPE/,
  ],
  [
    "pieces of text that is cut",
    tokenizerWith({ model: { ...model, byte_fallback: true } }),
    /its pieces come from text modified by ByteLevel/,
  ],
  [
    "another way to cut text",
    tokenizerWith({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Whitespace" }] } }),
    /it splits text by Whitespace with custom settings, expected the way of gpt-2, smollm, llama-bpe, qwen2/,
  ],
  ["another normalizer", tokenizerWith({ normalizer: { type: "Lowercase" } }), /Lowercase, ByteLevel/],
  [
    "words without merges",
    tokenizerWith({ model: { ...model, ignore_merges: true } }),
    /ByteLevel ignoring merges/,
  ],
  [
    "a token that takes spaces",
    tokenizerWith({ added_tokens: [{ ...token, lstrip: true }] }),
    /token "<\|im_start\|>" strips spaces/,
  ],
  [
    "a token without a row",
    tokenizerWith({ added_tokens: [{ ...token, id: 300 }] }),
    /has id 300, expected ids below 259/,
  ],
];

test("as many ids end a text as there are names for them, and more are refused", () => {
  const files = byteTokenizerFiles();
  const ends = (ids: unknown): unknown[] => {
    const settings = write(files, 263, ids);
    return ["eos", "eot", "eom"].map((name) => settings[`tokenizer.ggml.${name}_token_id`]);
  };
  assert.deepEqual(ends([259, 257, 260, 259]), [257, 259, 260]);
  assert.throws(() => ends([257, 259, 260, 261]), {
    code: "usage/model",
    message: /the ids 259, 260, 261 end a text in addition to eos, expected at most 2 of them/,
  });
});

for (const [what, files, message] of REFUSED) {
  test(`tokenizerSettings() refuses ${what}`, () => {
    assert.throws(
      () => write(files, 259),
      (error: unknown) =>
        error instanceof UsageError && error.code === "usage/model" && message.test(error.message),
    );
  });
}
