/** @file What every objective must do: gradients that are differences, micro-batches that add up, no number out of range. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { COMPARED_ROLES, type ComparedRole } from "../../src/data/examples/comparison.ts";
import { UsageError } from "../../src/errors.ts";
import { Random } from "../../src/random.ts";
import type { Objective, Scores } from "../../src/train/objective.ts";
import { findObjective, OBJECTIVES } from "../../src/train/objectives.ts";
import { countStep } from "../../src/train/step/sequence-scores.ts";

/** Roles of a group, by what data an objective reads. */
const GROUPS: Record<Objective["rows"], readonly (readonly ComparedRole[])[]> = {
  text: [["target"]],
  classes: [["target"]],
  labels: [["target"]],
  numbers: [["target"]],
  preference: [["chosen", "rejected"]],
  unpaired: [["desirable"], ["undesirable"], ["desirable"]],
};

/** Options besides the defaults. */
const VARIANTS: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  dpo: [{ beta: 0.7, labelSmoothing: 0.3 }, { lossType: "ipo" }, { lossType: "hinge", beta: 0.6 }],
  orpo: [{ beta: 2 }],
  kto: [{ beta: 0.5, desirableWeight: 2, undesirableWeight: 0.5 }],
};

const DIVERGENCE = 0.4;

/** Random scores of some groups. */
function draw(objective: Objective, numGroups: number, seed: number, size = 3): Scores {
  const random = new Random(seed);
  const kinds = GROUPS[objective.rows];
  const sequences = Array.from({ length: numGroups }, (_, group) =>
    kinds[group % kinds.length]!.map((role) => ({ role, group })),
  ).flat();
  const sequenceOf = Int32Array.from(
    sequences.flatMap((_, i) => Array.from({ length: 1 + (i % 3) }, () => i)),
  );
  const below = (scale: number): Float32Array =>
    Float32Array.from(sequenceOf, () => -scale * (0.1 + random.uniform()));
  return {
    sequences,
    sequenceOf,
    logProbs: below(size),
    reference: objective.needs.includes("reference") ? below(size) : null,
    weights: Float32Array.from(sequenceOf, () => 0.5 + random.uniform()),
  };
}

/** The scores of some groups alone. */
function part(scores: Scores, isWanted: (group: number) => boolean): Scores {
  const wanted = scores.sequences.flatMap(({ group }, i) => (isWanted(group) ? [i] : []));
  const keep = (values: Float32Array): Float32Array =>
    values.filter((_, i) => wanted.includes(scores.sequenceOf[i]!));
  return {
    sequences: wanted.map((i) => scores.sequences[i]!),
    sequenceOf: scores.sequenceOf.filter((s) => wanted.includes(s)).map((s) => wanted.indexOf(s)),
    logProbs: keep(scores.logProbs),
    reference: scores.reference && keep(scores.reference),
    weights: keep(scores.weights),
  };
}

for (const objective of OBJECTIVES) {
  for (const variant of [{}, ...(VARIANTS[objective.name] ?? [])]) {
    const options = objective.options.parse(variant);
    const evaluate = (scores: Scores, whole = scores) =>
      objective.evaluate(scores, { ...countStep([whole]), divergence: DIVERGENCE }, options);

    describe(`${objective.name} ${JSON.stringify(variant)}`, () => {
      test("its gradient is that of its loss, by central differences", () => {
        const scores = draw(objective, 6, 1);
        const { gradient } = evaluate(scores);
        for (const i of scores.logProbs.keys()) {
          const at = (step: number): { loss: number; value: number } => {
            const logProbs = scores.logProbs.slice();
            logProbs[i]! += step;
            return { loss: evaluate({ ...scores, logProbs }).loss, value: logProbs[i]! };
          };
          // As far apart as float32 has put them, not as far as was asked for.
          const [low, high] = [at(-1e-3), at(1e-3)];
          const difference = (high.loss - low.loss) / (high.value - low.value);
          assert.ok(
            Math.abs(difference - gradient[i]!) < 1e-5 * Math.max(1, Math.abs(difference)),
            `position ${i}: ${gradient[i]}, by differences ${difference}`,
          );
        }
        assert.ok(gradient.some((value) => value !== 0));
      });

      test("micro-batches add up to the whole step, however it is cut", () => {
        const scores = draw(objective, 6, 2);
        const whole = evaluate(scores);
        const parts = [
          part(scores, (group) => group < 1),
          part(scores, (group) => group >= 1 && group < 4),
          part(scores, (group) => group >= 4),
        ];
        const outcomes = parts.map((one) =>
          objective.evaluate(one, { ...countStep(parts), divergence: DIVERGENCE }, options),
        );
        const sum = (value: (outcome: (typeof outcomes)[number]) => number): number =>
          outcomes.reduce((total, outcome) => total + value(outcome), 0);
        assert.ok(Math.abs(sum(({ loss }) => loss) - whole.loss) < 1e-9);
        const joined = outcomes.flatMap(({ gradient }) => [...gradient]);
        assert.equal(joined.length, whole.gradient.length);
        for (const [i, value] of whole.gradient.entries()) assert.ok(Math.abs(joined[i]! - value) < 1e-9);
        for (const [key, value] of Object.entries(whole.metrics)) {
          assert.ok(Math.abs(sum(({ metrics }) => metrics[key] ?? 0) - value) < 1e-9, key);
        }
      });

      test("no log-probability makes a number that is none", () => {
        for (const size of [0, 1e-9, 1e-3, 1e3, 1e6]) {
          for (const sign of [1, -1]) {
            const scores = draw(objective, 4, 3, size);
            const far = scores.reference?.map((value) => (sign > 0 ? value : 1e3 * value)) ?? null;
            const { loss, gradient, metrics } = evaluate({ ...scores, reference: far });
            assert.ok(Number.isFinite(loss), `loss ${loss} at ${size}`);
            assert.ok(gradient.every(Number.isFinite), `gradient ${gradient.join()} at ${size}`);
            assert.ok(Object.values(metrics).every(Number.isFinite), JSON.stringify(metrics));
          }
        }
      });

      test(`its gradient ${objective.isSeparable ? "does not depend" : "depends"} on the log-probabilities`, () => {
        const scores = draw(objective, 6, 4);
        const before = evaluate({ ...scores, logProbs: new Float32Array(scores.logProbs.length).fill(-1) });
        const { gradient } = evaluate(scores);
        if (objective.isSeparable) assert.deepEqual(before.gradient, gradient);
        else assert.notDeepEqual(before.gradient, gradient);
      });
    });
  }
}

describe("objectives", () => {
  test("are found by name; another is refused with the names there are", () => {
    for (const objective of OBJECTIVES) assert.equal(findObjective(objective.name), objective);
    assert.throws(
      () => findObjective("pdo"),
      (error: unknown) =>
        error instanceof UsageError && OBJECTIVES.every(({ name }) => error.message.includes(name)),
    );
  });

  test("refuse a pair of which one side is in another micro-batch", () => {
    const objective = findObjective("dpo");
    const scores = part(draw(objective, 2, 5), () => true);
    const alone = {
      ...scores,
      sequences: scores.sequences.map((s, i) => (i === 1 ? { ...s, group: 9 } : s)),
    };
    assert.throws(
      () => objective.evaluate(alone, countStep([alone]), objective.options.parse({})),
      /both sequences/,
    );
  });

  test("count a step by role", () => {
    const scores = draw(findObjective("kto"), 5, 6);
    const { numSequences, numLabels } = countStep([scores, scores]);
    assert.deepEqual([numSequences.desirable, numSequences.undesirable, numSequences.chosen], [6, 4, 0]);
    assert.equal(
      COMPARED_ROLES.reduce((sum, role) => sum + numLabels[role], 0),
      2 * scores.logProbs.length,
    );
  });
});
