import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Comparison, ComparedRole } from "../../data/examples/comparison.ts";
import { makeExample } from "../../data/examples/example.ts";
import { mismatchedBatches, unitsToBatch } from "./micro-batch.ts";
import { countStep } from "./sequence-scores.ts";

const source = { file: "x.jsonl", line: 1 };
function unit(group: number, ...sides: readonly (readonly [ComparedRole, number[], number[]])[]): Comparison {
  const sequences = sides.map(([role, prompt, answer]) => ({
    ...makeExample([...prompt, ...answer], (i) => i >= prompt.length, source),
    role,
    group,
  }));
  return { sequences, source };
}

describe("unitsToBatch()", () => {
  test("keeps pairs apart that come from rows of equal numbers", () => {
    const pair = unit(1, ["chosen", [1], [2]], ["rejected", [1], [3]]);
    const batch = unitsToBatch([pair, pair]);
    assert.deepEqual(batch.sequences.map(({ role, group }) => `${role} ${group}`).sort(), [
      "chosen 0",
      "chosen 1",
      "rejected 0",
      "rejected 1",
    ]);
  });

  test("puts both sides of pairs into one batch, with a label for each token of an answer", () => {
    const batch = unitsToBatch([
      unit(1, ["chosen", [1, 2], [3, 4]], ["rejected", [1, 2], [5]]),
      unit(2, ["chosen", [6], [7]], ["rejected", [6], [8, 9]]),
    ]);
    assert.deepEqual(batch.sequences.map(({ role, group }) => `${role} ${group}`).sort(), [
      "chosen 0",
      "chosen 1",
      "rejected 0",
      "rejected 1",
    ]);
    const labelsOf = (role: ComparedRole, group: number): number[] => {
      const index = batch.sequences.findIndex((one) => one.role === role && one.group === group);
      const labels = batch.labels.filter((label) => label >= 0);
      return Array.from(labels.filter((_, i) => batch.sequenceOf[i] === index));
    };
    assert.deepEqual(labelsOf("chosen", 0), [3, 4]);
    assert.deepEqual(labelsOf("rejected", 0), [5]);
    assert.deepEqual(labelsOf("chosen", 1), [7]);
    assert.deepEqual(labelsOf("rejected", 1), [8, 9]);
    assert.deepEqual(countStep([batch, batch]).numLabels, {
      target: 0,
      chosen: 6,
      rejected: 6,
      desirable: 0,
      undesirable: 0,
      mismatched: 0,
    });
  });
});

describe("mismatchedBatches()", () => {
  test("goes round the whole step, whatever its micro-batches", () => {
    const units = [1, 2, 3].map((i) => unit(i, ["desirable", [10 * i], [10 * i + 1]]));
    const idsOf = (cut: readonly (readonly Comparison[])[]): string[] =>
      mismatchedBatches(cut, 9).flatMap(({ input, numRows, length }) =>
        Array.from({ length: numRows }, (_, row) =>
          input.data.slice(row * length, (row + 1) * length).join(),
        ),
      );
    assert.deepEqual(idsOf([units]), ["10,31", "20,11", "30,21"]);
    assert.deepEqual(idsOf([units.slice(0, 1), units.slice(1)]), ["10,31", "20,11", "30,21"]);
    assert.deepEqual(idsOf([units.slice(0, 1)]), []);
  });
});
