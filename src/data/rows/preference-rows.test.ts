import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UsageError } from "../../errors.ts";
import { processorMs } from "../../train/power/processor-ms.ts";
import { JUDGED_FORMS, PREFERENCE_FORMS } from "./preference-rows.ts";
import { readRow, type TargetRow } from "./rows.ts";
import { TARGET_FORMS } from "./target-rows.ts";

const user = { role: "user", content: "Q" };
const good = { role: "assistant", content: "A" };
const bad = { role: "assistant", content: "B" };

/** Messages with their weights, or prompt and completion. */
function show(row: TargetRow): unknown {
  if (row.kind === "chat")
    return row.messages.map(({ message, weight }) => [message.role, message.content, weight]);
  return row.kind === "completion" ? [row.prompt, row.completion] : row.text;
}
const pairOf = (value: unknown): unknown[] => {
  const { chosen, rejected } = readRow(value, PREFERENCE_FORMS);
  return [show(chosen), show(rejected)];
};
const asked = ["user", "Q", 0];
const PAIR = [
  [asked, ["assistant", "A", 1]],
  [asked, ["assistant", "B", 1]],
];

describe("readRow() of preferences", () => {
  test("reads a prompt with two answers, as text and as messages", () => {
    assert.deepEqual(pairOf({ prompt: "Q", chosen: "A", rejected: "B", id: 1 }), [
      ["Q", "A"],
      ["Q", "B"],
    ]);
    assert.deepEqual(pairOf({ prompt: [user], chosen: [good], rejected: [bad] }), PAIR);
  });

  test("takes as prompt what conversations without one begin with", () => {
    assert.deepEqual(pairOf({ chosen: [user, good], rejected: [user, bad] }), PAIR);
    const mirrored = [user, bad].map(({ role, content }) => ({ content, role }));
    assert.deepEqual(pairOf({ chosen: [user, good], rejected: mirrored }), PAIR, "keys in another order");
    assert.deepEqual(pairOf({ prompt: null, chosen: [user, good], rejected: [user, bad] }), PAIR);
    assert.deepEqual(pairOf({ chosen: [user, good], rejected: [user, good, user, bad] }), [
      [asked, ["assistant", "A", 1]],
      [asked, ["assistant", "A", 1], ["user", "Q", 1], ["assistant", "B", 1]],
    ]);
  });

  test("takes a prompt of text beside conversations that begin with it for a name, as TRL does", () => {
    assert.deepEqual(pairOf({ prompt: "Q", chosen: [user, good], rejected: [user, bad] }), PAIR);
  });

  test("takes a prompt that both answers begin with once", () => {
    assert.deepEqual(pairOf({ prompt: [user], chosen: [user, good], rejected: [user, bad] }), PAIR);
    const one = { prompt: [user], chosen: [user, good], rejected: [bad] };
    assert.notDeepEqual(pairOf(one), PAIR, "where only one does, it is asked again");
  });

  test("takes as prompt what texts without one begin with, without cutting a word", () => {
    assert.deepEqual(pairOf({ chosen: "Human: Q Bot: yes", rejected: "Human: Q Bot: yeah, no" }), [
      ["Human: Q Bot:", " yes"],
      ["Human: Q Bot:", " yeah, no"],
    ]);
    assert.deepEqual(pairOf({ chosen: "Q a", rejected: "Q a b" }), [
      ["Q", " a"],
      ["Q", " a b"],
    ]);
  });

  test("finds the last word of a long common beginning in linear time", () => {
    const start = processorMs();
    const common = `Q${" ".repeat(100_000)}a b`;
    assert.deepEqual(pairOf({ chosen: `${common}c`, rejected: `${common}d` }), [
      [common.slice(0, -2), " bc"],
      [common.slice(0, -2), " bd"],
    ]);
    assert.ok(processorMs() - start < 1000);
  });

  test("reads OpenAI's form, with tools", () => {
    const tools = [{ type: "function" }];
    const row = {
      input: { messages: [user], tools },
      preferred_output: [good],
      non_preferred_output: [bad],
    };
    assert.deepEqual(pairOf(row), PAIR);
    const { chosen } = readRow(row, PREFERENCE_FORMS);
    assert.deepEqual(chosen.kind === "chat" && chosen.tools, tools);
  });

  test("reads answers that are called good or bad", () => {
    const row = readRow({ prompt: "Q", completion: "A", label: false }, JUDGED_FORMS);
    assert.deepEqual([show(row.answer), row.isDesirable], [["Q", "A"], false]);
    const chat = readRow({ prompt: [user], completion: [good], label: true }, JUDGED_FORMS);
    assert.deepEqual([show(chat.answer), chat.isDesirable], [PAIR[0], true]);
  });

  test("reads judgements of tables, in which every cell is text, and takes no judged answer for one to learn", () => {
    for (const label of ["true", "False", "TRUE"]) {
      const row = { prompt: "Q", completion: "A", label };
      assert.equal(readRow(row, JUDGED_FORMS).isDesirable, label !== "False");
      assert.throws(() => readRow(row, TARGET_FORMS), /keys "prompt", "completion", "label", expected/);
    }
    assert.throws(
      () => readRow({ prompt: "Q", completion: "A", label: "fine" }, JUDGED_FORMS),
      /"label": "fine", expected true or 1 for a good answer, false or 0 for a bad one/,
    );
  });

  test("reads 1 and 0 as judgements of answers, and as nothing of text to learn", () => {
    for (const label of [1, 0, "1", "0"]) {
      const row = { prompt: "Q", completion: "A", label };
      assert.equal(readRow(row, JUDGED_FORMS).isDesirable, Number(label) === 1);
      assert.equal(readRow(row, TARGET_FORMS).kind, "completion");
    }
  });

  for (const [name, row, message] of [
    [
      "a row without a rejected answer",
      { prompt: "Q", chosen: "A" },
      'Cannot read row: keys "prompt", "chosen", expected {"prompt", "chosen", "rejected"}, {"chosen", "rejected"} or ' +
        '{"input", "preferred_output", "non_preferred_output"}',
    ],
    [
      "the same answer twice",
      { prompt: [user], chosen: [good], rejected: [good] },
      'Cannot read "chosen" and "rejected": the same answer twice, expected two different answers',
    ],
    [
      "the same text twice",
      { chosen: "Q A", rejected: "Q A" },
      'Cannot read "chosen" and "rejected": the same answer twice, expected two different answers',
    ],
    [
      "answers that have no beginning in common",
      { chosen: [user, good], rejected: [bad] },
      'Cannot read "chosen" and "rejected": no common beginning, expected a common prompt, or a separate "prompt"',
    ],
    [
      "answers of two forms",
      { chosen: "A", rejected: [bad] },
      'Cannot read "chosen" and "rejected": a string and a list, expected two strings or two lists of messages',
    ],
    [
      "a prompt of another form than its answers",
      { prompt: "Q", chosen: [good], rejected: [bad] },
      'Cannot read "prompt" and "chosen": a string and a list, expected two strings or two lists of messages',
    ],
    [
      "an answer that is empty",
      { prompt: "Q", chosen: "A", rejected: "" },
      'Cannot read "rejected": an empty string, expected text to train on',
    ],
    [
      "a weight that is neither 0 nor 1",
      { prompt: [user], chosen: [{ ...good, weight: 0.5 }], rejected: [bad] },
      'Cannot read "chosen": a message of weight 0.5, expected 0 or 1 when answers are compared',
    ],
    [
      "an input without messages",
      { input: "Q", preferred_output: [good], non_preferred_output: [bad] },
      'Cannot read "input": a string, expected an object with messages',
    ],
  ] as const) {
    test(`refuses ${name}`, () => {
      assert.throws(
        () => readRow(row, PREFERENCE_FORMS),
        (error: unknown) => {
          assert.ok(error instanceof UsageError && error.code === "usage/data");
          assert.equal(error.message, message);
          assert.ok(error.hint);
          return true;
        },
      );
    });
  }
});
