/**
 * @file Tokenizers of well-known models as llama.cpp's converter writes them into GGUF files, and what we build from
 * these: it has to give the ids that Hugging Face tokenizers gives with the original.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { makeTokenizerFiles } from "../../src/format/checkpoint/gguf/gguf-tokenizer.ts";
import { tokenizerSettings } from "../../src/format/checkpoint/gguf/gguf-vocabulary.ts";
import { REAL_TOKENIZERS, readRealTokenizer } from "./real-tokenizers.ts";
import { goldenJson } from "./golden-files.ts";

/** Settings that the converter knows by a model's family, or from its configuration. */
const SETTINGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  gpt2: { model: "gpt2", pre: "gpt-2" },
  qwen2_5: { model: "gpt2", pre: "qwen2", add_bos_token: false },
  qwen3: { model: "gpt2", pre: "qwen2", add_bos_token: false },
  llama3_1: { model: "gpt2", pre: "llama-bpe", bos_token_id: 128000 },
  llama2: { model: "llama", add_bos_token: true },
  gemma3: { model: "llama", bos_token_id: 2, eos_token_id: 1, unknown_token_id: 3, add_space_prefix: false },
};
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [1, 2, 3, 4, 6];

interface TokenizerJson {
  readonly added_tokens: readonly { id: number; content: string; special: boolean }[];
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
    readonly unk_token: string | null;
  };
}

/** The metadata of a GGUF file with a tokenizer. */
function metadataOf(name: string): Record<string, unknown> {
  const { added_tokens: added, model } = readRealTokenizer(name).tokenizer as unknown as TokenizerJson;
  const pairs = model.merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge));
  const tokens: string[] = [];
  const types: number[] = [];
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    types[id] = /^<0x[0-9A-F]{2}>$/.test(token) ? BYTE : NORMAL;
  }
  const isPieces = SETTINGS[name]!["model"] === "llama";
  for (const { id, content, special } of added) {
    tokens[id] = special || !isPieces ? content : content.replaceAll("▁", " ");
    types[id] = special ? CONTROL : USER_DEFINED;
    if (content === model.unk_token) types[id] = UNKNOWN;
  }
  const ranks = new Map(pairs.toReversed().map(([left, right], i) => [`${left}${right}`, i - pairs.length]));
  const scores = tokens.map((token, id) => (types[id] === NORMAL ? (ranks.get(token) ?? -1e6) : 0));
  const lists = isPieces ? { scores } : { merges: pairs.map((pair) => pair.join(" ")) };
  const settings = { ...SETTINGS[name], tokens, token_type: types, ...lists };
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));
}

const TEXTS = goldenJson<readonly string[]>("tokenizers", "texts.json");

for (const { name, skip } of REAL_TOKENIZERS) {
  describe(`tokenizer ${name} from a GGUF file`, { skip }, () => {
    const golden = goldenJson<{ bos: number[]; ids: number[][]; decoded: string[] }>(
      "tokenizers",
      `${name}.json`,
    );

    const assertSame = (metadata: Readonly<Record<string, unknown>>): void => {
      const files = makeTokenizerFiles({ path: `${name}.gguf`, metadata });
      assert.ok(files);
      const tokenizer = createTokenizer(files);
      for (const [i, text] of TEXTS.entries()) {
        assert.deepEqual(tokenizer.encode(text), [...golden.bos, ...golden.ids[i]!], JSON.stringify(text));
        assert.equal(tokenizer.decode(golden.ids[i]!), golden.decoded[i]);
      }
    };

    test("it gives the ids and texts of the original, as llama.cpp's converter writes it", () => {
      assertSame(metadataOf(name));
    });

    test("it gives the ids and texts of the original, as graft writes it", () => {
      const files = readRealTokenizer(name);
      const { added_tokens: added, model } = files.tokenizer as unknown as TokenizerJson;
      const vocabSize = Math.max(Object.keys(model.vocab).length, ...added.map(({ id }) => id + 1));
      const settings = tokenizerSettings(name, files, { vocabSize, generationConfig: null });
      assertSame(Object.fromEntries(Object.entries(settings).map(([key, { value }]) => [key, value])));
    });
  });
}
