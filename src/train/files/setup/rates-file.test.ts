/** @file What is measured of a machine is kept; what other programs disturbed, not for long. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder } from "../../../../test/tiny/model.ts";
import { ratesOf } from "./rates-file.ts";

test("rates are measured until nothing disturbs that, and then no more, for each number of threads", async () => {
  const env = { GRAFT_HOME: temporaryFolder() };
  const measuredOn: number[] = [];
  const measure = (float32: number, isDisturbed: boolean) => async (numThreads: number) => {
    measuredOn.push(numThreads);
    return { rates: { float32, int8: 2, movedBytes: 3, readBytes: 4 }, isDisturbed };
  };
  const found = async (threads: number, measured: ReturnType<typeof measure>, minutes: number) => {
    const { rates, isDisturbed } = await ratesOf(env, threads, measured, minutes * 60_000);
    return [rates.float32, isDisturbed];
  };
  assert.deepEqual(await found(2, measure(1, true), 0), [1, true]);
  assert.deepEqual(await found(2, measure(5, false), 9), [1, true]);
  assert.deepEqual(await found(2, measure(10, false), 11), [10, false]);
  assert.deepEqual(await found(2, measure(20, false), 99), [10, false]);
  assert.deepEqual(await found(3, measure(30, false), 99), [30, false]);
  assert.deepEqual(measuredOn, [2, 2, 3]);
});
