/** @file Pauses by the state of a device: the rule, schedules by hand, readings, energy, and the pacer on a clock of its own. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FailedError } from "../../errors.ts";
import { ESTIMATED_WATTS, energyOf } from "./energy.ts";
import { Pacer, type PacerParts } from "./pacer.ts";
import { pauseOf, readPauseSchedule } from "./pause-schedule.ts";
import { type PowerPolicy, periodMs, stepsPerSecond } from "./policy.ts";
import { PowerProblem, type PowerReading, parseReading } from "./reading.ts";

const POLICY: PowerPolicy = {
  batteryThreshold: 20,
  temperatureThreshold: 42,
  battery: { high: 2, low: 0.5 },
  temperature: { high: 2, low: 0.5 },
};

test("steps a second are the lower of what battery and temperature allow; a threshold itself is well", () => {
  const cases: readonly [number | null, number | null, number][] = [
    [100, 30, 2],
    [20, 42, 2],
    [19.9, 42, 0.5],
    [20, 42.1, 0.5],
    [5, 60, 0.5],
    [null, 42, 2],
    [null, 43, 0.5],
    [19, null, 0.5],
    [null, null, 2],
  ];
  for (const [battery, temperature, expected] of cases)
    assert.equal(
      stepsPerSecond({ battery, temperature }, POLICY),
      expected,
      `${battery} %, ${temperature} °C`,
    );
  const uneven = { ...POLICY, battery: { high: 0, low: 0.25 }, temperature: { high: 4, low: 1 } };
  assert.equal(stepsPerSecond({ battery: 50, temperature: 30 }, uneven), 4);
  assert.equal(stepsPerSecond({ battery: 50, temperature: 50 }, uneven), 1);
  assert.equal(stepsPerSecond({ battery: 10, temperature: 50 }, uneven), 0.25);
  const free = { ...POLICY, battery: { high: 0, low: 0 }, temperature: { high: 0, low: 0 } };
  assert.equal(stepsPerSecond({ battery: 1, temperature: 90 }, free), Infinity);
});

test("a period is the time of one step, never above five seconds, and nothing without a limit", () => {
  assert.deepEqual([2, 0.5, 0.2, 0.1, Infinity].map(periodMs), [500, 2000, 5000, 5000, 0]);
});

test("a schedule is sorted by first steps, and the first range that has a step counts", () => {
  const ranges = readPauseSchedule(" 100-:100, 0-99:300,50-60:7 ");
  assert.deepEqual(ranges, [
    { from: 0, to: 99, pauseMs: 300 },
    { from: 50, to: 60, pauseMs: 7 },
    { from: 100, to: Infinity, pauseMs: 100 },
  ]);
  assert.deepEqual(
    [0, 55, 99, 100, 1e9].map((step) => pauseOf(ranges ?? [], step)),
    [300, 300, 300, 100, 100],
  );
  assert.equal(pauseOf(readPauseSchedule("5-6:1") ?? [], 4), null);
  for (const bad of ["", "5:1", "1-2", "a-b:c", "9-3:1", "0-1:-5", "0-1:1.5", "0-99:300,", "-:1"])
    assert.equal(readPauseSchedule(bad), null, bad);
});

test("a reading is JSON with a battery, a temperature or both, and nothing that no device says", () => {
  assert.deepEqual(parseReading('{"battery": 55, "temperature": 38.5, "watts": 4, "more": 1}'), {
    battery: 55,
    temperature: 38.5,
    watts: 4,
  });
  assert.deepEqual(parseReading('{"percentage": 80, "temperature": null}'), {
    battery: 80,
    temperature: null,
    watts: null,
  });
  const marked = parseReading('\uFEFF{"battery": 55}\r\n');
  assert.deepEqual(marked, { battery: 55, temperature: null, watts: null }, "as PowerShell writes it");
  for (const bad of [
    "",
    "hot",
    "[]",
    "{}",
    "null",
    '{"battery": 101}',
    '{"battery": "full"}',
    '{"battery": -1}',
    '{"temperature": 1e9}',
    '{"watts": 5}',
  ])
    assert.throws(() => parseReading(bad), PowerProblem, bad);
});

test("of a reading that is partly nonsense the rest counts, and the part is named", () => {
  assert.deepEqual(parseReading('{"battery": 10, "temperature": "hot"}'), {
    battery: 10,
    temperature: null,
    watts: null,
    problem: 'says temperature "hot", which is not a number from -50 to 150',
  });
  const { problem, ...rest } = parseReading('{"battery": 101, "temperature": 38, "watts": -1}');
  assert.deepEqual(rest, { battery: null, temperature: 38, watts: null });
  assert.match(problem!, /^says battery 101, which .* from 0 to 100, and watts -1, which /);
  assert.throws(() => parseReading('{"battery": 900}'), {
    message: "says battery 900, which is not a number from 0 to 100",
  });
});

test("energy is counted by counters, also past their end, else by watts, else estimated and called so", () => {
  const counter = (name: string, microjoules: number) => ({ name, microjoules, range: 1000 });
  const facts = { before: [], after: [], watts: null, elapsedMs: 2000, processorMs: 3000 };
  assert.deepEqual(
    energyOf({
      ...facts,
      before: [counter("a", 900), counter("b", 10)],
      after: [counter("a", 100), counter("b", 30), counter("new", 5)],
      watts: 7,
    }),
    { joules: 220 / 1e6, source: "measured" },
  );
  assert.deepEqual(energyOf({ ...facts, after: [counter("a", 5)], watts: 7 }), {
    joules: 14,
    source: "measured",
  });
  assert.deepEqual(energyOf(facts), { joules: 3 * ESTIMATED_WATTS, source: "estimated" });
});

/** A pacer on a clock that stands still but for work, pauses and what a reading takes. */
function pacerOf(
  readings: readonly (PowerReading | string)[],
  changes: Partial<PacerParts> = {},
  readMs = 0,
) {
  const clock = { now: 0, sleeps: [] as number[], notes: [] as string[], numReads: 0 };
  const parts: PacerParts = {
    source: {
      name: "test",
      async read() {
        clock.now += readMs;
        const reading = readings[Math.min(clock.numReads++, readings.length - 1)]!;
        if (typeof reading === "string") throw new PowerProblem(reading);
        return reading;
      },
      readEnergy: async () => [],
    },
    policy: POLICY,
    schedule: [],
    everySteps: 1,
    missing: "run",
    clock: {
      nowMs: () => clock.now,
      processorMs: () => 0,
      async sleep(ms) {
        clock.sleeps.push(ms);
        clock.now += ms;
      },
    },
    signal: undefined,
    tell: (note) => clock.notes.push(note),
    ...changes,
  };
  const pacer = new Pacer(parts);
  const step = async (index: number, busyMs: number, numBlocks = 4): ReturnType<Pacer["end"]> => {
    await pacer.begin(index);
    for (let block = 0; block < numBlocks; block++) {
      await pacer.betweenBlocks();
      clock.now += busyMs / numBlocks;
    }
    return await pacer.end();
  };
  return { clock, step };
}

const WELL: PowerReading = { battery: 80, temperature: 30, watts: null };
const HOT: PowerReading = { battery: 80, temperature: 50, watts: null };

describe("the pacer", () => {
  test("a step takes its period, or as long as it works: the pause is what is left", async () => {
    const { clock, step } = pacerOf([WELL]);
    for (const [busyMs, pauseMs] of [
      [100, 400],
      [100, 400],
      [500, 0],
      [900, 0],
      [200, 300],
      [100, 400],
    ] as const) {
      const startMs = clock.now;
      const paced = await step(0, busyMs);
      assert.ok(Math.abs(paced.busyMs - busyMs) < 1e-6, `worked ${paced.busyMs}`);
      // What lies between blocks is planned by the step before: one that works much longer has paused for some of it.
      const tooLong = busyMs === 500 ? 240 : 1e-6;
      const extra = paced.pauseMs - pauseMs;
      assert.ok(extra > -1e-6 && extra < tooLong, `paused ${paced.pauseMs} after ${busyMs}`);
      assert.ok(Math.abs(clock.now - startMs - busyMs - paced.pauseMs) < 1e-6);
    }
  });

  test("steps of 300 ms work for 0.6 of the time at two a second, where pauses of whole periods would leave 0.375", async () => {
    const { clock, step } = pacerOf([WELL]);
    let busyMs = 0;
    for (let i = 0; i < 20; i++) busyMs += (await step(i, 300)).busyMs;
    const ofWholePeriods = 300 / (300 + periodMs(stepsPerSecond(WELL, POLICY)));
    assert.deepEqual([ofWholePeriods, Number((busyMs / clock.now).toFixed(6))], [0.375, 0.6]);
  });

  test("from the second step on the pause is spread over the blocks", async () => {
    const { clock, step } = pacerOf([HOT]);
    await step(0, 400);
    assert.deepEqual(clock.sleeps.splice(0), [1600]);
    await step(1, 400);
    assert.deepEqual(clock.sleeps, [320, 320, 320, 320, 320]);
  });

  test("the state is read every so many steps, and holds in between", async () => {
    const { clock, step } = pacerOf([HOT, WELL], { everySteps: 3 });
    const pauses: number[] = [];
    for (let i = 0; i < 4; i++) pauses.push((await step(i, 400)).pauseMs);
    assert.deepEqual([clock.numReads, pauses], [2, [1600, 1600, 1600, 100]]);
    const resumed = pacerOf([HOT, WELL], { everySteps: 3 });
    const later: number[] = [];
    for (let i = 4; i < 8; i++) later.push((await resumed.step(i, 400)).pauseMs);
    assert.deepEqual(
      [resumed.clock.numReads, later],
      [2, [1600, 1600, 100, 100]],
      "a run that goes on at step 4",
    );
  });

  test("a source that answers slowly takes a tenth of the time, and its answers are no work of a step", async () => {
    const readMs = 4000;
    const { clock, step } = pacerOf(["does not end within 4 s"], {}, readMs);
    let busyMs = 0;
    for (let i = 0; i < 3600; i++) busyMs += (await step(i, 100)).busyMs;
    assert.deepEqual([Math.round(busyMs), clock.numReads], [360_000, 10]);
    assert.equal(Math.round(clock.now - busyMs), 10 * readMs);
  });

  test("a pause by hand comes first, whatever the step works and the device says", async () => {
    const { step } = pacerOf([HOT], { schedule: readPauseSchedule("1-2:300") ?? [] });
    const pauses: number[] = [];
    for (let i = 0; i < 4; i++) pauses.push(Math.round((await step(i, 400)).pauseMs));
    assert.deepEqual(pauses, [1600, 300, 300, 1600]);
    const alone = pacerOf([], { source: null, schedule: readPauseSchedule("0-0:50") ?? [] });
    assert.deepEqual([(await alone.step(0, 10)).pauseMs, (await alone.step(1, 10)).pauseMs], [50, 0]);
  });

  test("a source that is gone is told of once, and the run goes on at full speed until it is back", async () => {
    const { clock, step } = pacerOf([HOT, "is gone", "is gone", HOT, "is gone"]);
    const pauses: number[] = [];
    for (let i = 0; i < 5; i++) pauses.push((await step(i, 400)).pauseMs);
    assert.deepEqual(pauses.map(Math.round), [1600, 0, 0, 1600, 0]);
    assert.deepEqual(clock.notes, ['The power source "test" is gone: the run continues at full speed']);
  });

  test("one that is partly nonsense is told of once, and pauses follow the rest", async () => {
    const { clock, step } = pacerOf([{ ...HOT, problem: "says battery 900" }, "is gone"]);
    const pauses: number[] = [];
    for (let i = 0; i < 2; i++) pauses.push((await step(i, 400)).pauseMs);
    assert.deepEqual(pauses.map(Math.round), [1600, 0]);
    assert.deepEqual(clock.notes, [
      'The power source "test" says battery 900: pauses follow what else it says',
      'The power source "test" is gone: the run continues at full speed',
    ]);
  });

  test("or it ends the run, where that is asked for", async () => {
    const { step } = pacerOf([WELL, 'says "x"'], { missing: "stop" });
    await step(0, 10);
    await assert.rejects(step(1, 10), (error: unknown) => {
      assert.ok(error instanceof FailedError);
      assert.equal(error.code, "train/power");
      assert.match(error.message, /power source "test" says "x", expected battery or temperature/);
      return true;
    });
  });

  test("nothing waits when the run is to stop", async () => {
    const stop = new AbortController();
    const { clock, step } = pacerOf([HOT], { signal: stop.signal });
    await step(0, 10);
    stop.abort();
    clock.sleeps.length = 0;
    assert.equal((await step(1, 10)).pauseMs, 0);
    assert.deepEqual(clock.sleeps, []);
  });
});
