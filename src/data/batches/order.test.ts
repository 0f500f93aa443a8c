import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { Comparison } from "../examples/comparison.ts";
import { makeExample, type Example } from "../examples/example.ts";
import { epochs, planSteps, type PlanOptions } from "./order.ts";

/** Examples of these lengths; the source's line tells them apart. */
const examplesOf = (lengths: readonly number[]): Example[] =>
  lengths.map((length, line) =>
    makeExample(
      Array.from({ length }, (_, i) => i),
      () => true,
      { file: "x", line },
    ),
  );
const linesOf = (batches: Example[][][]) =>
  batches.map((rows) => rows.map((row) => row.map(({ source }) => source.line)));
const base: PlanOptions = {
  examples: examplesOf([1, 1, 1, 1, 1]),
  batchSize: 2,
  gradientAccumulationSteps: 1,
  packing: false,
  maxLength: 40,
  shuffle: false,
  seed: 7,
};

describe("epochs()", () => {
  test("keeps the order without shuffling", () => {
    assert.deepEqual(epochs(4, { shuffle: false, seed: 1 })(3), [0, 1, 2, 3]);
  });

  test("gives orders that depend on seed and epoch alone", () => {
    const orderOf = epochs(50, { shuffle: true, seed: 1 });
    const first = orderOf(0);
    assert.notDeepEqual(orderOf(1), first);
    assert.notDeepEqual(epochs(50, { shuffle: true, seed: 2 })(0), first);
    assert.deepEqual(orderOf(0), first);
    assert.deepEqual(
      [...first].sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, i) => i),
    );
  });
});

describe("planSteps()", () => {
  test("fills micro-batches in order and keeps the smaller last one of an epoch", () => {
    const plan = planSteps(base);
    assert.equal(plan.stepsPerEpoch, 3);
    assert.deepEqual(
      [0, 1, 2, 3].map((step) => linesOf(plan.microBatches(step))),
      [[[[0], [1]]], [[[2], [3]]], [[[4]]], [[[0], [1]]]],
    );
  });

  test("gives a step as many micro-batches as it accumulates", () => {
    const plan = planSteps({ ...base, gradientAccumulationSteps: 2 });
    assert.equal(plan.stepsPerEpoch, 2);
    assert.deepEqual(linesOf(plan.microBatches(0)), [
      [[0], [1]],
      [[2], [3]],
    ]);
    assert.deepEqual(linesOf(plan.microBatches(1)), [[[4]]]);
  });

  test("uses every example once an epoch and is the same asked in any order, packed or not", () => {
    fc.assert(
      fc.property(
        fc.record({
          lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }),
          batchSize: fc.integer({ min: 1, max: 4 }),
          gradientAccumulationSteps: fc.integer({ min: 1, max: 3 }),
          packing: fc.boolean(),
          shuffle: fc.boolean(),
          seed: fc.nat(),
        }),
        ({ lengths, ...settings }) => {
          const options = { ...base, ...settings, examples: examplesOf(lengths) };
          const plan = planSteps(options);
          const steps = Array.from({ length: 3 * plan.stepsPerEpoch }, (_, step) =>
            linesOf(plan.microBatches(step)),
          );
          for (let epoch = 0; epoch < 3; epoch++) {
            const used = steps.slice(epoch * plan.stepsPerEpoch, (epoch + 1) * plan.stepsPerEpoch).flat(3);
            assert.deepEqual(
              used.sort((a, b) => a - b),
              [...lengths.keys()],
            );
          }
          for (const batches of steps) {
            assert.ok(batches.length >= 1 && batches.length <= options.gradientAccumulationSteps);
            assert.ok(batches.every((rows) => rows.length >= 1 && rows.length <= options.batchSize));
          }
          const again = planSteps(options);
          for (const step of [...steps.keys()].reverse()) {
            assert.deepEqual(linesOf(again.microBatches(step)), steps[step]);
          }
        },
      ),
    );
  });

  test("shuffles anew in each epoch", () => {
    const plan = planSteps({
      ...base,
      examples: examplesOf(Array.from({ length: 40 }, () => 1)),
      shuffle: true,
    });
    const epoch = (e: number) =>
      Array.from({ length: 20 }, (_, i) => linesOf(plan.microBatches(e * 20 + i))).flat(3);
    assert.notDeepEqual(epoch(0), epoch(1));
  });

  test("refuses sizes and steps that make no sense", () => {
    const refused = "Cannot use the arguments of planSteps(): options.";
    for (const [change, found] of [
      [{ batchSize: 0 }, "batchSize is 0, expected a whole number of at least 1"],
      [
        { gradientAccumulationSteps: 1.5 },
        "gradientAccumulationSteps is 1.5, expected a whole number of at least 1",
      ],
      [{ examples: [] }, "examples is [], expected a non-empty list"],
      [{ seed: Number.NaN }, "seed is NaN, expected a whole number"],
    ] as const) {
      const error = { name: "UsageError", code: "usage/flag", message: `${refused}${found}` };
      assert.throws(() => planSteps({ ...base, ...change }), error);
    }
    assert.throws(() => planSteps(base).microBatches(-1), {
      name: "UsageError",
      code: "usage/flag",
      message: "Cannot plan step -1: expected an integer from 0",
    });
  });

  test("keeps the sequences of a comparison in one micro-batch, and does not pack them", () => {
    const sides = (line: number): Comparison => ({
      sequences: (["chosen", "rejected"] as const).map((role) => ({
        ...examplesOf([2])[0]!,
        role,
        group: line,
      })),
      source: { file: "x", line },
    });
    const pairs = [1, 2, 3].map(sides);
    const plan = planSteps({ ...base, examples: pairs, shuffle: true });
    const groups = plan
      .microBatches(0)
      .map((rows) => rows.flat().map(({ sequences }) => sequences.map(({ role, group }) => [role, group])));
    assert.deepEqual(
      groups.map((units) => units.length),
      [2],
    );
    for (const [chosen, rejected] of groups.flat()) assert.equal(chosen?.[1], rejected?.[1]);
    assert.throws(() => planSteps({ ...base, examples: pairs, packing: true }), /packs of comparisons/);
  });
});

describe("planSteps() with several sources", () => {
  /** Lines that the steps of an epoch train on, sorted. */
  const linesOfEpoch = (plan: ReturnType<typeof planSteps<Example>>, epoch: number): number[] =>
    Array.from({ length: plan.stepsPerEpoch }, (_, i) => plan.microBatches(epoch * plan.stepsPerEpoch + i))
      .flat(3)
      .map(({ source }) => source.line)
      .sort((a, b) => a - b);
  const sources = [
    { numExamples: 3, weight: 2 },
    { numExamples: 4, weight: 0.5 },
  ];
  const examples = examplesOf([1, 1, 1, 1, 1, 1, 1]);

  for (const shuffle of [true, false]) {
    test(`draws each as often as its weight says, ${shuffle ? "in a new order" : "in order"}`, () => {
      const plan = planSteps({ ...base, examples, sources, shuffle });
      assert.equal(plan.numRows, 3 * 2 + 2);
      const [first, second, third] = [0, 1, 2].map((epoch) => linesOfEpoch(plan, epoch));
      for (const lines of [first, second, third]) {
        assert.deepEqual(
          lines?.filter((line) => line < 3),
          [0, 0, 1, 1, 2, 2],
        );
        assert.equal(lines?.length, 8);
      }
      // Half of a source now, the other half next time.
      const drawn = [...first!, ...second!].filter((line) => line >= 3).sort((a, b) => a - b);
      assert.deepEqual(drawn, [3, 4, 5, 6]);
    });
  }

  test("depends on seed and step alone", () => {
    const plan = planSteps({ ...base, examples, sources, shuffle: true });
    const late = linesOf(plan.microBatches(9));
    const again = planSteps({ ...base, examples, sources, shuffle: true });
    assert.deepEqual(linesOf(again.microBatches(9)), late);
    const orderOf = (seed: number): number[][] =>
      Array.from({ length: 8 }, (_, step) =>
        planSteps({ ...base, examples, sources, shuffle: true, seed })
          .microBatches(step)
          .flat(2)
          .map(({ source }) => source.line),
      );
    assert.notDeepEqual(orderOf(1), orderOf(2));
  });

  test("packs each source apart and draws packs", () => {
    const plan = planSteps({ ...base, examples, sources, shuffle: true, packing: true, maxLength: 2 });
    // Two packs of the first, twice; two of the second, of which one.
    assert.equal(plan.numRows, 5);
    const packs = linesOf(plan.microBatches(0)).flat();
    for (const pack of packs) assert.ok(pack.every((line) => line < 3) || pack.every((line) => line >= 3));
  });
});
