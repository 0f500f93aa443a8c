/** @file A tokenizer of listed tokens and plain merges is that of the library on the same file. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { byteTokenizerFiles } from "../../../../test/tiny/byte-tokenizer.ts";
import { createTokenizer } from "../tokenizer.ts";

test("tokens as a list, merges as texts: the ids of the library, equal tokens and unknown ones too", () => {
  const files = byteTokenizerFiles();
  const { vocab } = files.tokenizer["model"] as { vocab: Record<string, number> };
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(vocab)) tokens[id] = token;
  const addedBefore = files.tokenizer["added_tokens"] as { readonly content: string }[];
  tokens.push(...addedBefore.map(({ content }) => content));
  const size = tokens.length;
  // "he" twice: the last counts. A token that is added has another id than in the list.
  tokens.push("he", "ll", "he", "hell", "<|added|>");
  const model = {
    type: "BPE",
    unk_token: "hell",
    merges: ["h e", "l l", "he ll", "l o x", "h e"],
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
  };
  delete (model.vocab as Record<string, number>)["z"];
  const listed = tokens.map((token) => (token === "z" ? "zz" : token));
  const added = { id: size + 9, content: "<|added|>", single_word: false, lstrip: false, rstrip: false };
  const tokenizer = {
    ...files.tokenizer,
    model,
    added_tokens: [...addedBefore, { ...added, special: true }],
  };
  const library = new Library(tokenizer, files.config) as unknown as {
    encode(text: string, options: object): { ids: number[] };
  };
  const ours = createTokenizer({ ...files, tokenizer, tokens: listed });
  for (const text of ["hello", "shells he", "heheh", "loxlox", "z", "a<|added|>z", ""]) {
    const { ids } = library.encode(text, { add_special_tokens: false });
    assert.deepEqual(ours.encode(text, { addSpecialTokens: false }), ids, text);
  }
  assert.deepEqual(ours.encode("he", { addSpecialTokens: false }), [size + 2]);
  assert.equal(ours.decode([size]), "");
  assert.equal(ours.decode([size + 9, size + 2]), "<|added|>he");
  assert.equal(ours.vocabSize, size + 10);
});
