/** @file Memory within a budget against a model of it: never too much, the oldest goes first, no number is lost, faults are told. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { CapacityError } from "../../errors.ts";
import { ShardMemory } from "./shard-memory.ts";
import type { ShardDisk } from "./shard.ts";
import type { Hold, Use } from "./vector-memory.ts";
import { residentBytes } from "../../../test/process/resident-bytes.ts";

const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** A disk in memory that counts what moves, and can fail. */
function memoryDisk(): ShardDisk & { files: Map<number, Uint8Array>; log: string[]; fails: boolean } {
  const files = new Map<number, Uint8Array>();
  const log: string[] = [];
  const disk = {
    files,
    log,
    fails: false,
    async write(index: number, bytes: Uint8Array): Promise<void> {
      log.push(`write ${index}`);
      await Promise.resolve();
      if (disk.fails) throw new Error("the disk is full");
      files.set(index, bytes.slice());
    },
    async read(index: number, into: Uint8Array): Promise<void> {
      log.push(`read ${index}`);
      await Promise.resolve();
      if (disk.fails) throw new Error("the disk is gone");
      into.set(files.get(index)!);
    },
  };
  return disk;
}

/** One that takes its time, as disks do: what it writes is read from memory later. */
function slowDisk(): ShardDisk {
  const disk = memoryDisk();
  const later = (work: () => Promise<void>): Promise<void> => new Promise(setImmediate).then(work);
  return {
    write: (index, bytes) => later(() => disk.write(index, bytes)),
    read: (index, into) => later(() => disk.read(index, into)),
  };
}

function makeVectors(
  memory: ShardMemory,
  sizes: readonly number[],
  uses: { readonly usesPerStep?: number } = {},
): Float32Array[] {
  return sizes.map((size, i) =>
    memory.make(
      { name: `vector ${i}`, sizeBytes: size * BYTES, ...uses },
      (buffer) => new Float32Array(buffer, 0, size),
    ),
  );
}

async function use(memory: ShardMemory, vector: Float32Array, how: Use = "read"): Promise<number> {
  const hold = await memory.hold([vector], how);
  const value = vector[0]!;
  if (how !== "read") vector.fill(value + 1);
  hold.release();
  return value;
}

/** A model of the memory: which vectors are in it, the oldest first. */
class Model {
  readonly resident: number[] = [];
  readonly sizes: readonly number[];
  readonly budget: number;

  constructor(sizes: readonly number[], budget: number) {
    this.sizes = sizes;
    this.budget = budget;
  }

  get numElements(): number {
    return this.resident.reduce((sum, i) => sum + this.sizes[i]!, 0);
  }

  /** Uses vectors at once while others are held; false: they do not fit, and all stays. */
  hold(wanted: readonly number[], held: readonly number[]): boolean {
    const needed = [...new Set([...wanted, ...held])].reduce((sum, i) => sum + this.sizes[i]!, 0);
    if (needed > this.budget) return false;
    const missing = wanted.filter((i) => !this.resident.includes(i));
    const goal = this.budget - missing.reduce((sum, i) => sum + this.sizes[i]!, 0);
    while (this.numElements > goal) {
      const oldest = this.resident.findIndex((i) => !held.includes(i) && !wanted.includes(i));
      this.resident.splice(oldest, 1);
    }
    for (const i of wanted) this.touch(i);
    return true;
  }

  touch(i: number): void {
    const at = this.resident.indexOf(i);
    if (at >= 0) this.resident.splice(at, 1);
    this.resident.push(i);
  }
}

describe("ShardMemory", () => {
  test("any sequence of holds: within the budget at every instant, least recently used first, all numbers kept", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 2, maxLength: 7 });
    const action = fc.record({
      vectors: fc.array(fc.nat(6), { minLength: 1, maxLength: 3 }),
      use: fc.constantFrom<Use>("read", "change", "overwrite"),
      /** For so many actions it is held. */
      lasts: fc.integer({ min: 0, max: 2 }),
    });
    const cases = fc.asyncProperty(
      sizes,
      fc.integer({ min: 8, max: 24 }),
      fc.array(action, { maxLength: 40 }),
      async (sizes, budget, actions) => {
        const disk = memoryDisk();
        const memory = new ShardMemory(budget * BYTES, disk);
        const vectors = makeVectors(memory, sizes);
        const model = new Model(sizes, budget);
        const numbers = sizes.map(() => 0);
        let held: { indexes: number[]; hold: Hold; until: number }[] = [];
        for (const [at, { vectors: drawn, use, lasts }] of actions.entries()) {
          for (const each of held.filter(({ until }) => until <= at)) each.hold.release();
          held = held.filter(({ until }) => until > at);
          const indexes = [...new Set(drawn.map((i) => i % sizes.length))];
          const views = indexes.map((i) => vectors[i]!);
          const fits = model.hold(
            indexes,
            held.flatMap((each) => each.indexes),
          );
          const hold = await memory.hold(views, use).catch((error: unknown) => error as CapacityError);
          assert.equal(hold instanceof CapacityError, !fits);
          const { residentBytes, peakBytes } = memory.takeTraffic();
          assert.ok(peakBytes <= budget * BYTES, `${peakBytes} of ${budget * BYTES}`);
          assert.equal(residentBytes, model.numElements * BYTES);
          const there = vectors.flatMap((vector, i) => (model.resident.includes(i) ? [vector.length] : []));
          assert.deepEqual(
            there,
            sizes.filter((_, i) => model.resident.includes(i)),
          );
          if (hold instanceof CapacityError) continue;
          for (const i of indexes) {
            const vector = vectors[i]!;
            if (use !== "overwrite")
              assert.ok(
                vector.every((value) => value === numbers[i]),
                `vector ${i}`,
              );
            if (use !== "read") vector.fill((numbers[i] = at + 1));
          }
          held.push({ indexes, hold, until: at + 1 + lasts });
        }
        for (const { hold } of held) hold.release();
        for (const [i, vector] of vectors.entries()) {
          if (sizes[i]! > budget) continue;
          const hold = await memory.hold([vector], "read");
          assert.ok(
            vector.every((value) => value === numbers[i]),
            `vector ${i} at the end`,
          );
          hold.release();
        }
      },
    );
    await fc.assert(cases, { seed: 11, numRuns: 300 });
  });

  test("any sequence of uses, read ahead or not, however often a step has them: within the budget, all numbers kept", async () => {
    const vector = fc.record({
      size: fc.integer({ min: 1, max: 4 }),
      usesPerStep: fc.constantFrom(1, 2, Infinity),
    });
    const action = fc.record({
      vectors: fc.array(fc.nat(6), { minLength: 1, maxLength: 2 }),
      ahead: fc.array(fc.nat(6), { maxLength: 2 }),
      use: fc.constantFrom<Use>("read", "change", "overwrite"),
    });
    const cases = fc.asyncProperty(
      fc.array(vector, { minLength: 2, maxLength: 7 }),
      fc.integer({ min: 8, max: 16 }),
      fc.array(action, { maxLength: 40 }),
      async (specs, budget, actions) => {
        const memory = new ShardMemory(budget * BYTES, slowDisk());
        const vectors = specs.map(({ size, usesPerStep }, i) =>
          memory.make(
            { name: `vector ${i}`, sizeBytes: size * BYTES, usesPerStep },
            (buffer) => new Float32Array(buffer, 0, size),
          ),
        );
        const numbers = specs.map(() => 0);
        const all = vectors.map((_, i) => ({ vectors: [i], ahead: [], use: "read" as Use }));
        for (const [at, { vectors: drawn, ahead, use }] of [...actions, ...all].entries()) {
          const indexes = [...new Set(drawn.map((i) => i % specs.length))];
          const hold = await memory.hold(
            indexes.map((i) => vectors[i] as Float32Array),
            use,
          );
          memory.prefetch(
            ahead.map((i) => vectors[i % specs.length] as Float32Array),
            "read",
          );
          for (const i of indexes) {
            const own = [...(vectors[i] as Float32Array)];
            if (use !== "overwrite") assert.deepEqual(own, Array(specs[i]!.size).fill(numbers[i]));
            if (use !== "read") vectors[i]!.fill((numbers[i] = at + 1));
          }
          if (at % 3 === 0) await Promise.resolve();
          hold.release();
          const { peakBytes } = memory.takeTraffic();
          assert.ok(peakBytes <= budget * BYTES, `${peakBytes} of ${budget * BYTES}`);
        }
      },
    );
    await fc.assert(cases, { seed: 5, numRuns: 300 });
  });

  test("what is in memory is held without anything going, even when twice of it would not fit", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(10 * BYTES, disk);
    const [a, b] = makeVectors(memory, [6, 4]) as [Float32Array, Float32Array];
    await use(memory, a, "change");
    await use(memory, b, "change");
    memory.takeTraffic();
    for (let time = 0; time < 3; time++) await use(memory, a);
    assert.deepEqual(memory.takeTraffic(), {
      residentBytes: 10 * BYTES,
      peakBytes: 10 * BYTES,
      readBytes: 0,
      writtenBytes: 0,
      evictedBytes: 0,
    });
    assert.deepEqual(disk.log, []);
  });

  test("what a step uses less goes before what was used longer ago", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(8 * BYTES, disk);
    const [values, state, other] = [{}, { usesPerStep: 2 }, {}].map((uses) =>
      memory.make({ name: "a", sizeBytes: 4 * BYTES, ...uses }, (buffer) => new Float32Array(buffer, 0, 4)),
    ) as [Float32Array, Float32Array, Float32Array];
    for (const vector of [values, state, other]) await use(memory, vector, "change");
    assert.deepEqual(disk.log, ["write 1"]);
    assert.deepEqual([values.length, state.length], [4, 0]);
    await use(memory, state);
    assert.deepEqual(disk.log, ["write 1", "write 0", "read 1"]);
  });

  test("of what a step uses once, in the same order each time, as much stays as there is room for", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(16 * BYTES, disk);
    const states = makeVectors(memory, [4, 4, 4, 4, 4], { usesPerStep: 1 });
    for (let step = 0; step < 3; step++) {
      for (const [i, state] of states.entries()) {
        const hold = await memory.hold([state], "change");
        const next = states[i + 1];
        if (next) memory.prefetch([next], "change");
        hold.release();
        if (step > 0) assert.ok(disk.log.length <= 4, disk.log.join(", "));
      }
      disk.log.length = 0;
    }
  });

  test("names do not matter: vectors of the same name keep numbers of their own", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(4 * BYTES, disk);
    const names = ["a/b c", "a_b_c", "a/b_c", "a/b c"];
    const vectors = names.map((name) =>
      memory.make({ name, sizeBytes: 4 * BYTES }, (buffer) => new Float32Array(buffer, 0, 4)),
    );
    for (const [i, vector] of vectors.entries()) {
      const hold = await memory.hold([vector], "overwrite");
      vector.fill(i + 1);
      hold.release();
    }
    for (const [i, vector] of vectors.entries()) assert.equal(await use(memory, vector), i + 1);
  });

  test("what did not change is not written again, what is forgotten is neither written nor read", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(4 * BYTES, disk);
    const [a, b] = makeVectors(memory, [4, 4]) as [Float32Array, Float32Array];
    await use(memory, a, "change");
    await use(memory, b);
    await use(memory, a);
    await use(memory, b);
    assert.deepEqual(disk.log, ["write 0", "read 0"]);
    await use(memory, a, "change");
    memory.discard([a, b]);
    assert.equal(a.length, 0);
    await use(memory, b);
    assert.equal(await use(memory, a), 0);
    assert.deepEqual(disk.log, ["write 0", "read 0", "read 0"]);
  });

  test("memory goes back to the system", async () => {
    const size = 12e6;
    const memory = new ShardMemory(size * BYTES, memoryDisk());
    const vector = memory.make(
      { name: "a", sizeBytes: size * BYTES },
      (buffer) => new Float32Array(buffer, 0, size),
    );
    const hold = await memory.hold([vector], "overwrite");
    vector.fill(1);
    hold.release();
    const full = residentBytes();
    memory.discard([vector]);
    const freed = full - residentBytes();
    assert.ok(freed > 0.8 * size * BYTES, `${freed} bytes of ${size * BYTES}`);
  });

  test("a write that fails loses nothing: the error is told, the numbers stay, the next attempt works", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(4 * BYTES, disk);
    const [a, b] = makeVectors(memory, [4, 4]) as [Float32Array, Float32Array];
    await use(memory, a, "change");
    disk.fails = true;
    memory.prefetch([b], "read");
    await assert.rejects(memory.hold([b], "read"), /the disk is full/);
    assert.equal(await use(memory, a), 1);
    disk.fails = false;
    assert.equal(await use(memory, b), 0);
    disk.fails = true;
    await assert.rejects(memory.hold([a], "read"), /the disk is gone/);
    disk.fails = false;
    assert.equal(await use(memory, a), 1);
  });

  test("what is forgotten while a write fails stays forgotten", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(4 * BYTES, disk);
    const [first, second] = makeVectors(memory, [4, 4]) as [Float32Array, Float32Array];
    assert.equal(await use(memory, first, "change"), 0);
    disk.fails = true;
    const failing = assert.rejects(use(memory, second, "change"), /full/);
    while (disk.log.length === 0) await Promise.resolve();
    memory.discard([first]);
    await failing;
    disk.fails = false;
    await use(memory, second, "change");
    assert.equal(await use(memory, first), 0);
  });

  test("what is held while it is being written stays, with what is changed meanwhile", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(8 * BYTES, disk);
    const [a, b, c] = makeVectors(memory, [4, 4, 4]) as [Float32Array, Float32Array, Float32Array];
    await use(memory, a, "change");
    await use(memory, b, "change");
    const bringing = memory.hold([c], "read");
    await Promise.resolve();
    await Promise.resolve();
    assert.deepEqual(disk.log, ["write 0"]);
    const hold = await memory.hold([a], "change");
    a.fill(7);
    (await bringing).release();
    assert.equal(a[0], 7);
    assert.equal(b.length, 0);
    hold.release();
    await use(memory, b);
    await use(memory, c);
    assert.equal(await use(memory, a), 7);
  });

  test("what a step is done with goes while memory is full, and in a write that fails stays", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(8 * BYTES, disk);
    const [a, b, c] = makeVectors(memory, [4, 4, 4], { usesPerStep: 1 }) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    await use(memory, a, "change");
    assert.deepEqual(disk.log, []);
    await use(memory, b, "change");
    await new Promise(setImmediate);
    assert.deepEqual([disk.log, a.length, b.length], [["write 1"], 4, 0]);
    disk.fails = true;
    await use(memory, c, "change");
    await new Promise(setImmediate);
    assert.equal(await use(memory, c), 1);
    await assert.rejects(memory.hold([b], "read"), /the disk is full/);
    disk.fails = false;
    for (const vector of [a, b, c]) assert.equal(await use(memory, vector), 1);
  });

  test("what is on its way out is not dropped before it is written, whoever else wants its room", async () => {
    const memory = new ShardMemory(8 * BYTES, slowDisk());
    const [a, b, c] = makeVectors(memory, [4, 4, 4], { usesPerStep: 1 }) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    await use(memory, a, "change");
    const hold = await memory.hold([b], "change");
    b.fill(7);
    // It looks for room as the hold ends.
    memory.prefetch([c], "read");
    hold.release();
    await use(memory, c);
    assert.deepEqual([await use(memory, a), await use(memory, b)], [1, 7]);
  });

  test("what is held together is written and read at once", async () => {
    const disk = memoryDisk();
    let numMoving = 0;
    let mostMoving = 0;
    const counted = async (work: Promise<void>): Promise<void> => {
      mostMoving = Math.max(mostMoving, ++numMoving);
      await work;
      numMoving--;
    };
    const memory = new ShardMemory(8 * BYTES, {
      write: (index, bytes) => counted(disk.write(index, bytes)),
      read: (index, into) => counted(disk.read(index, into)),
    });
    const vectors = makeVectors(memory, [4, 4, 4, 4]);
    const [first, second] = [vectors.slice(0, 2), vectors.slice(2)];
    for (const pair of [first, second, first]) (await memory.hold(pair, "change")).release();
    assert.deepEqual(disk.log, ["write 0", "write 1", "write 2", "write 3", "read 0", "read 1"]);
    assert.equal(mostMoving, 2);
  });

  test("what is read ahead is there, and takes nothing that is held", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(8 * BYTES, disk);
    const [a, b, c] = makeVectors(memory, [4, 4, 8]) as [Float32Array, Float32Array, Float32Array];
    const hold = await memory.hold([a], "change");
    memory.prefetch([b], "read");
    memory.prefetch([c], "read");
    await use(memory, b);
    assert.equal(a.length, 4);
    assert.deepEqual([a.length, b.length], [4, 4]);
    assert.equal(memory.takeTraffic().residentBytes, 8 * BYTES);
    hold.release();
  });

  test("numbers that are made are made again whenever they are not there, and never written", async () => {
    const disk = memoryDisk();
    const memory = new ShardMemory(4 * BYTES, disk);
    let numLoads = 0;
    const made: Float32Array = memory.make(
      { name: "made", sizeBytes: 4 * BYTES, load: async () => void made.fill(++numLoads) },
      (buffer) => new Float32Array(buffer, 0, 4),
    );
    const [other] = makeVectors(memory, [4]) as [Float32Array];
    for (const expected of [1, 2, 3]) {
      assert.equal(await use(memory, made), expected);
      await use(memory, other);
    }
    assert.deepEqual(disk.log, []);
  });
});
