import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { byteTokenizerFiles } from "../../../../test/tiny/byte-tokenizer.ts";
import { createTokenizer } from "../tokenizer.ts";

const WORDS = ["hello", " hello", "\n\n", " ", "1234", "don't", "é€😀", "<|im_end|>", "x".repeat(100)];
const text = fc
  .array(fc.oneof(fc.constantFrom(...WORDS), fc.string({ unit: "grapheme" })))
  .map((parts) => parts.join("").toWellFormed())
  // JavaScript's white space is not Unicode's, which is settled elsewhere.
  .filter((value) => !/[\u0085\uFEFF]/.test(value));

describe("speedUp()", () => {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  for (const [name, step] of Object.entries({
    "a step of bytes": byteLevel,
    "a space before each text": { ...byteLevel, add_prefix_space: true },
    "no words": { ...byteLevel, use_regex: false },
    "a step within a sequence": {
      type: "Sequence",
      pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel],
    },
  })) {
    it(`changes no id, asked once or again (${name})`, () => {
      const files = byteTokenizerFiles();
      const model = files.tokenizer["model"] as { vocab: Record<string, number> };
      const merging = {
        ...files.tokenizer,
        pre_tokenizer: step,
        model: {
          ...model,
          vocab: { ...model.vocab, he: 259, ll: 260, hell: 261, Ġhell: 262 },
          merges: ["h e", "l l", "he ll", "Ġ hell"],
        },
      };
      const library = new Library(merging, files.config) as unknown as {
        encode(text: string, options: object): { ids: number[] };
      };
      const tokenizer = createTokenizer({ ...files, tokenizer: merging });
      const check = (value: string): void => {
        const { ids } = library.encode(value, { add_special_tokens: false });
        for (let i = 0; i < 2; i++)
          assert.deepEqual(tokenizer.encode(value, { addSpecialTokens: false }), ids);
      };
      fc.assert(fc.property(text, check), { numRuns: 50 });
      check(WORDS.join(" "));
    });
  }
});
