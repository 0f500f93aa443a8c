import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UsageError } from "../../errors.ts";
import { processorMs } from "../../train/power/processor-ms.ts";
import { createByteTokenizer } from "../../../test/tiny/byte-tokenizer.ts";
import { CLASS_FORMS, fitClassExample, readClassNames, toClassExample } from "./class-example.ts";
import { readRow } from "../rows/rows.ts";
import { NUMBER_FORMS } from "./target-example.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

const source = { file: "x.jsonl", line: 1 };
const plain = createByteTokenizer();
/** As BERT's: a token before and one behind each text. */
const framed: Tokenizer = {
  ...plain,
  prefixIds: [256],
  suffixIds: [257],
  encode: (text) => [256, ...plain.encode(text), 257],
};
const names = ["ham", "spam"];
const read = (row: unknown, readAt: "first" | "last", tokenizer = plain) =>
  toClassExample(readRow(row, CLASS_FORMS), { tokenizer, classes: { names, readAt } }, source);

describe("toClassExample()", () => {
  test("takes a class by name or number and tells where it is read", () => {
    assert.deepEqual(read({ text: "ab", label: "spam" }, "last"), {
      ids: Int32Array.of(97, 98),
      label: 1,
      labelIndex: 1,
      source,
    });
    const { ids, label, labelIndex } = read({ text: "ab", label: 0 }, "first", framed);
    assert.deepEqual([[...ids], label, labelIndex], [[256, 97, 98, 257], 0, 0]);
  });

  test("reads numbers of tables, in which every cell is text, unless classes have numbers as names", () => {
    assert.deepEqual(
      [read({ text: "a", label: "0" }, "last").label, read({ text: "a", label: "1" }, "last").label],
      [0, 1],
    );
    const stars = { names: ["1", "2"], readAt: "last" as const };
    const of = (label: string): unknown =>
      toClassExample(
        { kind: "class", text: "a", textPair: null, label },
        { tokenizer: plain, classes: stars },
        source,
      ).label;
    assert.equal(of("1"), 0);
    assert.throws(() => of("0"), /Cannot use label "0"/);
  });

  test("takes true and false for the names of classes", () => {
    const classes = { names: ["false", "true"], readAt: "last" as const };
    for (const label of [true, false]) {
      const row = readRow({ text: "a", label }, CLASS_FORMS);
      assert.equal(toClassExample(row, { tokenizer: plain, classes }, source).label, Number(label));
    }
  });

  for (const label of ["egg", "2", 2, -1, 0.5]) {
    test(`refuses class ${label}, which the model does not have`, () => {
      assert.throws(
        () => read({ text: "a", label }, "last"),
        (error: unknown) =>
          error instanceof UsageError &&
          error.code === "usage/data" &&
          error.message ===
            `Cannot use label ${JSON.stringify(label)}: the model has no such class, expected 0 "ham", 1 "spam"`,
      );
    });
  }

  test("refuses labels that are no class and texts that are empty", () => {
    assert.throws(() => read({ text: "a", label: ["ham"] }, "last"), {
      message: /a list, expected the name or number of a class/,
      hint: /multi-label-classification a list/,
    });
    assert.throws(
      () => read({ text: "a", label: null }, "last"),
      /"label": null, expected the name or number/,
    );
    // A cell of a table that is empty; among names of classes it was one more.
    assert.throws(
      () => read({ text: "a", label: "" }, "last"),
      /"label": an empty string, expected the name/,
    );
    assert.throws(() => read({ text: "", label: 1 }, "last"), /"text": an empty string/);
    assert.throws(() => read({ text: "a" }, "last"), /keys "text", expected {"text", "label"}/);
  });
});

test("a long label is no number after time linear in it", () => {
  const start = processorMs();
  assert.throws(() => readRow({ text: "a", label: `${"1".repeat(100_000)}x` }, NUMBER_FORMS), UsageError);
  assert.ok(processorMs() - start < 1000);
});

describe("fitClassExample()", () => {
  test("cuts the end of the text and keeps what stands behind it", () => {
    const long = read({ text: "abcdef", label: 1 }, "first", framed);
    const classes = { names, readAt: "first" as const };
    const cut = fitClassExample(long, { maxLength: 5, tokenizer: framed, classes });
    assert.deepEqual([[...cut.ids], cut.labelIndex], [[256, 97, 98, 99, 257], 0]);
    const last = fitClassExample(read({ text: "abcdef", label: 1 }, "last"), {
      maxLength: 3,
      tokenizer: plain,
      classes: { names, readAt: "last" },
    });
    assert.deepEqual([[...last.ids], last.labelIndex], [[97, 98, 99], 2]);
  });

  test("does not read a class from tokens that fill rows, whole or cut, as transformers", () => {
    const classes = { names, readAt: "last" as const, padId: 257 };
    const of = (text: string) => {
      const row = readRow({ text, label: 1 }, CLASS_FORMS);
      return toClassExample(row, { tokenizer: framed, classes }, source);
    };
    assert.equal(of("ab").labelIndex, 2);
    const cut = fitClassExample(of("abcdef"), { maxLength: 5, tokenizer: framed, classes });
    assert.deepEqual([[...cut.ids], cut.labelIndex], [[256, 97, 98, 99, 257], 3]);
    const first = { ...classes, readAt: "first" as const };
    assert.equal(fitClassExample(cut, { maxLength: 4, tokenizer: framed, classes: first }).labelIndex, 0);
  });
});

describe("readClassNames()", () => {
  test("reads id2label by number, and null where there is none", () => {
    assert.deepEqual(readClassNames({ id2label: { "1": "b", "0": "a" } }), ["a", "b"]);
    assert.equal(readClassNames({}), null);
  });
});
