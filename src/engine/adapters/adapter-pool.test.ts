/** @file What adapters in memory take: their own numbers once each, and nothing when they have made room. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { attachTo } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { loadModel } from "../../format/by-path.ts";
import { lora } from "../../peft/methods/lora.ts";
import { Session } from "../../run/session.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { ServingEngine } from "../serving/serving-engine.ts";
import { AdapterPool } from "./adapter-pool.ts";

const RANK = 64;
const { base, checkpoint } = await loadModel(
  await writeTinyModel(temporaryFolder(), { config: { hidden_size: 128, intermediate_size: 256 } }),
);
const session = new Session(createEngine({ threads: 1 }), base, "float32");

/** A pool of LoRA adapters that are made when they are asked for, and texts with them. */
function open(maxLoaded: number) {
  const read = async (path: string) => ({
    adapter: await attachTo(base, lora, { rank: RANK }, "all-linear", Number(path)),
    chatTemplateHash: null,
  });
  const adapters = new AdapterPool({ session, read, maxLoaded });
  const serving = new ServingEngine(session, adapters, { cacheBytes: 1e6 });
  after(async () => {
    await serving.close();
    await adapters.close();
  });
  const use = async (name: string): Promise<void> => {
    if (!adapters.has(name)) adapters.register(name, name);
    for await (const _ of serving.write({ promptIds: [1], maxNewTokens: 1, adapter: name })) continue;
  };
  return { use };
}
after(async () => {
  await session.release();
  await checkpoint.close();
});

/** Bytes of arrays that are still reachable. */
function arrayBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().arrayBuffers;
}

test("each adapter of rank r takes 4 r (in + out) bytes a module, and no more come than may stay", async () => {
  const { parameters } = await attachTo(base, lora, { rank: 1 }, "all-linear");
  const ofOne = 4 * RANK * parameters.reduce((sum, { value }) => sum + value.data.length, 0);
  const [NUM_FIRST, NUM_MORE, MAX_LOADED] = [4, 16, 20];
  const { use } = open(MAX_LOADED);
  for (let i = 0; i < NUM_FIRST; i++) await use(String(i));
  const before = arrayBytes();
  for (let i = 0; i < NUM_MORE; i++) await use(String(NUM_FIRST + i));
  const more = arrayBytes() - before;
  assert.ok(Math.abs(more / (NUM_MORE * ofOne) - 1) < 0.02, `${more} bytes for ${NUM_MORE} of ${ofOne}`);
  for (let i = 0; i < NUM_MORE; i++) await use(String(MAX_LOADED + i));
  const grown = arrayBytes() - before - more;
  assert.ok(Math.abs(grown) < 0.02 * more, `${grown} bytes more`);
});
