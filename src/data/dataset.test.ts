import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { GraftError } from "../errors.ts";
import { byteTokenizerFiles, createByteTokenizer } from "../../test/tiny/byte-tokenizer.ts";
import { createChatTemplate } from "./chat/chat-template.ts";
import { type DatasetOptions } from "./dataset.ts";
import { readDataset } from "./by-path.ts";
import { DATA_ENDINGS } from "./formats/file-kinds.ts";
import { createTokenizer } from "./tokenizer/tokenizer.ts";
import { TimeBudget } from "../untrusted/time-budget.ts";
import { noteReport } from "./reports/report-notes.ts";

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
async function assertFails(
  path: string,
  code: string,
  message: string,
  more: Partial<DatasetOptions> = {},
): Promise<void> {
  await assert.rejects(readDataset(path, { ...options, ...more }), (error: unknown) => {
    assert.ok(error instanceof GraftError);
    assert.equal(error.message.replaceAll(path, "FILE"), message);
    assert.equal(error.code, code);
    assert.ok(error.hint);
    return true;
  });
}

describe("readDataset()", () => {
  test("tells how columns under other names are given", async () => {
    const asked = write("asked.jsonl", lines({ question: "a", answer: "b" }));
    await assert.rejects(readDataset(asked, options), {
      hint: /--columns prompt=question,completion=answer/,
    });
  });

  test("reads JSON lines, skips empty ones and counts what it read", async () => {
    const path = write(
      "rows.jsonl",
      `\uFEFF${lines({ text: "abc" })}\r\n\n\uFEFF${lines({ prompt: "a", completion: "b" })}`,
    );
    const { train, valid, test, reports } = await readDataset(path, options);
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
      numPlainPrompts: 1,
      numUnshown: 0,
      numLabelled: 0,
      longest: 4,
      faults: [],
      lengths: { min: 3, median: 3.5, mean: 3.5, max: 4 },
    });
    assert.equal(reports.valid, null);
  });

  test("counts texts whose labels are not learned, and the note says what learns them", async () => {
    const rows = [
      { text: "a", label: 1 },
      { text: "b", label: "bad" },
      { text: "c", label: null },
      { text: "d" },
    ];
    const path = write("labelled.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
    const { train, reports } = await readDataset(path, options);
    assert.deepEqual([train.length, reports.train.numLabelled], [4, 2]);
    assert.match(
      noteReport(reports.train, 9).join(),
      /2 text rows have labels, .*--objective classification/,
    );
  });

  test("reads a JSON array", async () => {
    const path = write(
      "rows.json",
      JSON.stringify([{ instruction: "a", input: "", output: "b" }, { text: "c" }]),
    );
    const { train } = await readDataset(path, options);
    assert.equal(train.length, 2);
    assert.deepEqual(train[1]?.source, { file: path, line: 2 });
  });

  test("reads a folder with train, valid and test files", async () => {
    write("set/train.jsonl", lines({ text: "one" }));
    write("set/valid.jsonl", lines({ text: "two" }, { text: "three" }));
    write("set/test.json", JSON.stringify([{ text: "four" }]));
    const { train, valid, test, reports } = await readDataset(join(folder, "set"), options);
    assert.deepEqual([train.length, valid?.length, test?.length], [1, 2, 1]);
    assert.equal(reports.valid?.numExamples, 2);
    assert.equal(reports.test?.numTokens, 5);
  });

  test("reads a text of Windows as the same text with line feeds alone, and keeps what strings of rows say", async () => {
    const textsOf = async (path: string): Promise<string[]> =>
      (await readDataset(path, options)).train.map(({ ids }) => textOf(ids));
    for (const [i, end] of ["\n", "\r\n", "\r"].entries())
      assert.deepEqual(await textsOf(write(`ends-${i}.txt`, ["a", "", "b", ""].join(end))), ["a\n\nb\n"]);
    assert.deepEqual(await textsOf(write("ends.jsonl", lines({ text: "a\r\nb" }))), ["a\r\nb<|im_end|>"]);
  });

  test("cuts a text file into windows in order, with loss on all, and keeps a tail of two tokens", async () => {
    const { train } = await readDataset(write("a.txt", "abcdefgh"), { ...options, maxLength: 3 });
    assert.deepEqual(
      train.map(({ ids, weights }) => [textOf(ids), ...weights]),
      [
        ["abc", 0, 1, 1],
        ["def", 0, 1, 1],
        ["gh", 0, 1],
      ],
    );
    assert.equal((await readDataset(write("b.txt", "abcd"), { ...options, maxLength: 3 })).train.length, 1);
  });

  test("truncates overlong examples, and drops and counts those that lose all their trained tokens", async () => {
    const path = write(
      "long.jsonl",
      lines(
        { prompt: "ab", completion: "cdefgh" },
        { prompt: "abcdef", completion: "x" },
        { prompt: "a", completion: "b" },
      ),
    );
    const { train, reports } = await readDataset(path, { ...options, maxLength: 5 });
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

  test("drops overlong examples on demand", async () => {
    const path = write("drop.jsonl", lines({ text: "abcdef" }, { text: "ab" }));
    const { train, reports } = await readDataset(path, { ...options, maxLength: 3, overlong: "drop" });
    assert.equal(train.length, 1);
    assert.equal(reports.train.numDropped, 1);
    assert.equal(reports.train.numTruncated, 0);
  });

  test("refuses overlong examples on demand, naming the line and both lengths", async () => {
    const path = write("refuse.jsonl", lines({ text: "ab" }, { text: "abcdef" }));
    await assertFails(
      path,
      "usage/data",
      'Cannot use data set "FILE": 1 faulty row\n  FILE:2: Cannot use example: 7 tokens, expected at most 3',
      { maxLength: 3, overlong: "error" },
    );
  });

  test("says that a file is missing", async () => {
    await assertFails(
      join(folder, "none.jsonl"),
      "format/file",
      `Cannot read data set "FILE": no such file, expected a file (${DATA_ENDINGS.join(", ")}; also .gz, .zst) or a folder`,
    );
  });

  test("says of a file that is too large for one read how it is divided", async () => {
    for (const [name, hint] of [
      ["large.jsonl", /^Split it into several files in one folder, for example with split/],
      ["large.jsonl.gz", /^Split it into several files in one folder/],
      ["large.parquet", /^Split it into several files in one folder/],
    ] as const) {
      const path = write(name, "");
      truncateSync(path, 2 ** 31);
      await assert.rejects(readDataset(path, options), {
        code: "format/file",
        message: `Cannot read data set "${path}": the file has 2 GiB or more, expected a smaller one`,
        hint,
      });
      rmSync(path);
    }
  });

  test("says of an address that it is none of this machine", async () => {
    await assert.rejects(readDataset("https://example.com/a.jsonl", options), { hint: /download the file/ });
  });

  test("says of a text that it goes in as a row", async () => {
    for (const text of ["The lamp is round.", "A lamp.\n".repeat(600)])
      await assert.rejects(readDataset(text, options), { code: "format/file", hint: /as a row, \{ text \}/ });
  });

  test("says that a folder has no training file", async () => {
    mkdirSync(join(folder, "hollow"), { recursive: true });
    await assertFails(
      join(folder, "hollow"),
      "usage/data",
      `Cannot read data set "FILE": the folder has no training file, expected train.jsonl or other files that end in ${DATA_ENDINGS.join(", ")}`,
    );
  });

  test("says that a data set is empty", async () => {
    for (const path of [write("empty.jsonl", "\n\n"), write("empty.json", "[]"), write("empty.txt", "a")]) {
      await assertFails(path, "usage/data", 'Cannot use data set "FILE": no examples, expected at least one');
    }
  });

  test("says that all examples were dropped", async () => {
    await assertFails(
      write("gone.jsonl", lines({ text: "abcdef" })),
      "usage/data",
      'Cannot use data set "FILE": at 3 tokens, nothing to train on is left of its 1 example, expected at least one',
      { maxLength: 3, overlong: "drop" },
    );
  });

  test("says that nothing is to be learned where nothing was too long", async () => {
    const question = { role: "user", content: "Q" };
    const answer = { role: "assistant", content: "A" };
    const messages = [question, answer, question, { ...answer, weight: 0 }];
    await assertFails(
      write("unlearned.jsonl", lines({ messages })),
      "usage/data",
      'Cannot use data set "FILE": no token of its 1 example counts in the loss, expected at least one',
      { trainOn: "last-assistant" },
    );
  });

  test("names file and line of broken JSON", async () => {
    const path = write("broken.jsonl", `${lines({ text: "a" })}{"text": "b"\n`);
    await assert.rejects(
      readDataset(path, options),
      (error: unknown) =>
        error instanceof GraftError &&
        error.code === "format/json" &&
        error.message.startsWith(
          `Cannot use data set "${path}": 1 faulty row\n  ${path}:2: Cannot parse row: `,
        ) &&
        error.message.endsWith(", expected one JSON object per line"),
    );
  });

  test("refuses a .json file that is broken or no array", async () => {
    await assert.rejects(
      readDataset(write("broken.json", "[{]"), options),
      (error: unknown) => error instanceof GraftError && error.message.endsWith(", expected a JSON array"),
    );
    await assertFails(
      write("one.json", "{}"),
      "format/json",
      'Cannot read data set "FILE": the file contains one object, expected a JSON array of rows',
    );
    await assertFails(
      write("none.json", "null"),
      "format/json",
      'Cannot read data set "FILE": the file contains null, expected a JSON array of rows',
    );
  });

  test("tells all faulty rows at once, counted by kind, with the first few lines of each", async () => {
    const bot = { messages: [{ role: "bot", content: "x" }] };
    const path = write("faulty.jsonl", lines({ text: "a" }, bot, { question: "q" }));
    await assertFails(
      path,
      "usage/data",
      'Cannot use data set "FILE": 2 faulty rows\n' +
        '  FILE:2: Cannot read message 1: role "bot", expected system, developer, user, assistant, tool or function\n' +
        '  FILE:3: Cannot read row: keys "question", expected {"messages"}, {"conversations"}, ' +
        '{"prompt", "completion"}, {"instruction", "output"} or {"text"}',
    );
    const rows = Array.from({ length: 1200 }, (_, i) => (i === 3 ? "no JSON" : JSON.stringify(bot)));
    const many = write("many.jsonl", rows.join("\n"));
    await assert.rejects(readDataset(many, options), {
      code: "usage/data",
      message: new RegExp(
        `: 1,200 faulty rows\n  ${many}:1, 2, 3, 5, 6 and 1,194 more \\(1,199 rows\\): Cannot read message 1.*\n` +
          `  ${many}:4: Cannot parse row: .*, expected one JSON object per line$`,
      ),
      hint: /--skip-faulty/,
    });
    const list = write("many.json", JSON.stringify([bot, bot]));
    await assert.rejects(
      readDataset(list, options),
      /many\.json item 1, 2 \(2 rows\): Cannot read message 1/,
    );
  });

  test("leaves faulty rows out on demand, and counts them", async () => {
    const path = write("some.jsonl", `${lines({ text: "a" }, { b: 1 }, { b: 2 })}{\n`);
    const { train, reports } = await readDataset(path, { ...options, skipFaulty: true });
    assert.equal(train.length, 1);
    assert.deepEqual(
      reports.train.faults.map(({ code, numRows, places }) => [
        code,
        numRows,
        places.map(({ line }) => line),
      ]),
      [
        ["usage/data", 2, [2, 3]],
        ["format/json", 1, [4]],
      ],
    );
    const all = write("all.jsonl", lines({ b: 1 }));
    await assert.rejects(readDataset(all, { ...options, skipFaulty: true }), /all 1 rows are faulty/);
  });

  test("never leaves out rows for which there was no time: how many they are hangs on the machine", async () => {
    let ms = 0;
    const files = byteTokenizerFiles();
    const pattern = { Regex: "[\\s\\S]+\\u0001" };
    const split = { type: "Split", pattern, behavior: "Isolated", invert: false };
    const slow = createTokenizer(
      { ...files, tokenizer: { ...files.tokenizer, pre_tokenizer: split } },
      new TimeBudget(() => (ms += 500)),
    );
    const path = write("slow.jsonl", lines({ text: "x".repeat(400_000) }, { text: "short" }, { b: 1 }));
    for (const [skipFaulty, numFaulty, hint] of [
      [true, "1 faulty row", /^Split the text [^-]*$/],
      [false, "2 faulty rows", /^Split the text .*--skip-faulty/],
    ] as const)
      await assert.rejects(readDataset(path, { ...options, tokenizer: slow, skipFaulty }), {
        code: "format/file",
        message: new RegExp(`${numFaulty}\n.*slow\\.jsonl:1: Cannot encode .*it does not end`),
        hint,
      });
  });

  test("tells the faulty rows of all files of a folder together", async () => {
    write("bad/train.jsonl", lines({ b: 1 }));
    write("bad/valid.jsonl", lines({ text: "a" }, { b: 1 }));
    await assert.rejects(
      readDataset(join(folder, "bad"), options),
      /2 faulty rows\n {2}\S+train\.jsonl:1, \S+valid\.jsonl:2 \(2 rows\): Cannot read row/,
    );
  });

  test("names the line when the template is missing or rejects the messages", async () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ];
    const path = write("chat.jsonl", lines({ messages }));
    await assertFails(
      path,
      "usage/chat-template",
      'Cannot use data set "FILE": 1 faulty row\n  FILE:1: Cannot render messages: the model has no chat template, ' +
        "expected one in tokenizer_config.json or chat_template.jinja",
      { template: createChatTemplate({ tokenizer: {}, config: {}, chatTemplate: null }) },
    );
  });

  test("reads pairs, cuts them together, and drops those that are the same afterwards", async () => {
    const path = write(
      "pairs.jsonl",
      lines(
        { prompt: "abcd", chosen: "xy", rejected: "z" },
        { prompt: "ab", chosen: "vwxyz!", rejected: "vwxyz?" },
        { prompt: "a", chosen: "b", rejected: "c" },
      ),
    );
    const { train, reports } = await readDataset(path, { ...options, kind: "preference", maxLength: 6 });
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

  test("reads answers called good or bad, and classes", async () => {
    const judged = write("judged.jsonl", lines({ prompt: "a", completion: "b", label: false }));
    assert.deepEqual(
      (await readDataset(judged, { ...options, kind: "unpaired" })).train.map(({ sequences }) =>
        sequences.map(({ role }) => role),
      ),
      [["undesirable"]],
    );
    const classes = { names: ["no", "yes"], readAt: "last" as const };
    const path = write("classes.jsonl", lines({ text: "abc", label: "yes" }, { text: "d", label: 0 }));
    const { train, reports } = await readDataset(path, {
      ...options,
      kind: "classes",
      classes,
      maxLength: 2,
    });
    assert.deepEqual(
      train.map(({ ids, label, labelIndex }) => [textOf(ids), label, labelIndex]),
      [
        ["ab", 1, 1],
        ["d", 0, 0],
      ],
    );
    assert.deepEqual([reports.train.numTrainedTokens, reports.train.numTruncated], [2, 1]);
  });

  test("names rows, keys and what to do when rows are for another objective", async () => {
    const preference = write(
      "for-dpo.jsonl",
      lines({ text: "a" }, { prompt: "a", chosen: "b", rejected: "c" }),
    );
    const target =
      '{"messages"}, {"conversations"}, {"prompt", "completion"}, {"instruction", "output"} or {"text"}';
    await assertFails(
      preference,
      "usage/data",
      `Cannot use data set "FILE": 1 faulty row\n  FILE:2: Cannot read row: keys "prompt", "chosen", "rejected", expected ${target}`,
    );
    await assert.rejects(readDataset(preference, options), {
      hint: /^Such rows are for a different objective \(two answers to a prompt, one of them better\): choose one .* with --objective of graft train, .* --eval-data \(graft eval does not\), or/,
    });
    const judged = write("for-kto.jsonl", lines({ prompt: "a", completion: "b", label: false }));
    await assertFails(
      judged,
      "usage/data",
      `Cannot use data set "FILE": 1 faulty row\n  FILE:1: Cannot read row: keys "prompt", "completion", "label", expected ${target}`,
    );
    await assert.rejects(
      readDataset(judged, options),
      (error: unknown) => error instanceof GraftError && /different objective/.test(error.hint ?? ""),
    );
    const text = write("plain.txt", "abc");
    await assert.rejects(
      readDataset(text, { ...options, kind: "preference" }),
      /plain text, expected rows {"prompt", "chosen", "rejected"}/,
    );
    const classes = write("label.jsonl", lines({ text: "a", label: 1 }));
    await assert.rejects(readDataset(classes, { ...options, kind: "classes" }), /the model has none/);
  });
});
