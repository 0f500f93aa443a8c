import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { byteTokenizerFiles } from "../../../../test/tiny/byte-tokenizer.ts";
import { processorMs } from "../../../train/power/processor-ms.ts";
import { createTokenizer } from "../tokenizer.ts";

const WORDS = ["hello", " hello", "\n\n", " ", "1234", "don't", "é€😀", "<|im_end|>", "x".repeat(100)];
const text = fc
  .array(fc.oneof(fc.constantFrom(...WORDS), fc.string({ unit: "grapheme" })))
  .map((parts) => parts.join("").toWellFormed())
  // JavaScript's white space is not Unicode's, which is settled elsewhere.
  .filter((value) => !/[\u0085\uFEFF]/.test(value));

/** The tokens of bytes, and many that were added. */
function withAdded(numAdded: number): ReturnType<typeof byteTokenizerFiles> {
  const files = byteTokenizerFiles();
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
  const added = Array.from({ length: numAdded }, (_, i) => ({ ...flags, id: 1000 + i, content: `<é ${i}>` }));
  const own = files.tokenizer["added_tokens"] as object[];
  return { ...files, tokenizer: { ...files.tokenizer, added_tokens: [...own, ...added] } };
}

describe("speedUp()", () => {
  test("changes no text that ids stand for, of bytes, of added tokens and of both", () => {
    const files = withAdded(8);
    const library = new Library(files.tokenizer, files.config) as unknown as {
      decode(ids: number[], options: object): string;
    };
    const tokenizer = createTokenizer(files);
    const ids = fc.array(fc.oneof(fc.nat(255), fc.integer({ min: 1000, max: 1007 })), { minLength: 1 });
    const check = (value: number[]): void =>
      assert.equal(
        tokenizer.decode(value),
        library.decode(value, { skip_special_tokens: false, clean_up_tokenization_spaces: false }),
      );
    fc.assert(fc.property(ids, check), { numRuns: 100 });
  });

  test("decodes as fast with thousands of added tokens as with few", () => {
    const ids = Array.from({ length: 20_000 }, (_, i) => i % 256);
    const [few, many] = [withAdded(1), withAdded(10_000)].map((files) => {
      const tokenizer = createTokenizer(files);
      const decode = (): number => {
        const begunMs = processorMs();
        tokenizer.decode(ids);
        return processorMs() - begunMs;
      };
      return Math.min(decode(), decode(), decode());
    });
    assert.ok(many! < 20 + 3 * few!, `${many} ms, with one ${few} ms`);
  });

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
    test(`changes no id, asked once or again (${name})`, () => {
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
