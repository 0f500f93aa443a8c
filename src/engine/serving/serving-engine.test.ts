/** @file Many texts at once are those of each alone, whatever comes and goes beside them and however little memory there is. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { readAdapter } from "../../format/by-path.ts";
import { AdapterPool } from "../adapters/adapter-pool.ts";
import { type MovedText, exportText, importText } from "./moved-text.ts";
import { pageBytes } from "../cache/paged-cache.ts";
import { ServingEngine } from "./serving-engine.ts";
import type { ServeEnd, ServeRequest, ServedToken } from "./serve-request.ts";
import { openTextModel } from "../open-text-model.ts";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";

const root = temporaryFolder();
const modelPath = await writeTinyModel(join(root, "model"));
const model = await openTextModel(modelPath, { threads: 1 });
after(() => model.close());
const { session } = model.generator;

/** Writes an adapter with changes that show, and lets the model write with it alone. */
async function makeAdapter(name: string, method: string, options: object, seed: number): Promise<string> {
  const path = await writeTinyAdapter(modelPath, join(root, name), method, seed, { options });
  await model.tasks.load(name, path);
  return path;
}

const ADAPTERS = new Map([
  ["thin", await makeAdapter("thin", "lora", { rank: 2 }, 1)],
  ["thick", await makeAdapter("thick", "lora", { rank: 4 }, 2)],
  ["lengthened", await makeAdapter("lengthened", "dora", { rank: 3 }, 5)],
  ["biased", await makeAdapter("biased", "bitfit", {}, 6)],
  ["turned", await makeAdapter("turned", "road", {}, 3)],
  ["sparse", await makeAdapter("sparse", "snell", {}, 4)],
]);

async function open(numPages: number, more: { maxRunning?: number; maxLoaded?: number } = {}) {
  const read = (folder: string): ReturnType<typeof readAdapter> => readAdapter(folder, session.base);
  const { maxLoaded = 8, maxRunning = 16 } = more;
  const adapters = new AdapterPool({ session, read, maxLoaded });
  for (const [name, path] of ADAPTERS) adapters.register(name, path);
  const cacheBytes = numPages * pageBytes(session.model);
  const engine = new ServingEngine(session, adapters, { cacheBytes, maxRunning, prefillTokens: 24 });
  after(async () => {
    await engine.close();
    await adapters.close();
  });
  return engine;
}

async function write(
  engine: ServingEngine,
  request: ServeRequest,
): Promise<{ readonly ids: number[]; readonly end: ServeEnd }> {
  const ids: number[] = [];
  const tokens = engine.write(request);
  for (;;) {
    const step = await tokens.next();
    if (step.done) return { ids, end: step.value };
    ids.push(step.value.id);
  }
}

/** A request whose adapter has a name. */
type Named = ServeRequest & { readonly adapter?: string | null };

const NAMES = [null, ...ADAPTERS.keys()];
const REQUESTS = Array.from({ length: 12 }, (_, i): Named => {
  const promptIds = Array.from({ length: [3, 40, 17, 1, 70][i % 5]! }, (_, t) => 33 + ((7 * t + i) % 90));
  return { promptIds, maxNewTokens: 5 + 3 * (i % 4), adapter: NAMES[i % NAMES.length] ?? null, seed: i };
});

async function alone({ adapter = null, promptIds, maxNewTokens }: Named): Promise<readonly number[]> {
  await model.tasks.switch(adapter);
  return (await model.generator.complete({ promptIds, maxNewTokens })).ids;
}
const expected: (readonly number[])[] = [];
for (const request of REQUESTS) expected.push(await alone(request));
await model.tasks.switch(null);

test("texts with different adapters at once are those of each alone", async () => {
  const engine = await open(200);
  const written = await Promise.all(REQUESTS.map((request) => write(engine, request)));
  assert.deepEqual(
    written.map(({ ids }) => ids),
    expected,
  );
  assert.ok(written.every(({ end }) => end.finishReason === "length"));
  assert.equal(engine.stats.numPagesHeld, 0);
  assert.equal(engine.stats.numPreemptions, 0);
});

test("where pages run out, who came last starts again, and every text is the same", async () => {
  const engine = await open(7);
  // All in memory first, so that all begin at once: with a page each, and then none is left for anybody's next.
  for (const name of ADAPTERS.keys()) engine.adapters.release(await engine.adapters.acquire(name));
  const requests = REQUESTS.slice(0, 6).map(({ promptIds, ...request }) => {
    return { ...request, promptIds: promptIds.slice(0, 12), maxNewTokens: 25 };
  });
  const written = await Promise.all(requests.map((request) => write(engine, request)));
  assert.ok(engine.stats.numPreemptions > 0);
  assert.equal(engine.stats.numPagesHeld, 0);
  for (const [i, request] of requests.entries()) {
    assert.deepEqual(written[i]?.ids, await alone(request));
  }
  await model.tasks.switch(null);
});

test("adapters come and go while others are written with", async () => {
  const engine = await open(60, { maxLoaded: 1, maxRunning: 4 });
  const written = await Promise.all(REQUESTS.map((request) => write(engine, request)));
  assert.deepEqual(
    written.map(({ ids }) => ids),
    expected,
  );
  for (const [i, request] of REQUESTS.entries()) {
    assert.deepEqual((await write(engine, request)).ids, expected[i]);
    assert.ok(engine.adapters.loaded.length <= 1);
  }
});

test("a prompt that begins as another did runs only what is new, with the same adapter alone", async () => {
  const engine = await open(60);
  const promptIds = Array.from({ length: 50 }, (_, t) => 40 + (t % 60));
  const request = { promptIds, maxNewTokens: 4, adapter: "thin" };
  const first = await write(engine, request);
  const longer = await write(engine, { ...request, promptIds: [...promptIds, 50, 51] });
  const again = await write(engine, request);
  const other = await write(engine, { ...request, adapter: "thick" });
  assert.deepEqual(
    [first, longer, again, other].map(({ end }) => end.numCachedTokens),
    [0, 48, 48, 0],
  );
  assert.deepEqual(again.ids, first.ids);
});

test("who stops reading frees the pages, and the others go on", async () => {
  const engine = await open(60);
  const controller = new AbortController();
  const [stays, aborted] = REQUESTS.slice(0, 2) as [Named, Named];
  const [kept, ended] = await Promise.all([
    write(engine, stays),
    write(engine, { ...aborted, maxNewTokens: 60, signal: controller.signal }),
    (async () => {
      for await (const _ of engine.write({ ...aborted, maxNewTokens: 60 })) break;
      controller.abort();
    })(),
  ]);
  assert.deepEqual(kept.ids, expected[0]);
  assert.equal(ended.end.finishReason, "aborted");
  assert.equal(engine.stats.numPagesHeld, 0);
});

test("a fault outside of a pass fails the texts that are being written, and the next are written as ever", async () => {
  const engine = await open(60);
  const { turns } = engine;
  const shape = turns.shape.bind(turns);
  turns.shape = () => {
    throw new Error("outside of a pass");
  };
  const texts = REQUESTS.slice(0, 2).map((request) => write(engine, request));
  const told = await Promise.allSettled(texts);
  assert.deepEqual(
    told.map((end) => end.status === "rejected" && String(end.reason)),
    Array(2).fill("Error: outside of a pass"),
  );
  turns.shape = shape;
  assert.deepEqual((await write(engine, REQUESTS[0]!)).ids, expected[0]);
  assert.equal(engine.stats.numPagesHeld, 0);
});

test("a text that the cache cannot hold, and an adapter that nobody knows, are refused", async () => {
  const engine = await open(2);
  const promptIds = Array.from({ length: 30 }, () => 40);
  await assert.rejects(write(engine, { promptIds, maxNewTokens: 8 }), { code: "capacity/memory" });
  await assert.rejects(write(engine, { promptIds: [40], maxNewTokens: 2, adapter: "thn" }), {
    code: "usage/adapter",
    hint: 'Did you mean "thin"?',
  });
});

test("a text that cannot begin leaves its adapter to be dropped", async () => {
  const engine = await open(60, { maxLoaded: 1 });
  const request = { promptIds: [40, 41], maxNewTokens: 2 };
  const grammar = {
    begin: () => {
      throw new RangeError("no text begins so");
    },
  };
  await assert.rejects(write(engine, { ...request, adapter: "thin", grammar }), /begins so/);
  await write(engine, { ...request, adapter: "turned" });
  assert.deepEqual(engine.adapters.loaded, ["turned"]);
});

test("a prompt whose reader fails leaves no memory lent", async () => {
  const engine = await open(60);
  const reader = { read: () => Promise.reject(new RangeError("no such class")) };
  const request = { promptIds: [40, 41, 42], maxNewTokens: 0, reader };
  const sizes: number[] = [];
  for (let i = 0; i < 20; i++) {
    await assert.rejects(write(engine, request), /no such class/);
    sizes.push(session.pool.allocatedBytes);
  }
  assert.equal(sizes.at(-1), sizes[0]);
});

test("an adapter that is replaced writes its texts to their ends, and new ones are the new one's", async () => {
  const engine = await open(200);
  const promptIds = [40, 41, 42];
  const request = { promptIds, maxNewTokens: 20, adapter: "thin" };
  const [old, fresh] = [await alone(request), await alone({ ...request, adapter: "thick" })];
  await model.tasks.switch(null);
  assert.notDeepEqual(old, fresh);
  const tokens = engine.write(request);
  const ids = [(await tokens.next()).value as ServedToken];
  engine.adapters.unregister("thin");
  engine.adapters.register("thin", ADAPTERS.get("thick")!);
  const [next] = await Promise.all([
    write(engine, request),
    (async () => {
      for await (const token of tokens) ids.push(token);
    })(),
  ]);
  assert.deepEqual(
    ids.map(({ id }) => id),
    old,
  );
  assert.deepEqual(next.ids, fresh);
});

for (const [name, sampling] of [
  ["greedy", undefined],
  ["seeded", { temperature: 1, topK: 0, topP: 1, minP: 0 }],
] as const) {
  test(`a ${name} text goes on in another engine with the same ids, and those beside it here and there stay what they are`, async () => {
    const [here, there] = [await open(60), await open(60)];
    const promptIds = Array.from({ length: 20 }, (_, i) => 40 + i);
    const request = { promptIds, maxNewTokens: 24, adapter: "thick", seed: 3, ...(sampling && { sampling }) };
    const whole = await write(here, request);
    const begun: number[] = [];
    const beside = [here, there].map((engine) => write(engine, REQUESTS[3]!));
    for await (const { id } of here.write(request)) {
      begun.push(id);
      if (begun.length === 9) break;
    }
    const moved = JSON.parse(JSON.stringify(exportText(request, begun))) as MovedText;
    const rest = await write(there, importText(moved));
    for (const { ids } of await Promise.all(beside)) assert.deepEqual(ids, expected[3]);
    assert.deepEqual([...begun, ...rest.ids], whole.ids);
    assert.equal(rest.end.finishReason, whole.end.finishReason);
  });
}
