/** @file Which row a text stands for, with a tokenizer that does not know every text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findMethod } from "../../../peft/methods.ts";
import { withTokenIds } from "./token-ids.ts";

const unknown = { id: 0, content: "[UNK]", single_word: false, normalized: false, special: true };
const vocab = { "[UNK]": 0, lamp: 1, mill: 2, "##s": 3 };
const tokenizerFiles = {
  tokenizer: {
    version: "1.0",
    added_tokens: [unknown],
    normalizer: null,
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: null,
    decoder: null,
    model: {
      type: "WordPiece",
      vocab,
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
    },
  },
  config: {},
  chatTemplate: null,
};

function idsIn(trainableTokenIndices: unknown): unknown {
  const options = withTokenIds("tiny", { tokenizerFiles }, findMethod("lora"), { trainableTokenIndices });
  return options["trainableTokenIndices"];
}
const idsOf = (...tokens: (string | number)[]): unknown => idsIn(tokens);

test("a text is the token that it is read as, or whose name it is; ids are as they are", () => {
  assert.deepEqual(idsOf("mill", "[UNK]", "##s", 1), [2, 0, 3, 1]);
  const byModule = { embed_tokens: ["mill", 1], lm_head: [3, "lamp"] };
  assert.deepEqual(idsIn(byModule), { embed_tokens: [2, 1], lm_head: [3, 1] });
});

test("a text that the tokenizer does not know is refused: the row of all such texts would be trained", () => {
  assert.throws(() => idsOf("lamp", "cat"), {
    code: "usage/flag",
    message:
      'Cannot train the row of "cat": the tokenizer does not have it, and reads token 0, expected a token of its own',
  });
  assert.throws(() => idsOf("lamps"), { message: /"lamps": it is 2 tokens \(1, 3\), expected a token/ });
});
