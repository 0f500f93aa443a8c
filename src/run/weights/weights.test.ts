/** @file Lending weights: several passes at once, memory that is used again, float32 residency, reads that fail. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { memorySource } from "../../../test/tiny/memory-source.ts";
import { tinyModelParts } from "../../../test/tiny/model.ts";
import { BaseModel, type WeightSource } from "../../models/base/base-model.ts";
import { openModel } from "../../models/families.ts";
import { asFloat32 } from "../../nn/computes/f32.ts";
import { RESIDENT, type VectorMemory } from "../../runtime/memory/vector-memory.ts";
import { WeightWalk } from "./weight-walk.ts";
import { Weights } from "./weights.ts";

const NUM_LAYERS = 5;
const NAMES = ["self_attn.q_proj.weight", "input_layernorm.weight"];

const { config, tensors } = tinyModelParts({ config: { num_hidden_layers: NUM_LAYERS } });
const model = openModel(config);
const memory = memorySource(
  new Map(
    [...tensors].map(([name, data]) => [name, { storage: "f32", shape: data.shape, planes: { data } }]),
  ),
);

const READS = NAMES.map((tensor) => ({
  tensor,
  preparation: asFloat32(tensors.get(model.blockPrefix(0) + tensor)!.shape),
}));

/** Lets others have so many turns. */
async function wait(numTurns: number): Promise<void> {
  for (let turn = 0; turn < numTurns; turn++) await new Promise(setImmediate);
}

/** A base whose reads take a turn or several, and are counted. */
function slowBase(): { base: BaseModel; read: string[] } {
  const read: string[] = [];
  const source: WeightSource = {
    ...memory,
    readInto: async (name, into) => {
      read.push(name);
      // Something else in memory until the read is done.
      into.fill(NaN);
      await wait(1 + (read.length % 3));
      await memory.readInto(name, into);
    },
  };
  return { base: new BaseModel("test", model, source), read };
}

function assertRight(layer: number, lent: Awaited<ReturnType<WeightWalk["block"]>>, what: string): void {
  for (const name of NAMES) {
    const expected = tensors.get(model.blockPrefix(layer) + name)!;
    assert.deepEqual(lent[name], expected, `${what}: ${name} of block ${layer}`);
  }
}

/** Walks over all blocks and back, and looks at each block again after others have had a turn. */
async function walkThrough(weights: Weights, what: string): Promise<void> {
  const walk = new WeightWalk(weights, NUM_LAYERS, () => READS);
  const there = Array.from({ length: NUM_LAYERS }, (_, layer) => [layer, layer + 1] as const);
  for (const [layer, next] of [...there, ...there.map(([at]) => [at, at - 1] as const).reverse()]) {
    const lent = await walk.block(layer, next);
    assertRight(layer, lent, what);
    await wait(4);
    assertRight(layer, lent, `${what}, later`);
  }
  walk.end();
}

describe("Weights", () => {
  for (const residency of ["stored", "float32"] as const) {
    test(`${residency}: walks at once over one base see the right values at every block`, async () => {
      const weights = new Weights(slowBase().base, residency);
      const first = walkThrough(weights, "first");
      await new Promise(setImmediate);
      await Promise.all([first, walkThrough(weights, "second"), walkThrough(weights, "third")]);
    });
  }

  test("memory of a block is used again only when every loan of it has been given back", async () => {
    const { base, read } = slowBase();
    const weights = new Weights(base, "stored");
    const dataOf = ({ tensors: lent }: Awaited<ReturnType<Weights["borrow"]>>) => lent[NAMES[0]!]!.data;
    const [one, again] = [await weights.borrow(0, READS), await weights.borrow(0, READS)];
    assert.equal(dataOf(one), dataOf(again));
    assert.equal(read.length, NAMES.length);
    one.release();
    // A second release of one loan is not that of another.
    one.release();
    const other = await weights.borrow(1, READS);
    assert.notEqual(dataOf(other), dataOf(again));
    assertRight(0, again.tensors, "still lent");
    again.release();
    const third = await weights.borrow(2, READS);
    assert.equal(dataOf(third), dataOf(one));
    assertRight(2, third.tensors, "in memory used before");
    assertRight(1, other.tensors, "beside it");
  });

  test("a block that is still in memory is not read again", async () => {
    const { base, read } = slowBase();
    const weights = new Weights(base, "stored");
    for (const _ of [1, 2]) (await weights.borrow(3, READS)).release();
    assert.equal(read.length, NAMES.length);
  });

  test("float32 residency reads each tensor once and keeps all; stored takes the memory of two blocks", async () => {
    for (const [residency, numReads, numBuffers] of [
      ["float32", NUM_LAYERS, NUM_LAYERS],
      // There and back: the last block and the one before are still in memory, the others are read twice.
      ["stored", 2 * NUM_LAYERS - 2, 2],
    ] as const) {
      const { base, read } = slowBase();
      const weights = new Weights(base, residency);
      const buffers = new Set<unknown>();
      const walk = new WeightWalk(weights, NUM_LAYERS, () => READS);
      for (const layer of [0, 1, 2, 3, 4]) buffers.add((await walk.block(layer, layer + 1))[NAMES[0]!]!.data);
      for (const layer of [4, 3, 2, 1, 0]) buffers.add((await walk.block(layer, layer - 1))[NAMES[0]!]!.data);
      walk.end();
      assert.equal(read.length, numReads * NAMES.length, residency);
      assert.equal(buffers.size, numBuffers, residency);
    }
  });

  test("a read that fails is told to whoever asks for the block, and its memory stays right for others", async () => {
    const [slow, failing] = NAMES.map((name) => model.blockPrefix(1) + name);
    const source: WeightSource = {
      ...memory,
      readInto: async (name, into) => {
        if (name === failing) throw new Error("the disk is gone");
        if (name === slow) await wait(5);
        await memory.readInto(name, into);
      },
    };
    const weights = new Weights(new BaseModel("test", model, source), "stored");
    const walk = new WeightWalk(weights, NUM_LAYERS, () => READS);
    assertRight(0, await walk.block(0, 1), "before");
    await assert.rejects(() => walk.block(1, 2), { message: "the disk is gone" });
    walk.end();
    const loans = [await weights.borrow(2, READS), await weights.borrow(3, READS)];
    await wait(10);
    loans.forEach(({ tensors: lent }, i) => assertRight(2 + i, lent, "after"));
  });

  test("what could not be read is read again when it is asked for", async () => {
    const failed = new Set<string>();
    const source: WeightSource = {
      ...memory,
      readInto: async (name, ...rest) => {
        if (failed.has(name)) return await memory.readInto(name, ...rest);
        failed.add(name);
        throw new Error("the disk is away");
      },
    };
    for (const residency of ["stored", "float32"] as const) {
      failed.clear();
      const weights = new Weights(new BaseModel("test", model, source), residency);
      const outside = (): Promise<unknown> => weights.readOutsideBlocks(["model.norm.weight"]);
      for (const read of [() => weights.borrow(1, READS), outside])
        await assert.rejects(read, /the disk is away/);
      assertRight(1, (await weights.borrow(1, READS)).tensors, residency);
      await outside();
    }
  });

  test("within a budget, what could not be read holds no memory, and what was read is held for good", async () => {
    let numHolds = 0;
    const budget: VectorMemory = {
      ...RESIDENT,
      budgetBytes: 1e6,
      hold: async () => {
        numHolds++;
        return { release: () => void numHolds-- };
      },
    };
    let isAway = true;
    const source: WeightSource = {
      ...memory,
      readInto: async (...of) => {
        if (isAway) throw new Error("the disk is away");
        await memory.readInto(...of);
      },
    };
    const weights = new Weights(new BaseModel("test", model, source), "stored", { memory: budget });
    const read = (): Promise<unknown> => weights.readOutsideBlocks(["model.norm.weight"]);
    await assert.rejects(read, /the disk is away/);
    assert.equal(numHolds, 0);
    isAway = false;
    await read();
    assert.equal(numHolds, 1);
  });

  test("tensors outside the blocks are read when first asked for, and once", async () => {
    let numReads = 0;
    const source: WeightSource = {
      ...memory,
      readInto: (...of) => (numReads++, memory.readInto(...of)),
    };
    const weights = new Weights(new BaseModel("test", model, source), "stored");
    const [one, two] = [
      await weights.readOutsideBlocks(["model.norm.weight"]),
      await weights.readOutsideBlocks(["model.norm.weight"]),
    ];
    assert.deepEqual(one["model.norm.weight"], tensors.get("model.norm.weight"));
    assert.equal(one["model.norm.weight"], two["model.norm.weight"]);
    assert.equal(numReads, 1);
  });
});
