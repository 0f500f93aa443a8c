/** @file A tokenizer of listed tokens and plain merges is that of the library on the same file. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { byteTokenizerFiles } from "../../../../test/tiny/byte-tokenizer.ts";
import { Random } from "../../../random.ts";
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

test("a word as long as a text, and merges as pairs: the ids of the library", () => {
  const { tokenizer: tiny, config } = byteTokenizerFiles();
  const letters = Array.from("abc▁😀");
  const merges = ["a b", "c ab", "▁ c", "b a", "ba b", "ab ab", "▁c ab", "😀 a", "c c", "cc cc"];
  const tokens = [...new Set([...letters, ...merges.map((merge) => merge.replace(" ", ""))])];
  const model = {
    ...(tiny["model"] as object),
    vocab: Object.fromEntries(["<unk>", ...tokens].map((token, id) => [token, id])),
    unk_token: "<unk>",
  };
  const whole = { ...tiny, model, added_tokens: [], pre_tokenizer: null, normalizer: null, decoder: null };
  const random = new Random(1);
  const text = Array.from({ length: 5000 }, () => [...letters, "?"][random.integer(6)]).join("");
  const paired = merges.map((merge) => merge.split(" "));
  for (const each of [merges, paired, [...paired, ["a ", "b"]]]) {
    const tokenizer = { ...whole, model: { ...model, merges: each } };
    const files = { tokenizer, config: {}, chatTemplate: null };
    const library = new Library(tokenizer, config) as unknown as {
      encode(text: string, options: object): { ids: number[] };
    };
    for (const word of [text, text.slice(0, 256), `${text.slice(0, 300)}\ud83d`, "c".repeat(999)]) {
      const { ids } = library.encode(word, { add_special_tokens: false });
      assert.deepEqual(createTokenizer(files).encode(word, { addSpecialTokens: false }), ids);
    }
  }
});
