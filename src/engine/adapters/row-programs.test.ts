/** @file However many kinds of adapters come and go, programs of those that nobody uses any more do not pile up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { attachTo } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { loadModel } from "../../format/by-path.ts";
import { lora } from "../../peft/methods/lora.ts";
import { Session } from "../../run/session.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import type { Engine } from "../../runtime/engine.ts";
import { ServingEngine } from "../serving/serving-engine.ts";
import { AdapterPool } from "./adapter-pool.ts";

test("programs of ranks that were used longest ago are freed, and compiled again when they are used", async () => {
  const { base, checkpoint } = await loadModel(await writeTinyModel(temporaryFolder()));
  const engine = createEngine({ threads: 1 });
  let [numCompiled, numReleased] = [0, 0];
  const counting: Engine = {
    ...engine,
    compile: async (spec, options) => {
      const program = await engine.compile(spec, options);
      numCompiled++;
      const release = async (): Promise<void> => {
        numReleased++;
        await program.release();
      };
      return { spec, run: (feeds, into) => program.run(feeds, into), release };
    },
  };
  const session = new Session(counting, base, "float32");
  const read = async (rank: string) => ({
    adapter: await attachTo(base, lora, { rank: Number(rank) }, ["q_proj"], Number(rank)),
    chatTemplateHash: null,
  });
  const adapters = new AdapterPool({ session, read, maxLoaded: 1 });
  const serving = new ServingEngine(session, adapters, { cacheBytes: 1e6 });
  const write = async (rank: number): Promise<readonly number[]> => {
    const ids: number[] = [];
    const request = { promptIds: [40, 41, 42], maxNewTokens: 3, adapter: String(rank) };
    for await (const { id } of serving.write(request)) ids.push(id);
    return ids;
  };
  const numAlive: number[] = [];
  const texts: (readonly number[])[] = [];
  for (let rank = 1; rank <= 20; rank++) {
    adapters.register(String(rank), String(rank));
    texts.push(await write(rank));
    numAlive.push(numCompiled - numReleased);
  }
  assert.ok(numAlive[5]! > numAlive[4]!, "each rank has programs of its own");
  assert.deepEqual(numAlive.slice(13), Array(7).fill(numAlive[13]));
  const before = numCompiled;
  assert.deepEqual(await write(20), texts[19]);
  assert.equal(numCompiled, before);
  assert.deepEqual(await write(1), texts[0]);
  assert.ok(numCompiled > before);
  await serving.close();
  await adapters.close();
  await session.release();
  assert.equal(numReleased, numCompiled);
  await checkpoint.close();
});
