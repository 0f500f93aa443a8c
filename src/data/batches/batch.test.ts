import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { NO_LABEL, toBatch } from "./batch.ts";
import { rowLength } from "../examples/training-unit.ts";
import type { ClassExample } from "../examples/class-example.ts";
import type { ComparedExample } from "../examples/comparison.ts";
import { makeExample, type Example } from "../examples/example.ts";

const source = { file: "x.jsonl", line: 1 };
const example = (ids: number[], trained: number[]): Example =>
  makeExample(ids, (i) => trained[i] === 1, source);

const anyExample = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 1 })), {
    minLength: 1,
    maxLength: 6,
  })
  .map((tokens) =>
    example(
      tokens.map(([id]) => id),
      tokens.map(([, flag]) => flag),
    ),
  );

describe("toBatch()", () => {
  test("lays out rows with padding at the right and labels that are shifted inside each example", () => {
    const batch = toBatch([
      [example([5, 6, 7], [0, 0, 1]), example([8, 9], [0, 1])],
      [example([3, 4], [0, 1])],
    ]);
    assert.deepEqual(batch, {
      numRows: 2,
      length: 5,
      input: hostTensor("int64", [2, 5], BigInt64Array.of(5n, 6n, 7n, 8n, 9n, 3n, 4n, 0n, 0n, 0n)),
      positions: BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 0n, 1n, 0n, 0n, 0n),
      segments: Int32Array.of(1, 1, 1, 2, 2, 1, 1, 0, 0, 0),
      tokenTypes: null,
      targets: null,
      labels: Int32Array.of(-100, 7, -100, 9, -100, 4, -100, -100, -100, -100),
      numTokens: 7,
      numLabels: 3,
      weights: Float32Array.of(1, 1, 1),
      sequenceOf: Int32Array.of(0, 1, 2),
      sequences: [0, 1, 2].map((group) => ({ role: "target", group })),
    });
  });

  test("pads to a given length and refuses one that is too short", () => {
    const rows = [[example([1, 2], [0, 1])]];
    assert.equal(toBatch(rows, 4).input.data.length, 4);
    assert.throws(() => toBatch(rows, 1), {
      name: "UsageError",
      code: "usage/length",
      message: "Cannot batch row: 2 tokens, expected at most 1",
    });
  });

  test("says of each label its weight and its sequence, and of each sequence its group and role", () => {
    const side = (role: ComparedExample["role"], group: number): ComparedExample => ({
      ...makeExample([1, 2, 3], (i) => (i === 1 ? 0.5 : 2), source),
      role,
      group,
    });
    const batch = toBatch([[side("chosen", 4), side("rejected", 9)], [side("rejected", 4)]]);
    assert.deepEqual([...batch.weights], [0.5, 2, 0.5, 2, 0.5, 2]);
    assert.deepEqual([...batch.sequenceOf], [0, 0, 1, 1, 2, 2]);
    assert.deepEqual(batch.sequences, [
      { role: "chosen", group: 4 },
      { role: "rejected", group: 9 },
      { role: "rejected", group: 4 },
    ]);
  });

  test("labels a text with its class at the position that tells it", () => {
    const text = (ids: number[], label: number, labelIndex: number): ClassExample => ({
      ids: Int32Array.from(ids),
      label,
      labelIndex,
      source,
    });
    const batch = toBatch([[text([5, 6], 2, 1), text([7], 0, 0)], [text([8, 9], 1, 0)]]);
    assert.deepEqual([...batch.labels], [-100, 2, 0, 1, -100, -100]);
    assert.deepEqual([...batch.sequenceOf], [0, 1, 2]);
    assert.deepEqual([...batch.weights], [1, 1, 1]);
    assert.equal(batch.numLabels, 3);
  });

  test("holds every token once, and one label a trained token", () => {
    fc.assert(
      fc.property(fc.array(fc.array(anyExample, { maxLength: 4 }), { maxLength: 4 }), (rows) => {
        const batch = toBatch(rows);
        let numLabels = 0;
        for (const [r, row] of rows.entries()) {
          let at = r * batch.length;
          for (const [s, { ids, weights }] of row.entries()) {
            for (const [i, id] of ids.entries()) {
              assert.equal(batch.input.data[at + i], BigInt(id));
              assert.equal(batch.positions[at + i], BigInt(i));
              assert.equal(batch.segments[at + i], s + 1);
              const hasLabel = i + 1 < ids.length && weights[i + 1] === 1;
              assert.equal(batch.labels[at + i], hasLabel ? ids[i + 1] : NO_LABEL);
              if (hasLabel) numLabels++;
            }
            at += ids.length;
            assert.equal(batch.labels[at - 1], NO_LABEL);
          }
          for (; at < (r + 1) * batch.length; at++) {
            assert.equal(batch.segments[at], 0);
            assert.equal(batch.labels[at], NO_LABEL);
          }
        }
        assert.equal(batch.numLabels, numLabels);
        assert.equal(
          batch.numTokens,
          rows.reduce((sum, row) => sum + rowLength(row), 0),
        );
        assert.equal(batch.segments.filter((segment) => segment > 0).length, batch.numTokens);
      }),
    );
  });
});
