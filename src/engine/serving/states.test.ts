/** @file Texts of a model that keeps states beside its pages: at once and with little memory they are those of each alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { readAdapter } from "../../format/by-path.ts";
import { AdapterPool } from "../adapters/adapter-pool.ts";
import { pageBytes } from "../cache/paged-cache.ts";
import { openTextModel } from "../open-text-model.ts";
import { ServingEngine } from "./serving-engine.ts";

const root = temporaryFolder();
const modelPath = await writeTinyModel(join(root, "model"), { modelType: "qwen3_5_text" });
const model = await openTextModel(modelPath, { threads: 1 });
after(() => model.close());
const { session } = model.generator;
const NAMES = ["thin", "turned"];
await writeTinyAdapter(modelPath, join(root, "thin"), "lora", 1, { options: { rank: 2 } });
await writeTinyAdapter(modelPath, join(root, "turned"), "road", 3, {});
for (const name of NAMES) await model.tasks.load(name, join(root, name));

// All begin alike, by more than a page.
const REQUESTS = Array.from({ length: 9 }, (_, i) => ({
  promptIds: Array.from({ length: 18 + ((11 * i) % 40) }, (_, t) => 33 + ((7 * t) % 90)),
  maxNewTokens: 12 + 4 * (i % 5),
  adapter: [null, ...NAMES][i % 3] ?? null,
}));

const expected: (readonly number[])[] = [];
for (const { adapter, ...request } of REQUESTS) {
  await model.tasks.switch(adapter);
  expected.push((await model.generator.complete(request)).ids);
}

for (const [numPages, isTight] of [
  [200, false],
  [9, true],
] as const) {
  test(`texts on ${numPages} pages, with adapters, are those of each alone`, async () => {
    const adapters = new AdapterPool({
      session,
      read: (path) => readAdapter(path, session.base),
      maxLoaded: 4,
    });
    for (const name of NAMES) adapters.register(name, join(root, name));
    const cacheBytes = numPages * pageBytes(session.model);
    const engine = new ServingEngine(session, adapters, { cacheBytes, maxRunning: 8, prefillTokens: 24 });
    try {
      const write = async (request: (typeof REQUESTS)[number]): Promise<number[]> => {
        const ids: number[] = [];
        for await (const { id } of engine.write(request)) ids.push(id);
        return ids;
      };
      assert.deepEqual(await Promise.all(REQUESTS.map(write)), expected);
      assert.equal(engine.stats.numPreemptions > 0, isTight);
    } finally {
      await engine.close();
      await adapters.close();
    }
  });
}
