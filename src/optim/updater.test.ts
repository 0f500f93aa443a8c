/** @file The updater as such: pieces, state, what it must not touch. The rules' numbers are in test/conformance. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Random } from "../random.ts";
import { createOrtEngine } from "../runtime/ort-node.ts";
import { CHUNK_ELEMENTS } from "./flat-chunks.ts";
import { OPTIMIZERS } from "./optimizers.ts";
import type { UpdateStep } from "./updater.ts";
import { createUpdater } from "./updater.ts";

const engine = createOrtEngine({ threads: 1 });
const NUM_PARAMETERS = CHUNK_ELEMENTS + 5;

function draw(seed: number, length = NUM_PARAMETERS): Float32Array {
  const random = new Random(seed);
  return new Float32Array(length).map(() => random.normal());
}

function stepOf(step: number, parameters: Float32Array): UpdateStep {
  const gradients = draw(100 + step, parameters.length);
  return { parameters, gradients, gradientScale: 0.5, learningRate: 0.01 / step, weightDecay: 0.1, step };
}

for (const optimizer of OPTIMIZERS) {
  const options = optimizer.options.parse({});
  describe(`createUpdater() with ${optimizer.name}`, () => {
    test("ends bit-equal when the state moves to another updater on the way", async () => {
      const whole = draw(1);
      const unbroken = await createUpdater(engine, optimizer, options, NUM_PARAMETERS);
      for (let step = 1; step <= 6; step++) await unbroken.step(stepOf(step, whole));

      const parts = draw(1);
      const before = await createUpdater(engine, optimizer, options, NUM_PARAMETERS);
      for (let step = 1; step <= 3; step++) await before.step(stepOf(step, parts));
      const after = await createUpdater(engine, optimizer, options, NUM_PARAMETERS);
      for (const slot of optimizer.slots) after.state[slot]!.set(before.state[slot]!);
      await before.release();
      for (let step = 4; step <= 6; step++) await after.step(stepOf(step, parts));

      assert.deepEqual(parts, whole);
      assert.deepEqual(after.state, unbroken.state);
      assert.notDeepEqual(whole, draw(1));
      await Promise.all([unbroken.release(), after.release()]);
    });

    test("moves every parameter of every piece as it moves a vector of its own", async () => {
      const all = draw(2);
      const large = await createUpdater(engine, optimizer, options, NUM_PARAMETERS);
      const { gradients, ...rest } = stepOf(1, all);
      await large.step({ ...rest, gradients });
      const tail = draw(2).slice(CHUNK_ELEMENTS - 3);
      const small = await createUpdater(engine, optimizer, options, tail.length);
      await small.step({ ...rest, parameters: tail, gradients: gradients.slice(CHUNK_ELEMENTS - 3) });
      assert.deepEqual(all.slice(CHUNK_ELEMENTS - 3), tail);
      await Promise.all([large.release(), small.release()]);
    });

    test("only reads the gradients and writes nothing beside the vector", async () => {
      const memory = draw(3, 12);
      const updater = await createUpdater(engine, optimizer, options, 8);
      const step = stepOf(1, memory.subarray(2, 10));
      const copy = step.gradients.slice();
      await updater.step(step);
      assert.deepEqual(step.gradients, copy);
      const untouched = draw(3, 12);
      for (const i of [0, 1, 10, 11]) assert.equal(memory[i], untouched[i]);
      for (let i = 2; i < 10; i++) assert.notEqual(memory[i], untouched[i]);
      await updater.release();
    });

    test("with a learning rate of 0 moves no parameter", async () => {
      const parameters = draw(4, 8);
      const updater = await createUpdater(engine, optimizer, options, 8);
      await updater.step({ ...stepOf(1, parameters), learningRate: 0 });
      assert.deepEqual(parameters, draw(4, 8));
      assert.ok(optimizer.slots.every((slot) => updater.state[slot]!.every((v) => v !== 0)));
      await updater.release();
    });
  });
}

test("step() refuses vectors of another length", async () => {
  const optimizer = OPTIMIZERS[0]!;
  const updater = await createUpdater(engine, optimizer, optimizer.options.parse({}), 4);
  const step = stepOf(1, draw(1, 4));
  await assert.rejects(updater.step({ ...step, parameters: new Float32Array(3) }), {
    name: "RangeError",
    message: "Cannot use parameters: 3 elements, expected 4",
  });
  await assert.rejects(updater.step({ ...step, gradients: new Float32Array(5) }), {
    name: "RangeError",
    message: "Cannot use gradients: 5 elements, expected 4",
  });
  await updater.release();
});

test("an updater without parameters does nothing", async () => {
  const optimizer = OPTIMIZERS[0]!;
  const updater = await createUpdater(engine, optimizer, optimizer.options.parse({}), 0);
  await updater.step(stepOf(1, new Float32Array(0)));
  assert.deepEqual(updater.state, { m: new Float32Array(0), v: new Float32Array(0) });
  await updater.release();
});
