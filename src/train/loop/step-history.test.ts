/** @file What a run remembers of its steps: how many rows, which, and the sums. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogEntry } from "../logs/log-format.ts";
import { RUN_STATE, firstState } from "./run-state.ts";
import { MOST_STEPS, NO_STEPS, addStep, thinned, totalsOf, withStep } from "./step-history.ts";

const MANY = 4 * MOST_STEPS + 1;

function stepAt(step: number): LogEntry & { readonly step: number } {
  return { event: "step", step, loss: 1 / step, tokens: 8, tokens_per_second: 4, peak_mb: step % 100 };
}

function evaluationAt(step: number): LogEntry {
  return { event: "eval", step, loss: 2 };
}

test("a run keeps all of 10,000 steps, of more an even share with the first and the last, and every evaluation", () => {
  let history: LogEntry[] = [];
  const steps = (): number[] =>
    history.filter(({ event }) => event === "step").map(({ step }) => Number(step));
  for (let step = 1; step <= MANY; step++) {
    history = withStep(history, stepAt(step));
    if (step % 777 === 0) history.push(evaluationAt(step));
    if (step === MOST_STEPS) assert.equal(steps().length, MOST_STEPS);
    if (step % 1009 === 0) assert.deepEqual(thinned(history, step), history);
  }
  const kept = steps();
  assert.ok(kept.length > MOST_STEPS / 2 && kept.length <= MOST_STEPS + 2, `${kept.length}`);
  assert.deepEqual([...kept.slice(0, 3), ...kept.slice(-2)], [1, 8, 16, MANY - 1, MANY]);
  assert.equal(history.length - kept.length, Math.floor(MANY / 777));
  const whole = Array.from({ length: MANY }, (_, i) =>
    [stepAt(i + 1)].concat((i + 1) % 777 ? [] : [evaluationAt(i + 1) as never]),
  ).flat();
  assert.deepEqual(thinned(whole, MANY), history, "as of a run that is older");
});

test("sums are those of all steps, and the state of a run that is older has them too", () => {
  const steps = [1, 2, 3].map((step) => ({
    ...stepAt(step),
    joules: step,
    pause_ms: 500,
    energy: "measured",
  }));
  const totals = steps.reduce(addStep, NO_STEPS);
  assert.deepEqual(totals, {
    seconds: 6,
    peak_mb: 3,
    power: { paused_seconds: 1.5, joules: 6, energy: "measured" },
  });
  assert.equal(addStep(totals, { ...stepAt(4), joules: 1, energy: "estimated" }).power?.energy, "estimated");
  assert.equal(totalsOf([stepAt(1), evaluationAt(1)]).power, null);
  const { step_totals: _none, ...older } = { ...firstState(3, 1, {}), log_history: steps };
  assert.deepEqual(RUN_STATE.parse(older).step_totals, totals);
});

test("sums of a step without tokens or time are numbers, as JSON has no others", () => {
  const odd = { ...stepAt(1), tokens: 0, tokens_per_second: NaN, peak_mb: Infinity };
  assert.deepEqual(addStep(NO_STEPS, odd), NO_STEPS);
});
