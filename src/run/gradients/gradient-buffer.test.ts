/** @file Gradients of a step: which there are, their sums, and that a steady step allocates nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelTensor } from "../../models/graphs/sites.ts";
import { type Parameter, makeParameters } from "../../peft/parameters.ts";
import { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { ShardMemory } from "../../runtime/memory/shard-memory.ts";
import { GradientBuffer } from "./gradient-buffer.ts";

const engine = createEngine({ threads: 1 });

function tensor(name: string, layer: number | null, shape: readonly number[]): ModelTensor {
  return { name, layer, path: name, shape, role: "weight" };
}

const trainedBase = [
  tensor("embed", null, [2]),
  tensor("a", 1, [2, 2]),
  tensor("b", 1, [3]),
  tensor("c", 0, [1]),
];
const trained = makeParameters({ trainedBase, sites: new Map() });
const [embed, a, b, c] = trained.parameters as [Parameter, Parameter, Parameter, Parameter];

async function write(buffer: GradientBuffer, parameter: Parameter, value: number): Promise<void> {
  const target = buffer.target(parameter);
  target.data.fill(value);
  await buffer.add(parameter, target);
}

/** The gradients that there are, in the order of the adapter. */
function vectorsOf({ groups }: GradientBuffer): Promise<Float32Array[]> {
  const present = trained.parameters.flatMap((parameter) => {
    const { values, present, group } = groups.find((each) => each.group.layer === parameter.layer)!;
    const { offset, length } = parameter;
    return present[group.parameters.indexOf(parameter)] ? [values.read(offset, offset + length)] : [];
  });
  return Promise.all(present);
}

test("parameters lie in groups by layer, those outside the blocks last, and keep the order of the adapter", () => {
  assert.deepEqual(
    trained.groups.map(({ layer, parameters, values }) => [
      layer,
      parameters.map(({ name, offset, length }) => [name, offset, length]),
      values.length,
    ]),
    [
      [0, [["c", 0, 1]], 1],
      [
        1,
        [
          ["a", 0, 4],
          ["b", 4, 3],
        ],
        7,
      ],
      [null, [["embed", 0, 2]], 2],
    ],
  );
  assert.deepEqual(trained.parameters, [embed, a, b, c]);
  b.value.data.fill(5);
  assert.deepEqual(trained.groups[1]!.values, Float32Array.of(0, 0, 0, 0, 5, 5, 5));
});

test("what is written twice is summed; what is not written is absent, not zero, and nothing is left of it", async () => {
  const pool = new BufferPool();
  const buffer = await GradientBuffer.create(engine, trained, pool);
  for (const parameter of [embed, a, b, c]) await write(buffer, parameter, 9);
  assert.deepEqual(buffer.finish(), []);
  assert.deepEqual(
    (await vectorsOf(buffer)).map(({ length }) => length),
    [2, 4, 3, 1],
  );

  buffer.begin();
  await write(buffer, b, 1);
  await write(buffer, embed, 2);
  await write(buffer, b, 0.5);
  assert.deepEqual(buffer.finish(), [a, c]);
  assert.deepEqual(
    (await vectorsOf(buffer)).map((vector) => [...vector]),
    [
      [2, 2],
      [1.5, 1.5, 1.5],
    ],
  );
  assert.deepEqual(
    buffer.groups.map(({ present }) => present),
    [[false], [false, true], [true]],
  );
  assert.deepEqual(await buffer.groups[1]!.values.read(4), Float32Array.of(1.5, 1.5, 1.5));

  const bytes = pool.allocatedBytes;
  for (let step = 0; step < 3; step++) {
    buffer.begin();
    for (const value of [1, 2, 3]) await write(buffer, b, value);
    buffer.finish();
  }
  assert.deepEqual(await vectorsOf(buffer), [Float32Array.of(6, 6, 6)]);
  assert.equal(pool.allocatedBytes, bytes);
  await buffer.release();
});

test("what the last micro-batch wrote is measured while it is in memory, and does not come back for its norm", async () => {
  const files = new Map<number, Uint8Array>();
  const memory = new ShardMemory(7 * 4, {
    write: async (index, bytes) => void files.set(index, bytes.slice()),
    read: async (index, into) => into.set(files.get(index) ?? []),
  });
  const within = makeParameters({ trainedBase, sites: new Map() }, memory);
  const buffer = await GradientBuffer.create(engine, within, new BufferPool());
  const writeHeld = async (parameters: readonly Parameter[], value: number): Promise<void> => {
    const hold = await buffer.hold(parameters);
    for (const parameter of parameters) await write(buffer, parameter, value);
    await buffer.measure(parameters);
    hold.release();
  };
  const [outside, ...inside] = within.parameters as [Parameter, ...Parameter[]];
  const ofBlock = inside.filter(({ layer }) => layer === 1);
  const step = async (): Promise<{ norm: number; readBytes: number }> => {
    buffer.begin();
    await writeHeld(ofBlock, 1);
    await writeHeld([outside], 3);
    buffer.isLast = true;
    await writeHeld(ofBlock, 2);
    await writeHeld([outside], 0);
    buffer.finish();
    memory.takeTraffic();
    return { norm: await buffer.norm(), readBytes: memory.takeTraffic().readBytes };
  };
  const expected = { norm: Math.sqrt(7 * 3 ** 2 + 2 * 3 ** 2), readBytes: 0 };
  assert.deepEqual([await step(), await step()], [expected, expected]);
  await buffer.release();
});

test("target() refuses a parameter of another adapter", async () => {
  const buffer = await GradientBuffer.create(engine, trained, new BufferPool());
  assert.throws(() => buffer.target({ ...a }), /Cannot collect a gradient for "a": it is not trained/);
  await buffer.release();
});
