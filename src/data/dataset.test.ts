import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { GraftError } from "../errors.ts";
import { byteTokenizerFiles, createByteTokenizer } from "../../test/byte-tokenizer.ts";
import { createChatTemplate } from "./chat-template.ts";
import { type DatasetOptions } from "./dataset.ts";
import { readDataset } from "./by-path.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-data-"));
after(() => rmSync(folder, { recursive: true }));

const tokenizer = createByteTokenizer();
const options: DatasetOptions = {
  tokenizer,
  template: createChatTemplate(byteTokenizerFiles()),
  maxLength: 100,
};

function write(name: string, content: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
}
const lines = (...rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const textOf = (ids: Int32Array) => tokenizer.decode(ids);

/** Asserts that reading throws this code and message, in which FILE stands for the path. */
function assertFails(path: string, code: string, message: string, more: Partial<DatasetOptions> = {}): void {
  assert.throws(
    () => readDataset(path, { ...options, ...more }),
    (error: unknown) => {
      assert.ok(error instanceof GraftError);
      assert.equal(error.message.replaceAll(path, "FILE"), message);
      assert.equal(error.code, code);
      assert.ok(error.hint);
      return true;
    },
  );
}

describe("readDataset()", () => {
  it("reads JSON lines, skips empty ones and counts what it read", () => {
    const path = write(
      "rows.jsonl",
      `\uFEFF${lines({ text: "abc" })}\r\n\n${lines({ prompt: "a", completion: "b" })}`,
    );
    const { train, valid, test, reports } = readDataset(path, options);
    assert.deepEqual(
      train.map(({ ids }) => textOf(ids)),
      ["abc<|im_end|>", "ab<|im_end|>"],
    );
    assert.deepEqual(
      train.map((example) => example.source),
      [
        { file: path, line: 1 },
        { file: path, line: 4 },
      ],
    );
    assert.equal(valid, null);
    assert.equal(test, null);
    assert.deepEqual(reports.train, {
      numExamples: 2,
      numTokens: 7,
      numTrainedTokens: 5,
      numTruncated: 0,
      numDropped: 0,
      lengths: { min: 3, median: 3, mean: 3.5, max: 4 },
    });
    assert.equal(reports.valid, null);
  });

  it("reads a JSON array", () => {
    const path = write(
      "rows.json",
      JSON.stringify([{ instruction: "a", input: "", output: "b" }, { text: "c" }]),
    );
    const { train } = readDataset(path, options);
    assert.equal(train.length, 2);
    assert.deepEqual(train[1]?.source, { file: path, line: 2 });
  });

  it("reads a folder with train, valid and test files", () => {
    write("set/train.jsonl", lines({ text: "one" }));
    write("set/valid.jsonl", lines({ text: "two" }, { text: "three" }));
    write("set/test.json", JSON.stringify([{ text: "four" }]));
    const { train, valid, test, reports } = readDataset(join(folder, "set"), options);
    assert.deepEqual([train.length, valid?.length, test?.length], [1, 2, 1]);
    assert.equal(reports.valid?.numExamples, 2);
    assert.equal(reports.test?.numTokens, 5);
  });

  it("cuts a text file into windows in order, with loss on all, and keeps a tail of two tokens", () => {
    const { train } = readDataset(write("a.txt", "abcdefgh"), { ...options, maxLength: 3 });
    assert.deepEqual(
      train.map(({ ids, weights }) => [textOf(ids), ...weights]),
      [
        ["abc", 0, 1, 1],
        ["def", 0, 1, 1],
        ["gh", 0, 1],
      ],
    );
    assert.equal(readDataset(write("b.txt", "abcd"), { ...options, maxLength: 3 }).train.length, 1);
  });

  it("truncates overlong examples, and drops and counts those that lose all their trained tokens", () => {
    const path = write(
      "long.jsonl",
      lines(
        { prompt: "ab", completion: "cdefgh" },
        { prompt: "abcdef", completion: "x" },
        { prompt: "a", completion: "b" },
      ),
    );
    const { train, reports } = readDataset(path, { ...options, maxLength: 5 });
    assert.deepEqual(
      train.map(({ ids, weights }) => [textOf(ids), [...weights].join("")]),
      [
        ["abcde", "00111"],
        ["ab<|im_end|>", "011"],
      ],
    );
    assert.equal(reports.train.numTruncated, 1);
    assert.equal(reports.train.numDropped, 1);
    assert.equal(reports.train.numTrainedTokens, 5);
  });

  it("drops overlong examples on demand", () => {
    const path = write("drop.jsonl", lines({ text: "abcdef" }, { text: "ab" }));
    const { train, reports } = readDataset(path, { ...options, maxLength: 3, overlong: "drop" });
    assert.equal(train.length, 1);
    assert.equal(reports.train.numDropped, 1);
    assert.equal(reports.train.numTruncated, 0);
  });

  it("refuses overlong examples on demand, naming the line and both lengths", () => {
    const path = write("refuse.jsonl", lines({ text: "ab" }, { text: "abcdef" }));
    assertFails(
      path,
      "usage/data",
      'Cannot use data set "FILE": 1 faulty row\n  FILE:2: Cannot use example: 7 tokens, expected at most 3',
      { maxLength: 3, overlong: "error" },
    );
  });

  it("says that a file is missing", () => {
    assertFails(
      join(folder, "none.jsonl"),
      "format/file",
      'Cannot read data set "FILE": no such file, expected a .jsonl, .json or .txt file or a folder',
    );
  });

  it("says that a folder has no training file", () => {
    mkdirSync(join(folder, "hollow"), { recursive: true });
    assertFails(
      join(folder, "hollow"),
      "usage/data",
      'Cannot read data set "FILE": the folder has no training file, expected train.jsonl, train.json or train.txt',
    );
  });

  it("says that a data set is empty", () => {
    for (const path of [write("empty.jsonl", "\n\n"), write("empty.json", "[]"), write("empty.txt", "a")]) {
      assertFails(path, "usage/data", 'Cannot use data set "FILE": no examples, expected at least one');
    }
  });

  it("says that all examples were dropped", () => {
    assertFails(
      write("gone.jsonl", lines({ text: "abcdef" })),
      "usage/data",
      'Cannot use data set "FILE": all 1 examples were dropped at 3 tokens, expected at least one',
      { maxLength: 3, overlong: "drop" },
    );
  });

  it("names file and line of broken JSON", () => {
    const path = write("broken.jsonl", `${lines({ text: "a" })}{"text": "b"\n`);
    assert.throws(
      () => readDataset(path, options),
      (error: unknown) =>
        error instanceof GraftError &&
        error.code === "format/json" &&
        error.message.startsWith(`Cannot parse line "${path}:2": `) &&
        error.message.endsWith(", expected one JSON object a line"),
    );
  });

  it("refuses a .json file that is broken or no array", () => {
    assert.throws(
      () => readDataset(write("broken.json", "[{]"), options),
      (error: unknown) => error instanceof GraftError && error.message.endsWith(", expected a JSON array"),
    );
    assertFails(
      write("one.json", "{}"),
      "format/json",
      'Cannot read data set "FILE": the file holds one object, expected a JSON array of rows',
    );
  });

  it("names all faulty rows at once, up to ten", () => {
    const bot = { messages: [{ role: "bot", content: "x" }] };
    const path = write("faulty.jsonl", lines({ text: "a" }, bot, { question: "q" }));
    assertFails(
      path,
      "usage/data",
      'Cannot use data set "FILE": 2 faulty rows\n' +
        '  FILE:2: Cannot read message 1: role "bot", expected system, user, assistant or tool\n' +
        '  FILE:3: Cannot read row: keys "question", expected {"messages"}, {"conversations"}, ' +
        '{"prompt", "completion"}, {"instruction", "output"} or {"text"}',
    );
    const many = write("many.json", JSON.stringify(Array.from({ length: 12 }, () => bot)));
    assert.throws(() => readDataset(many, options), /12 faulty rows\n(.*\n){10} {2}and 2 more$/);
    assert.throws(() => readDataset(many, options), /many\.json item 1: Cannot read message 1/);
  });

  it("names the line when the template is missing or rejects the messages", () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ];
    const path = write("chat.jsonl", lines({ messages }));
    assertFails(
      path,
      "usage/chat-template",
      'Cannot use data set "FILE": 1 faulty row\n  FILE:1: Cannot render messages: the model has no chat template, ' +
        "expected one in tokenizer_config.json or chat_template.jinja",
      { template: createChatTemplate({ tokenizer: {}, config: {}, chatTemplate: null }) },
    );
  });

  it("reads pairs, cuts them together, and drops those that are the same afterwards", () => {
    const path = write(
      "pairs.jsonl",
      lines(
        { prompt: "abcd", chosen: "xy", rejected: "z" },
        { prompt: "ab", chosen: "vwxyz!", rejected: "vwxyz?" },
        { prompt: "a", chosen: "b", rejected: "c" },
      ),
    );
    const { train, reports } = readDataset(path, { ...options, kind: "preference", maxLength: 6 });
    assert.deepEqual(
      train.map(({ sequences }) =>
        sequences.map(({ role, group, ids, weights }) => [role, group, textOf(ids), [...weights].join("")]),
      ),
      [
        [
          ["chosen", 1, "bcdxy<|im_end|>", "000111"],
          ["rejected", 1, "bcdz<|im_end|>", "00011"],
        ],
        [
          ["chosen", 3, "ab<|im_end|>", "011"],
          ["rejected", 3, "ac<|im_end|>", "011"],
        ],
      ],
    );
    const { numExamples, numTrainedTokens, numTruncated, numDropped } = reports.train;
    assert.deepEqual([numExamples, numTrainedTokens, numTruncated, numDropped], [2, 9, 1, 1]);
  });

  it("reads answers called good or bad, and classes", () => {
    const judged = write("judged.jsonl", lines({ prompt: "a", completion: "b", label: false }));
    assert.deepEqual(
      readDataset(judged, { ...options, kind: "unpaired" }).train.map(({ sequences }) =>
        sequences.map(({ role }) => role),
      ),
      [["undesirable"]],
    );
    const classes = { names: ["no", "yes"], readAt: "last" as const };
    const path = write("classes.jsonl", lines({ text: "abc", label: "yes" }, { text: "d", label: 0 }));
    const { train, reports } = readDataset(path, { ...options, kind: "classes", classes, maxLength: 2 });
    assert.deepEqual(
      train.map(({ ids, label, labelIndex }) => [textOf(ids), label, labelIndex]),
      [
        ["ab", 1, 1],
        ["d", 0, 0],
      ],
    );
    assert.deepEqual([reports.train.numTrainedTokens, reports.train.numTruncated], [2, 1]);
  });

  it("names rows, keys and what to do when rows are for another objective", () => {
    const preference = write(
      "for-dpo.jsonl",
      lines({ text: "a" }, { prompt: "a", chosen: "b", rejected: "c" }),
    );
    const target =
      '{"messages"}, {"conversations"}, {"prompt", "completion"}, {"instruction", "output"} or {"text"}';
    assertFails(
      preference,
      "usage/data",
      `Cannot use data set "FILE": 1 faulty row\n  FILE:2: Cannot read row: keys "prompt", "chosen", "rejected", expected ${target}`,
    );
    const judged = write("for-kto.jsonl", lines({ prompt: "a", completion: "b", label: false }));
    assertFails(
      judged,
      "usage/data",
      `Cannot use data set "FILE": 1 faulty row\n  FILE:1: Cannot read row: keys "prompt", "completion", "label", expected ${target}`,
    );
    assert.throws(
      () => readDataset(judged, options),
      (error: unknown) => error instanceof GraftError && /another objective/.test(error.hint ?? ""),
    );
    const text = write("plain.txt", "abc");
    assert.throws(
      () => readDataset(text, { ...options, kind: "preference" }),
      /plain text, expected rows {"prompt", "chosen", "rejected"}/,
    );
    const classes = write("label.jsonl", lines({ text: "a", label: 1 }));
    assert.throws(() => readDataset(classes, { ...options, kind: "classes" }), /the model has none/);
  });
});
