import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import {
  type Comparison,
  fitComparison,
  isTelling,
  mismatch,
  promptLength,
  type ComparedRole,
  type ComparedExample,
} from "./comparison.ts";
import { makeExample } from "./example.ts";

const source = { file: "x.jsonl", line: 1 };
const BOS = 1;

function sequence(
  role: ComparedRole,
  prompt: readonly number[],
  answer: readonly number[],
  group = 0,
): ComparedExample {
  const ids = [...prompt, ...answer];
  return { ...makeExample(ids, (i) => i >= prompt.length, source), role, group };
}
function pair(prompt: readonly number[], chosen: readonly number[], rejected: readonly number[]): Comparison {
  return {
    sequences: [sequence("chosen", prompt, chosen), sequence("rejected", prompt, rejected)],
    source,
  };
}
const show = ({ sequences }: Comparison): string[] =>
  sequences.map(({ ids, weights }) => [...ids].map((id, i) => (weights[i]! > 0 ? `[${id}]` : id)).join(" "));
const fit = (comparison: Comparison, maxLength: number): Comparison =>
  fitComparison(comparison, { maxLength, bosId: BOS });

describe("fitComparison()", () => {
  test("leaves what fits as it is", () => {
    const small = pair([BOS, 2], [3], [4, 5]);
    assert.equal(fit(small, 4), small);
  });

  test("cuts the same beginning of both prompts, and keeps bos", () => {
    assert.deepEqual(show(fit(pair([BOS, 2, 3, 4, 5], [6, 7], [8]), 6)), ["1 3 4 5 [6] [7]", "1 3 4 5 [8]"]);
    assert.deepEqual(show(fit(pair([2, 3, 4, 5], [6, 7], [8]), 5)), ["3 4 5 [6] [7]", "3 4 5 [8]"]);
  });

  test("leaves half the length to the prompt and cuts the ends of answers", () => {
    assert.deepEqual(show(fit(pair([BOS, 2, 3, 4], [5, 6, 7, 8], [9]), 4)), ["1 4 [5] [6]", "1 4 [9]"]);
    assert.deepEqual(show(fit(pair([2], [3, 4, 5, 6], [7]), 3)), ["2 [3] [4]", "2 [7]"]);
  });

  test("keeps to the length, the order and the roles, and both prompts equal", () => {
    const ids = (min: number) => fc.array(fc.integer({ min: 2, max: 9 }), { minLength: min, maxLength: 8 });
    fc.assert(
      fc.property(
        ids(1),
        ids(1),
        ids(1),
        fc.integer({ min: 2, max: 12 }),
        (prompt, chosen, rejected, max) => {
          const whole = pair(prompt, chosen, rejected);
          const { sequences } = fit(whole, max);
          const [a, b] = sequences as [ComparedExample, ComparedExample];
          assert.ok(a.ids.length <= max && b.ids.length <= max);
          assert.equal(promptLength(a), promptLength(b));
          assert.deepEqual(a.ids.slice(0, promptLength(a)), b.ids.slice(0, promptLength(b)));
          assert.deepEqual([a.role, b.role], ["chosen", "rejected"]);
          for (const [one, answer] of [
            [a, chosen],
            [b, rejected],
          ] as const) {
            const kept = one.ids.slice(promptLength(one));
            assert.ok(kept.length > 0);
            assert.deepEqual([...kept], answer.slice(0, kept.length));
            // Nothing is cut that there is room for.
            if (kept.length < answer.length) assert.equal(one.ids.length, max);
          }
        },
      ),
    );
  });
});

describe("isTelling()", () => {
  test("wants trained tokens on each side, and two sides that differ", () => {
    assert.ok(isTelling(pair([1], [2], [3])));
    assert.ok(!isTelling(fit(pair([1, 2], [3, 4, 5], [3, 4, 6]), 4)));
    assert.ok(!isTelling(pair([1], [2], [])));
  });
});

describe("mismatch()", () => {
  test("gives each prompt the answer of the one before, the first that of the last", () => {
    const sequences = [
      sequence("desirable", [1, 2], [3], 7),
      sequence("undesirable", [4], [5, 6], 8),
      sequence("desirable", [7, 8], [9], 9),
    ];
    const others = mismatch(sequences, 10);
    assert.deepEqual(
      others.map(({ ids, weights, role, group }) => [[...ids], [...weights], role, group]),
      [
        [[1, 2, 9], [0, 0, 1], "mismatched", 7],
        [[4, 3], [0, 1], "mismatched", 8],
        [[7, 8, 5, 6], [0, 0, 1, 1], "mismatched", 9],
      ],
    );
    assert.deepEqual([...mismatch(sequences, 3)[2]!.ids], [7, 8, 5]);
  });

  test("has nothing for one sequence alone", () => {
    assert.deepEqual(mismatch([sequence("desirable", [1], [2])], 9), []);
  });
});
