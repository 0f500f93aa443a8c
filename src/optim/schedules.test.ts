/** @file Learning-rate schedules against those of the reference trainer. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { UsageError } from "../errors.ts";
import { SCHEDULES, findSchedule } from "./schedules.ts";

const TOTAL = 10;
const WARMUP = 2;
const course = (name: string): number[] =>
  Array.from({ length: TOTAL }, (_, step) => findSchedule(name).factor(step, TOTAL, WARMUP));

// transformers 5.24.0 with torch 2.13.0, peak 0.01: get_cosine_schedule_with_warmup(optimizer, 2, 10), and
// get_cosine_with_min_lr_schedule_with_warmup(optimizer, 2, 10, min_lr_rate=0.1).
const OF_TRANSFORMERS = {
  cosine: [
    0.0, 0.005, 0.01, 0.009619397662556433, 0.008535533905932738, 0.00691341716182545, 0.005,
    0.0030865828381745515, 0.0014644660940672626, 0.0003806023374435663,
  ],
  "cosine-to-tenth": [
    0.0, 0.005, 0.01, 0.00965745789630079, 0.008681980515339464, 0.007222075445642904, 0.0055000000000000005,
    0.003777924554357096, 0.0023180194846605367, 0.0013425421036992098,
  ],
};
for (const [name, expected] of Object.entries(OF_TRANSFORMERS)) {
  test(`${name} gives the learning rates of transformers' schedule`, () => {
    for (const [step, factor] of course(name).entries())
      assert.ok(Math.abs(0.01 * factor - expected[step]!) < 1e-17, `step ${step}: ${0.01 * factor}`);
  });
}

test("linear rises to the peak and falls to 0 at the end of the run", () => {
  assert.deepEqual(course("linear"), [0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]);
  assert.equal(findSchedule("linear").factor(TOTAL, TOTAL, WARMUP), 0);
});

test("constant stays at the peak", () => {
  assert.deepEqual(course("constant"), [0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1]);
});

test("findSchedule() names the schedules there are", () => {
  const names = SCHEDULES.map(({ name }) => name).join(", ");
  assert.throws(
    () => findSchedule("step"),
    (error) => error instanceof UsageError && error.message.endsWith(`"step": expected one of ${names}`),
  );
});

for (const schedule of SCHEDULES) {
  describe(`schedule ${schedule.name}`, () => {
    const run = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 30 }), fc.nat(30));

    test("stays within 0 and 1, also with a warm-up longer than the run and past its end", () => {
      fc.assert(
        fc.property(run, ([step, total, warmup]) => {
          const factor = schedule.factor(step, total, warmup);
          assert.ok(factor >= 0 && factor <= 1, `${factor}`);
        }),
      );
    });

    test("rises by equal amounts from 0 to the peak and never rises after", () => {
      fc.assert(
        fc.property(run, ([step, total, warmup]) => {
          const [now, next] = [step, step + 1].map((s) => schedule.factor(s, total, warmup));
          if (step < warmup) assert.equal(now, step / warmup);
          else assert.ok(next! <= now!);
        }),
      );
    });

    test("starts at the peak without a warm-up", () => {
      assert.equal(schedule.factor(0, 5, 0), 1);
    });
  });
}
