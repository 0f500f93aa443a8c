/** @file Every form of the list: what is kept comes back, last first, in memory of the pool. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Saved } from "../../run/blocks/block-runner.ts";
import type { Session } from "../../run/session.ts";
import { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import type { ShardDisk } from "../../runtime/memory/shard.ts";
import { ACTIVATION_FORMS } from "./forms.ts";

const engine = createEngine({ threads: 1 });

/** What a form needs of a session. */
function place(): { session: Session; pool: BufferPool } {
  const pool = new BufferPool();
  const compile: Session["compile"] = async (_key, make) => {
    const { spec, made } = make();
    return { program: await engine.compile(spec), made };
  };
  return { session: { pool, compile } as Session, pool };
}

/** Files in memory, which come and go a few turns later. */
function memoryDisk(failsAt = Infinity): ShardDisk & { readonly files: Map<number, Uint8Array> } {
  const files = new Map<number, Uint8Array>();
  let numWrites = 0;
  return {
    files,
    write: async (index, bytes) => {
      await Promise.resolve();
      if (++numWrites === failsAt) throw new Error("the disk is full");
      files.set(index, bytes.slice());
    },
    read: async (index, into) => {
      await Promise.resolve();
      into.set(files.get(index)!);
    },
  };
}

function block(pool: BufferPool, number: number): Saved {
  const [x, q] = [pool.acquire("float32", [2, 3, 4]), pool.acquire("float32", [2, 5])];
  x.data.forEach((_, i) => (x.data[i] = 100 * Math.sin(number + i)));
  q.data.forEach((_, i) => (q.data[i] = number + i / 7));
  return { x, q };
}

const copyOf = (saved: Saved): Record<string, number[]> =>
  Object.fromEntries(Object.entries(saved).map(([name, { data }]) => [name, [...data]]));

for (const form of ACTIVATION_FORMS) {
  describe(`activations in the form ${form.name}`, () => {
    test("what is kept comes back, last first, and the pool has all of it in the end", async () => {
      const { session, pool } = place();
      const kept = form.begin(session, memoryDisk());
      const given: Record<string, number[]>[] = [];
      for (let i = 0; i < 5; i++) {
        const saved = block(pool, i);
        given.push(copyOf(saved));
        await kept.keep(saved);
      }
      for (const expected of given.toReversed()) {
        const saved = await kept.bringBack();
        const found = copyOf(saved);
        if (form.isExact) assert.deepEqual(found, expected);
        for (const [name, values] of Object.entries(expected)) {
          const own = found[name]!;
          assert.equal(own.length, values.length);
          for (const [i, value] of values.entries())
            assert.ok(Math.abs(own[i]! - value) <= 2 ** -11 * Math.abs(value) + 2 ** -25);
        }
        pool.release(...Object.values(saved));
      }
      await kept.end();
      pool.clear();
      assert.equal(pool.allocatedBytes, 0);
    });

    test("a pass that ends early gives everything back", async () => {
      const { session, pool } = place();
      const kept = form.begin(session, memoryDisk());
      for (let i = 0; i < 4; i++) await kept.keep(block(pool, i));
      pool.release(...Object.values(await kept.bringBack()));
      await kept.end();
      pool.clear();
      assert.equal(pool.allocatedBytes, 0);
    });
  });
}

test("what half precision cannot hold waits as it is, and so does a single number", async () => {
  const { session, pool } = place();
  const [, float16] = ACTIVATION_FORMS;
  const kept = float16.begin(session, null);
  const tensors = { x: pool.acquire("float32", [3]), threshold: pool.acquire("float32", []) };
  tensors.x.data.set([1e5, 1 / 3, -2]);
  tensors.threshold.data.set([1e-9]);
  const expected = copyOf(tensors);
  await kept.keep(tensors);
  assert.deepEqual(copyOf(await kept.bringBack()), expected);
});

test("what waits in half precision takes half the memory, and none that the next block writes into", async () => {
  const { session, pool } = place();
  const [, float16] = ACTIVATION_FORMS;
  const kept = float16.begin(session, null);
  const names = ["q", "k", "v", "x"];
  const acquire = (): Saved =>
    Object.fromEntries(names.map((name) => [name, pool.acquire("float32", [1024])]));
  for (let i = 0; i < 8; i++) await kept.keep(acquire());
  assert.equal(pool.allocatedBytes, 4 * 1024 * (8 * 2 + 4));
  await kept.end();
});

test("a disk that fails is told by the next to be kept, or brought back", async () => {
  const [, , disk] = ACTIVATION_FORMS;
  for (const numKept of [3, 2]) {
    const { session, pool } = place();
    const kept = disk.begin(session, memoryDisk(1));
    const work = async (): Promise<void> => {
      for (let i = 0; i < numKept; i++) await kept.keep(block(pool, i));
      await kept.bringBack();
      await kept.bringBack();
    };
    await assert.rejects(work(), /the disk is full/);
    await kept.end();
  }
});
