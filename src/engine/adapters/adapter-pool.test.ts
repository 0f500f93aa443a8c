/** @file What adapters in memory take: their own numbers once each, and nothing when they have made room. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { attachTo } from "../../../test/passes/model-passes.ts";
import { arrayBytes } from "../../../test/process/array-bytes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { loadModel } from "../../format/by-path.ts";
import type { Method } from "../../peft/method.ts";
import { lora } from "../../peft/methods/lora.ts";
import { peqa } from "../../peft/methods/peqa.ts";
import { snell } from "../../peft/methods/snell.ts";
import { Session } from "../../run/session.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { ServingEngine } from "../serving/serving-engine.ts";
import { AdapterPool } from "./adapter-pool.ts";
import type { HeldAdapter } from "./held-adapter.ts";

const RANK = 64;
const { base, checkpoint } = await loadModel(
  await writeTinyModel(temporaryFolder(), { config: { hidden_size: 128, intermediate_size: 256 } }),
);
const session = new Session(createEngine({ threads: 1 }), base, "float32");

/** A pool of adapters that are made when they are asked for, and texts with them. */
function open(method: Method, options: object, maxLoaded: number) {
  const read = async (path: string) => ({
    adapter: await attachTo(base, method, options, "all-linear", Number(path)),
    chatTemplateHash: null,
  });
  const adapters = new AdapterPool({ session, read, maxLoaded });
  const serving = new ServingEngine(session, adapters, { cacheBytes: 1e6 });
  after(async () => {
    await serving.close();
    await adapters.close();
  });
  /** Uses adapters one after another, from one to before another. */
  return async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i++) {
      adapters.register(String(i), String(i));
      const request = { promptIds: [1], maxNewTokens: 1, adapter: String(i) };
      for await (const _ of serving.write(request)) continue;
    }
  };
}
after(async () => {
  await session.release();
  await checkpoint.close();
});

test("each adapter of rank r takes 4 r (in + out) bytes a module", async () => {
  const { parameters } = await attachTo(base, lora, { rank: 1 }, "all-linear");
  const ofOne = 4 * RANK * parameters.reduce((sum, { value }) => sum + value.data.length, 0);
  const [numFirst, numMore] = [4, 8];
  const use = open(lora, { rank: RANK }, numFirst + numMore);
  await use(0, numFirst);
  const before = await arrayBytes();
  await use(numFirst, numFirst + numMore);
  const more = (await arrayBytes()) - before;
  assert.ok(Math.abs(more / (numMore * ofOne) - 1) < 0.02, `${more} bytes for ${numMore} of ${ofOne}`);
});

/** A pool of one adapter beside those in use, "first" and "second", which calls back when the first is freed. */
function openTight(onFreed: (pool: AdapterPool) => void): AdapterPool {
  const read = async (path: string) => {
    const adapter = await attachTo(base, lora, { rank: 1 }, "all-linear");
    const release = (): void => {
      adapter.release();
      if (path === "first") onFreed(pool);
    };
    return { adapter: { ...adapter, release }, chatTemplateHash: null };
  };
  const pool = new AdapterPool({ session, read, maxLoaded: 1 });
  for (const name of ["first", "second"]) pool.register(name, name);
  after(() => pool.close());
  return pool;
}

test("an adapter that is asked for at the moment when it makes room is read again", async () => {
  const again = Promise.withResolvers<HeldAdapter>();
  let numFreed = 0;
  const pool = openTight((self) => {
    if (numFreed++ === 0) again.resolve(self.acquire("first"));
  });
  const held = await pool.acquire("first");
  await pool.acquire("second");
  // It is to go twice, as two are done with it.
  pool.release(held);
  void pool.acquire("first");
  pool.release(held);
  assert.equal((await again.promise).name, "first");
});

test("an adapter that is forgotten while somebody has it is freed when nobody has", async () => {
  let numFreed = 0;
  const pool = openTight(() => numFreed++);
  const held = await pool.acquire("first");
  await pool.acquire("second");
  pool.release(held);
  const used = pool.acquire("first");
  pool.unregister("first");
  await used;
  await setImmediate();
  assert.equal(numFreed, 0);
  pool.release(await used);
  await setImmediate();
  assert.equal(numFreed, 1);
});

/** A pool whose adapters are read when the gate is opened, with how many were freed. */
function openGated() {
  const gate = Promise.withResolvers<void>();
  const freed: string[] = [];
  const read = async (path: string) => {
    await gate.promise;
    const adapter = await attachTo(base, lora, { rank: 1 }, "all-linear");
    const release = (): void => {
      adapter.release();
      freed.push(path);
    };
    return { adapter: { ...adapter, release }, chatTemplateHash: null };
  };
  const pool = new AdapterPool({ session, read, maxLoaded: 1 });
  const serving = new ServingEngine(session, pool, { cacheBytes: 1e6 });
  after(async () => {
    await serving.close();
    await pool.close();
  });
  return { pool, serving, gate, freed };
}

test("a text that is cancelled while its adapter is read ends at once, and lets go of it when it comes", async () => {
  const { pool, serving, gate, freed } = openGated();
  pool.register("slow", "slow");
  const stop = new AbortController();
  const request = { promptIds: [1, 2], maxNewTokens: 3, adapter: "slow", signal: stop.signal };
  const [text, other] = [serving.write(request).next(), pool.acquire("slow")];
  stop.abort();
  const { done, value } = await text;
  assert.ok(done === true && value.finishReason === "aborted");
  assert.deepEqual([value.numPromptTokens, value.numNewTokens], [2, 0]);
  // Cancelled before it asks.
  assert.equal(await pool.acquire("slow", stop.signal), null);
  gate.resolve();
  const held = await other;
  pool.unregister("slow");
  await setImmediate();
  assert.deepEqual(freed, []);
  pool.release(held);
  await setImmediate();
  assert.deepEqual(freed, ["slow"]);
  assert.equal(serving.stats.numPagesHeld, 0);
});

test("an adapter that nobody waits for any more when it cannot be read is read again for the next", async () => {
  const { pool, gate } = openGated();
  pool.register("slow", "slow");
  const stop = new AbortController();
  const left = pool.acquire("slow", stop.signal);
  stop.abort();
  assert.equal(await left, null);
  gate.reject(new Error("made up"));
  await setImmediate();
  await assert.rejects(pool.acquire("slow"), { code: "engine/adapter" });
});

test("what was to be loaded, and nobody waits for any more, cannot be asked for", async () => {
  const { pool, gate, freed } = openGated();
  const stop = new AbortController();
  const added = pool.add("slow", "slow", { signal: stop.signal });
  stop.abort(new Error("late"));
  gate.resolve();
  await assert.rejects(added, { message: "late" });
  await setImmediate();
  assert.deepEqual([pool.has("slow"), freed], [false, ["slow"]]);
});

for (const method of [lora, snell, peqa]) {
  test(`of ${method.name}, what has made room is kept by nobody`, async () => {
    const use = open(method, {}, 3);
    await use(0, 4);
    const before = await arrayBytes();
    await use(4, 9);
    const more = (await arrayBytes()) - before;
    assert.ok(more < 1000, `${more} bytes more`);
  });
}
