/** @file The updater as such: groups, pieces, state, what it must not touch. The rules' numbers are in test/conformance. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradientsOf, inOnePart } from "../../test/tiny/one-group.ts";
import { Random } from "../random.ts";
import { createEngine } from "../runtime/create-engine.ts";
import type { Engine } from "../runtime/engine.ts";
import { CHUNK_ELEMENTS } from "../runtime/flat-chunks.ts";
import { RESIDENT, type VectorMemory } from "../runtime/memory/vector-memory.ts";
import { OPTIMIZERS, findOptimizer } from "./optimizers.ts";
import { type GroupState, type UpdateStep, type VectorGroup, createUpdater } from "./updater.ts";

const engine = createEngine({ threads: 1 });
const NUM_PARAMETERS = CHUNK_ELEMENTS + 5;

function draw(seed: number, length = NUM_PARAMETERS): Float32Array {
  const random = new Random(seed);
  return new Float32Array(length).map(() => random.normal());
}

/** A vector as a group of parameters of these lengths, of one parameter unless given. */
function groupOf(values: Float32Array, lengths: readonly number[] = [values.length]): VectorGroup {
  let end = 0;
  return { values, parameters: lengths.map((length) => ({ offset: (end += length) - length, length })) };
}

/** A step whose gradients are a function of its number; all are present unless it is said otherwise. */
function stepOf(
  step: number,
  groups: readonly VectorGroup[],
  isPresent: (group: number, parameter: number) => boolean = () => true,
): UpdateStep {
  const gradients = groups.map(({ values, parameters }, group) => ({
    values: inOnePart(draw(100 + step, values.length)),
    present: parameters.map((_, parameter) => isPresent(group, parameter)),
  }));
  return { gradients, gradientScale: 0.5, learningRate: 0.01 / step, weightDecay: 0.1 };
}

async function copyState(from: readonly GroupState[], to: readonly GroupState[]): Promise<void> {
  for (const [i, { slots, steps }] of from.entries()) {
    for (const [slot, values] of Object.entries(slots)) await to[i]!.slots[slot]!.write(await values.read());
    to[i]!.steps.splice(0, steps.length, ...steps);
  }
}

for (const optimizer of OPTIMIZERS) {
  const options = optimizer.options.parse({});
  describe(`createUpdater() with ${optimizer.name}`, () => {
    test("ends bit-equal when the state moves to another updater on the way", async () => {
      const whole = [groupOf(draw(1))];
      const unbroken = await createUpdater(engine, optimizer, options, { groups: whole });
      for (let step = 1; step <= 6; step++) await unbroken.step(stepOf(step, whole));

      const parts = [groupOf(draw(1))];
      const before = await createUpdater(engine, optimizer, options, { groups: parts });
      for (let step = 1; step <= 3; step++) await before.step(stepOf(step, parts));
      const after = await createUpdater(engine, optimizer, options, { groups: parts });
      await copyState(before.state, after.state);
      await before.release();
      for (let step = 4; step <= 6; step++) await after.step(stepOf(step, parts));

      assert.deepEqual(parts, whole);
      assert.deepEqual(after.state, unbroken.state);
      assert.notDeepEqual(whole[0]!.values, draw(1));
      await Promise.all([unbroken.release(), after.release()]);
    });

    test("moves every parameter of every piece as it moves a vector of its own", async () => {
      const all = [groupOf(draw(2))];
      const large = await createUpdater(engine, optimizer, options, { groups: all });
      const step = stepOf(1, all);
      await large.step(step);
      const tail = [groupOf(draw(2).slice(CHUNK_ELEMENTS - 3))];
      const small = await createUpdater(engine, optimizer, options, { groups: tail });
      const values = step.gradients[0]!.values.parts[0]!.slice(CHUNK_ELEMENTS - 3);
      await small.step({ ...step, gradients: gradientsOf(values) });
      assert.deepEqual(all[0]!.values.slice(CHUNK_ELEMENTS - 3), tail[0]!.values);
      await Promise.all([large.release(), small.release()]);
    });

    test("only reads the gradients and writes nothing beside the vector", async () => {
      const memory = draw(3, 12);
      const groups = [groupOf(memory.subarray(2, 10))];
      const updater = await createUpdater(engine, optimizer, options, { groups });
      const step = stepOf(1, groups);
      const copy = step.gradients[0]!.values.parts[0]!.slice();
      await updater.step(step);
      assert.deepEqual(step.gradients[0]!.values.parts[0], copy);
      const untouched = draw(3, 12);
      for (const i of [0, 1, 10, 11]) assert.equal(memory[i], untouched[i]);
      for (let i = 2; i < 10; i++) assert.notEqual(memory[i], untouched[i]);
      await updater.release();
    });

    test("with a learning rate of 0 moves no parameter", async () => {
      const groups = [groupOf(draw(4, 8))];
      const updater = await createUpdater(engine, optimizer, options, { groups });
      await updater.step({ ...stepOf(1, groups), learningRate: 0 });
      assert.deepEqual(groups[0]!.values, draw(4, 8));
      for (const slot of optimizer.slots)
        assert.ok((await updater.state[0]!.slots[slot]!.read()).every((v) => v !== 0));
      await updater.release();
    });

    test("a parameter without a gradient stays with its state, and the others move as if it were not there", async () => {
      const lengths = [3, 5, 2, 4];
      const groups = [groupOf(draw(5, 14), lengths), groupOf(draw(6, 14), lengths)];
      const updater = await createUpdater(engine, optimizer, options, { groups });
      // Each parameter of each group misses other steps, one all, one none.
      const isPresent = (step: number, group: number, parameter: number): boolean =>
        parameter !== 1 && (parameter === 0 || (step + group) % (parameter + 1) !== 0);
      const alone = await Promise.all(
        groups.flatMap(({ values, parameters }, group) =>
          parameters.map(async ({ offset, length }, parameter) => {
            const own = [groupOf(values.slice(offset, offset + length))];
            return {
              group,
              parameter,
              offset,
              own,
              by: await createUpdater(engine, optimizer, options, { groups: own }),
            };
          }),
        ),
      );
      for (let step = 1; step <= 7; step++) {
        const whole = stepOf(step, groups, (group, parameter) => isPresent(step, group, parameter));
        // What is not there may hold anything.
        for (const [group, { values, present }] of whole.gradients.entries()) {
          for (const [parameter, { offset, length }] of groups[group]!.parameters.entries()) {
            if (present[parameter] !== true) values.parts[0]!.fill(NaN, offset, offset + length);
          }
        }
        await updater.step(whole);
        for (const { group, parameter, offset, own, by } of alone) {
          if (!isPresent(step, group, parameter)) continue;
          const values = whole.gradients[group]!.values.parts[0]!.slice(
            offset,
            offset + own[0]!.values.length,
          );
          await by.step({ ...whole, gradients: gradientsOf(values) });
        }
      }
      for (const { group, parameter, offset, own, by } of alone) {
        const { length } = own[0]!.values;
        const part = (all: Float32Array): Float32Array => all.slice(offset, offset + length);
        const state = updater.state[group]!;
        assert.deepEqual(part(groups[group]!.values), own[0]!.values, `${group}.${parameter}`);
        assert.equal(state.steps[parameter], by.state[0]!.steps[0]);
        for (const slot of optimizer.slots)
          assert.deepEqual(part(await state.slots[slot]!.read()), await by.state[0]!.slots[slot]!.read());
        await by.release();
      }
      assert.deepEqual(groups[0]!.values.slice(3, 8), draw(5, 14).slice(3, 8));
      assert.deepEqual(updater.state[0]!.steps.slice(0, 2), [7, 0]);
      await updater.release();
    });
  });
}

test("AdamW corrects the means of a parameter by its own updates, as a plain loop in float64 does", async () => {
  const adamw = findOptimizer("adamw");
  const groups = [groupOf(Float32Array.of(1, 1), [1, 1])];
  const updater = await createUpdater(engine, adamw, adamw.options.parse({}), { groups });
  const [learningRate, weightDecay] = [0.1, 0.1];
  const gradients = [
    [0.5, 2],
    [-1, null],
    [0.25, null],
    [2, -0.5],
  ] as const;
  const expected = [0, 1].map((parameter) => {
    let [p, m, v, updates] = [1, 0, 0, 0];
    for (const step of gradients) {
      const g = step[parameter];
      if (g === null || g === undefined) continue;
      updates++;
      [m, v] = [0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g];
      p *= 1 - learningRate * weightDecay;
      p -= (learningRate * (m / (1 - 0.9 ** updates))) / (Math.sqrt(v / (1 - 0.999 ** updates)) + 1e-8);
    }
    return p;
  });
  for (const step of gradients) {
    const values = Float32Array.from(step, (g) => g ?? 0);
    const present = step.map((g) => g !== null);
    await updater.step({
      gradients: [{ values: inOnePart(values), present }],
      gradientScale: 1,
      learningRate,
      weightDecay,
    });
  }
  for (const [i, p] of expected.entries()) {
    const found = groups[0]!.values[i]!;
    assert.ok(Math.abs(found - p) < 1e-6, `parameter ${i} is ${found}, expected ${p}`);
  }
  assert.deepEqual(updater.state[0]!.steps, [4, 2]);
  await updater.release();
});

test("step() refuses gradients of another length", async () => {
  const optimizer = OPTIMIZERS[0]!;
  const groups = [groupOf(draw(1, 4))];
  const updater = await createUpdater(engine, optimizer, optimizer.options.parse({}), { groups });
  const gradients = gradientsOf(new Float32Array(5));
  await assert.rejects(updater.step({ ...stepOf(1, groups), gradients }), {
    name: "RangeError",
    message: "Cannot use gradients: 5 elements, expected 4",
  });
  await updater.release();
});

test("an updater without parameters does nothing", async () => {
  const optimizer = OPTIMIZERS[0]!;
  const updater = await createUpdater(engine, optimizer, optimizer.options.parse({}), { groups: [] });
  await updater.step(stepOf(1, []));
  assert.deepEqual(updater.state, []);
  await updater.release();
});

test("an updater whose state finds no memory compiles nothing that nobody would free", async () => {
  let numOpen = 0;
  const counting: Engine = {
    ...engine,
    compile: (program, options) => {
      numOpen++;
      return engine.compile(program, options);
    },
  };
  const memory: VectorMemory = {
    ...RESIDENT,
    make: () => {
      throw new RangeError("no memory");
    },
  };
  const optimizer = findOptimizer("adamw");
  const groups = [groupOf(draw(1, 4))];
  await assert.rejects(
    createUpdater(counting, optimizer, optimizer.options.parse({}), { groups, memory }),
    /^RangeError: no memory$/,
  );
  assert.equal(numOpen, 0);
});

test("the memory of each piece is on its way while the piece before it is updated, also from group to group", async () => {
  const asked = new Set<ArrayBufferLike>();
  let numLate = -1;
  const memory: VectorMemory = {
    ...RESIDENT,
    prefetch: (views) => {
      for (const { buffer } of views) asked.add(buffer);
    },
    hold: async (views, use) => {
      if ([...views].some(({ buffer }) => !asked.has(buffer)) && use === "change") numLate++;
      return RESIDENT.hold(views, use);
    },
  };
  const groups = [groupOf(draw(1)), groupOf(draw(2), [5, CHUNK_ELEMENTS]), groupOf(draw(3, 9))];
  const optimizer = findOptimizer("adamw");
  const updater = await createUpdater(engine, optimizer, optimizer.options.parse({}), { groups, memory });
  await updater.step(stepOf(1, groups));
  assert.equal(numLate, 0, "only the first piece of all comes when it is wanted");
  await updater.release();
});
