import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../graph/graph.ts";
import { add } from "../graph/ops/pointwise/elementwise.ts";
import { DerivedTensors } from "../models/base/derived-tensors.ts";
import { createEngine } from "../runtime/create-engine.ts";
import type { Engine } from "../runtime/engine.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import { type ProgramSource, SessionPrograms } from "./session-programs.ts";

/** Programs on an engine that tells how many are there. */
function openPrograms() {
  const engine = createEngine({ threads: 1 });
  const count = { compiled: 0, released: 0 };
  const counting: Engine = {
    ...engine,
    compile: async (spec, options) => {
      count.compiled++;
      const program = await engine.compile(spec, options);
      const release = async (): Promise<void> => {
        count.released++;
        await program.release();
      };
      return { spec, run: (feeds, into) => program.run(feeds, into), release };
    },
  };
  return { programs: new SessionPrograms({ engine: counting, derived: new DerivedTensors() }), count };
}

const makeSum = (): ProgramSource<null> => {
  const graph = new Graph();
  const [x, w] = [graph.input("x", "float32", [2]), graph.input("w", "float32", [2])];
  const spec = { name: "sum", inputs: { x, w }, outputs: { y: add(x, w) } };
  return {
    spec,
    made: null,
    constants: async () => ({ w: hostTensor("float32", [2], Float32Array.of(1, 2)) }),
  };
};

test("a program ends with the last of those who use it, and is compiled again for the next", async () => {
  const { programs, count } = openPrograms();
  const [one, two] = [{}, {}];
  const first = await programs.compile("sum", makeSum, one);
  assert.equal(await programs.compile("sum", makeSum, two), first);
  assert.equal(await programs.compile("sum", makeSum, two), first);
  assert.deepEqual([await programs.useOf(one).boundBytes(), await programs.useOf({}).boundBytes()], [8, 0]);
  programs.useOf(one).end();
  assert.deepEqual(count, { compiled: 1, released: 0 });
  const use = programs.useOf(two);
  use.end();
  use.end();
  await new Promise(setImmediate);
  assert.deepEqual(count, { compiled: 1, released: 1 });
  assert.equal(await use.boundBytes(), 0);
  assert.notEqual(await programs.compile("sum", makeSum, one), first);
  await programs.release();
  assert.deepEqual(count, { compiled: 2, released: 2 });
});

test("a program that nobody needs any more when it is compiled ends then, and one without a user stays", async () => {
  const { programs, count } = openPrograms();
  const user = {};
  await programs.compile("other sum", makeSum);
  const compiling = programs.compile("sum", makeSum, user);
  programs.useOf(user).end();
  const { program } = await compiling;
  await new Promise(setImmediate);
  assert.deepEqual(count, { compiled: 2, released: 1 });
  const x = hostTensor("float32", [2], Float32Array.of(1, 1));
  await assert.rejects(program.run({ x }, { y: x }), /it is released/);
  await programs.release();
  assert.equal(count.released, 2);
});
