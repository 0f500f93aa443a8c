import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { goldenJson } from "../../../test/golden/golden-files.ts";
import { REAL_TOKENIZERS, readRealTokenizer } from "../../../test/golden/real-tokenizers.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { fewestTokens } from "./fewest-tokens.ts";
import { createTokenizer } from "./tokenizer.ts";

/** Hard ones, and those of which a token or its making takes most characters away. */
const TEXTS = [
  ...goldenJson<readonly string[]>("tokenizers", "texts.json"),
  ...[" ", "=", "-", "\n", "a", "\u1112\u1161\u11ab", "\u03b1\u0313\u0300\u0345", "한", "😀"].map((text) =>
    text.repeat(500),
  ),
];

for (const { name, skip } of REAL_TOKENIZERS) {
  test(`no text of ${name} has fewer tokens than is said, and something is said`, { skip }, () => {
    const files = readRealTokenizer(name);
    const tokenizer = createTokenizer(files);
    const fewest = fewestTokens(tokenizer, files, 0);
    for (const text of TEXTS) {
      const { length } = tokenizer.encode(text, { addSpecialTokens: false });
      assert.ok(fewest([text]) <= length, `${fewest([text])} of ${length}: ${text.slice(0, 40)}`);
    }
    assert.ok(fewest(["a".repeat(1e6)]) > 500, `${fewest(["a".repeat(1e6)])}`);
  });
}

describe("fewestTokens()", () => {
  const files = byteTokenizerFiles();
  const fewestOf = (own: object): number => {
    const changed = { ...files, tokenizer: { ...files.tokenizer, ...own } } as TokenizerFiles;
    return fewestTokens(createTokenizer(files), changed, 100)(["a".repeat(1200)]);
  };
  const model = files.tokenizer["model"] as object;
  const [token] = files.tokenizer["added_tokens"] as object[];

  test("says nothing of texts that are encoded soon", () => {
    const fewest = fewestTokens(createTokenizer(files), files, 100);
    // The longest token with an "a" is <|im_start|>, of 12; "b" is in none but its own.
    assert.deepEqual(
      [100, 101, 1200].map((length) => fewest(["a".repeat(length)])),
      [0, 9, 100],
    );
    assert.equal(fewest(["a".repeat(600), "b".repeat(600)]), 650);
    assert.equal(fewest(["é".repeat(600)]), 1200);
  });

  test("says nothing where steps leave characters out, or one token stands for any number", () => {
    const byteLevel = files.tokenizer["pre_tokenizer"];
    const removed = { type: "Split", pattern: { String: " " }, behavior: "Removed" };
    assert.equal(fewestOf({ normalizer: { type: "NFC" } }), 24);
    for (const own of [
      { model: { ...model, type: "Unigram" } },
      { normalizer: { type: "Strip" } },
      { normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "StripAccents" }] } },
      { normalizer: { type: "Replace", pattern: { Regex: " +" }, content: " " } },
      { normalizer: { type: "Replace", pattern: { String: "  " }, content: " " } },
      { pre_tokenizer: { type: "Whitespace" } },
      { pre_tokenizer: { type: "Sequence", pretokenizers: [removed, byteLevel] } },
      { added_tokens: [{ ...token, rstrip: true }] },
    ])
      assert.equal(fewestOf(own), 0, JSON.stringify(own));
  });

  test("does not count characters that a vocabulary lacks, and says nothing where it lacks parts of others", () => {
    const tokenizer = createTokenizer(files);
    const without = (lacking: number): ((parts: readonly string[]) => number) => {
      const tokenBytes = (id: number): Uint8Array | null =>
        id === lacking ? null : tokenizer.tokenBytes(id);
      return fewestTokens({ ...tokenizer, tokenBytes }, files, 100);
    };
    const [A, CONTINUATION] = [65, 0x80];
    assert.equal(without(A)(["A".repeat(1200)]), 0);
    assert.equal(without(A)(["A".repeat(600), "]".repeat(600), "a".repeat(600)]), 650);
    assert.equal(without(CONTINUATION)(["a".repeat(1200)]), 0);
  });
});
