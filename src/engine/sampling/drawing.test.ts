/** @file Changes to logits and log-probabilities, by their formulas. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_PENALTIES, applyPenalties } from "./penalties.ts";
import { tokenLogProbs } from "./token-log-probs.ts";

const logits = (): Float32Array => Float32Array.of(2, -1, 0.5, 3);

test("repetition counts prompt and text, presence and frequency the text alone, a bias its id", () => {
  const changed = (penalties: Partial<typeof NO_PENALTIES>): number[] => {
    const own = logits();
    applyPenalties(own, { ...NO_PENALTIES, ...penalties }, [0, 1, 3, 3], 2);
    return [...own];
  };
  assert.deepEqual(changed({ repetition: 2 }), [1, -2, 0.5, 1.5]);
  assert.deepEqual(changed({ presence: 1, frequency: 0.5 }), [2, -1, 0.5, 1]);
  assert.deepEqual(
    changed({
      bias: new Map([
        [2, 100],
        [9, 1],
      ]),
    }),
    [2, -1, 100.5, 3],
  );
  assert.deepEqual(changed({}), [...logits()]);
});

test("log-probabilities are those of the softmax, the likeliest first", () => {
  const { id, logProb, top } = tokenLogProbs(logits(), 2, 2);
  const total = [2, -1, 0.5, 3].reduce((sum, logit) => sum + Math.exp(logit), 0);
  assert.equal(id, 2);
  assert.ok(Math.abs(logProb - Math.log(Math.exp(0.5) / total)) < 1e-6);
  assert.deepEqual(
    top.map((token) => token.id),
    [3, 0],
  );
  assert.deepEqual(tokenLogProbs(logits(), 0, 0).top, []);
});
