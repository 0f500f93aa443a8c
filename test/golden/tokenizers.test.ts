/** @file Tokenizers, those of well-known models among them, against Hugging Face tokenizers: ids of hard texts, decoded text, streams. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Tokenizer, createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import type { TokenizerFiles } from "../../src/format/checkpoint/checkpoint.ts";
import { readTokenizerFiles } from "../../src/format/checkpoint/tokenizer-folder.ts";
import { memoryFolder } from "../../src/format/files/memory-folder.ts";
import { REAL_TOKENIZERS, readRealTokenizer } from "./real-tokenizers.ts";
import { goldenJson } from "./golden-files.ts";

interface TokenizerGolden {
  /** What is put before and after a text. */
  readonly bos: readonly number[];
  readonly eos: readonly number[];
  /** Of each text, without these, and what they decode to. */
  readonly ids: readonly (readonly number[])[];
  readonly decoded: readonly string[];
  readonly without_special: readonly string[];
  readonly random: readonly { readonly ids: readonly number[]; readonly decoded: string }[];
}

/** Steps with which JavaScript and Rust would cut texts otherwise. */
interface StepGolden {
  readonly name: string;
  readonly tokenizer: Record<string, unknown>;
  /** Where they are not those of all. */
  readonly texts?: readonly string[];
  readonly ids: readonly (readonly number[])[];
  readonly decoded: readonly string[];
}
const STEPS = goldenJson<{
  readonly texts: readonly string[];
  readonly metaspace: readonly string[];
  readonly cases: readonly StepGolden[];
}>("tokenizers", "steps.json");

/** Folders whose settings say other things than tokenizer.json. */
const FOLDERS = goldenJson<{
  readonly texts: readonly string[];
  readonly tokenizers: Readonly<Record<string, object>>;
  readonly cases: readonly {
    readonly name: string;
    readonly tokenizer: string;
    readonly config: object;
    readonly files: object;
    readonly ids: readonly (readonly number[])[];
    readonly decoded: readonly string[];
  }[];
}>("tokenizers", "folders.json");

const TEXTS = goldenJson<readonly string[]>("tokenizers", "texts.json");

/** Tiny ones of kinds that no package is needed for. */
const TINY = ["bert", "roberta", "xlm-roberta", "deberta-v2"].map((name) => ({
  name,
  skip: false as const,
  open: () => tinyFiles(name),
}));
const REAL = REAL_TOKENIZERS.map((one) => ({ ...one, open: () => readRealTokenizer(one.name) }));

function tinyFiles(name: string): TokenizerFiles {
  const tokenizer = goldenJson<Record<string, unknown>>("tokenizers", `${name}.tokenizer.json`);
  return { tokenizer, config: {}, chatTemplate: null };
}

for (const { name, skip, open: openFiles } of [...TINY, ...REAL]) {
  describe(`tokenizer ${name}`, { skip }, () => {
    const golden = goldenJson<TokenizerGolden>("tokenizers", `${name}.json`);
    let opened: Tokenizer | null = null;
    const open = (): Tokenizer => (opened ??= createTokenizer(openFiles()));

    test("it gives the reference's ids", () => {
      for (const [i, text] of TEXTS.entries()) {
        const ids = open().encode(text, { addSpecialTokens: false });
        assert.deepEqual(ids, golden.ids[i], JSON.stringify(text));
        assert.deepEqual(open().encode(text), [...golden.bos, ...ids, ...golden.eos]);
      }
    });

    test("it gives the reference's text, special tokens kept and left out", () => {
      for (const [i, ids] of golden.ids.entries()) {
        assert.equal(open().decode(ids), golden.decoded[i]);
        assert.equal(open().decode(ids, { skipSpecialTokens: true }), golden.without_special[i]);
      }
    });

    test("random ids and single bytes become the reference's text", () => {
      for (const { ids, decoded } of golden.random) {
        assert.equal(open().decode(ids), decoded, JSON.stringify(ids));
      }
    });

    test("a stream emits what decoding at once gives", () => {
      for (const ids of [...golden.ids, ...golden.random.map((one) => one.ids)]) {
        const stream = open().stream();
        const parts = [...ids.map((id) => stream.push(id)), stream.end()];
        assert.equal(parts.join(""), open().decode(ids), JSON.stringify(ids));
      }
    });
  });
}

for (const { name, tokenizer: file, texts: own, ids, decoded } of STEPS.cases) {
  test(`the step "${name}" cuts and joins as the reference does`, () => {
    const tokenizer = createTokenizer({ tokenizer: file, config: {}, chatTemplate: null });
    const texts = own ?? (name.startsWith("metaspace") ? STEPS.metaspace : STEPS.texts);
    for (const [i, text] of texts.entries()) {
      assert.deepEqual(tokenizer.encode(text), ids[i], JSON.stringify(text));
      assert.equal(tokenizer.decode(ids[i]!), decoded[i], JSON.stringify(text));
    }
  });
}

for (const { name, tokenizer: kind, config, files, ids, decoded } of FOLDERS.cases) {
  test(`a folder is read as transformers reads it: ${name}`, async () => {
    const own = { "tokenizer.json": FOLDERS.tokenizers[kind], "tokenizer_config.json": config, ...files };
    const texts = Object.entries(own).map(([file, value]) => [file, JSON.stringify(value)] as const);
    const tokenizerFiles = await readTokenizerFiles(memoryFolder(name, Object.fromEntries(texts)));
    const tokenizer = createTokenizer(tokenizerFiles!);
    for (const [i, text] of FOLDERS.texts.entries()) {
      const found = tokenizer.encode(text, { addSpecialTokens: false });
      assert.deepEqual(found, ids[i], JSON.stringify(text));
      assert.equal(tokenizer.decode(found), decoded[i], JSON.stringify(text));
    }
  });
}
