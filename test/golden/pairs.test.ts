/** Two texts that are judged together, put together and cut as the tokenizers package does it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBatch } from "../../src/data/batches/batch.ts";
import { CLASS_FORMS, fitClassExample, toClassExample } from "../../src/data/examples/class-example.ts";
import { UnitPacker, unpackUnits } from "../../src/data/examples/packed-units.ts";
import { readRow } from "../../src/data/rows/rows.ts";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { goldenJson } from "./golden-files.ts";

const { pairs, forms } = goldenJson<{
  readonly pairs: readonly (readonly [string, string])[];
  readonly forms: Readonly<
    Record<
      string,
      {
        readonly tokenizer: Record<string, unknown>;
        readonly cases: readonly { length: number; ids: readonly number[][]; types: readonly number[][] }[];
      }
    >
  >;
}>("pairs", "pairs.json");

for (const [form, { tokenizer: file, cases }] of Object.entries(forms)) {
  const tokenizer = createTokenizer({ tokenizer: file, config: {}, chatTemplate: null });
  const classes = { names: ["no", "yes"], readAt: "last" as const };
  const examples = pairs.map(([text, second], line) => {
    const row = readRow({ text, text_pair: second, label: "yes" }, CLASS_FORMS);
    return toClassExample(row, { tokenizer, classes }, { file: "pairs", line });
  });
  for (const { length, ids, types } of cases) {
    test(`pairs of ${form} ${length === 0 ? "as they are" : `in ${length} tokens`}`, () => {
      const packer = new UnitPacker();
      for (const example of examples) {
        packer.add(
          length > 0 ? fitClassExample(example, { maxLength: length, tokenizer, classes }) : example,
        );
      }
      const found = unpackUnits(packer.take(), "pairs");
      assert.deepEqual(
        found.map((unit) => "ids" in unit && [...unit.ids]),
        ids,
      );
      for (const [i, unit] of found.entries()) {
        assert.ok("ids" in unit);
        const batch = toBatch([[unit]]);
        assert.equal(
          batch.labels.findIndex((label) => label === 1),
          ids[i]!.length - 1,
        );
        // The types of RoBERTa's form are all 0, which is up to its models; here the second text is told apart anyway.
        if (form === "BertProcessing") assert.deepEqual([...batch.tokenTypes!], types[i]);
      }
    });
  }
}

test("texts of one batch are told apart where some are pairs, and rows without a second text are as before", () => {
  const tokenizer = createTokenizer({
    tokenizer: forms["BertProcessing"]!.tokenizer,
    config: {},
    chatTemplate: null,
  });
  const classes = { names: ["no", "yes"], readAt: "first" as const };
  const of = (row: object) =>
    toClassExample(
      readRow({ ...row, label: 0 }, CLASS_FORMS),
      { tokenizer, classes },
      { file: "pairs", line: 1 },
    );
  const alone = of({ text: "the cat sat", text_pair: "" });
  assert.deepEqual(alone, of({ text: "the cat sat" }));
  assert.equal(toBatch([[alone]]).tokenTypes, null);
  const both = toBatch([[of({ text: "a cat", text_pair: "the dog" })], [alone]]);
  assert.deepEqual([...both.tokenTypes!], [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
  assert.throws(
    () => of({ text: "a", text_pair: 7 }),
    /Cannot read "text_pair": a number, expected a string/,
  );
});

test("a file whose template of pairs names a token that there is not is one for texts alone", () => {
  const files = byteTokenizerFiles();
  const text = { Sequence: { id: "A", type_id: 0 } };
  const pair = [text, { SpecialToken: { id: "[GONE]", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }];
  const processor = { type: "TemplateProcessing", single: [text], pair, special_tokens: {} };
  const tokenizer = createTokenizer({
    ...files,
    tokenizer: { ...files.tokenizer, post_processor: processor },
  });
  assert.deepEqual(tokenizer.encode("ab"), [97, 98]);
  assert.throws(() => tokenizer.encodePair("ab", "c"), /no id for "\[GONE\]"/);
});
