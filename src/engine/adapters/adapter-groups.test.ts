/** @file Adapters whose updates are as large as weights share a pass as long as memory is for them, and take turns beyond it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { attachTo, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { loadModel, readAdapter } from "../../format/by-path.ts";
import { findMethod } from "../../peft/methods.ts";
import { largeFormBytes } from "../../peft/rows/row-forms.ts";
import { Session } from "../../run/session.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { AdapterPool } from "./adapter-pool.ts";
import type { HeldAdapter } from "./held-adapter.ts";
import { ServingEngine } from "../serving/serving-engine.ts";
import { saveAdapter } from "../../../test/files/save-adapter.ts";

const root = temporaryFolder();
const { base, checkpoint } = await loadModel(await writeTinyModel(join(root, "model")));
const session = new Session(createEngine({ threads: 1 }), base, "float32");
let updateBytes = 0;
for (const [seed, name] of ["one", "two", "three"].entries()) {
  const adapter = await attachTo(base, findMethod("snell"), {}, ["q_proj", "down_proj"], seed);
  perturb(adapter, 0.2, seed);
  updateBytes = largeFormBytes(adapter);
  await saveAdapter(join(root, name), adapter, { base, checkpoint });
}
const adapters = new AdapterPool({
  session,
  read: (folder) => readAdapter(folder, base),
  maxLoaded: 8,
  // For two at a time.
  updateBytes: 2.5 * updateBytes,
});
for (const name of ["one", "two", "three"]) adapters.register(name, join(root, name));
const engine = new ServingEngine(session, adapters, { cacheBytes: 1e6 });
after(async () => {
  await engine.close();
  await adapters.close();
  await session.release();
  await checkpoint.close();
});

/** Which rows run together. */
async function batchesOf(rows: readonly (HeldAdapter | null)[]): Promise<(readonly number[])[]> {
  return (await adapters.rows.of(rows)).map((batch) => batch.rows);
}

async function write(adapter: string | null): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of engine.write({ promptIds: [40, 41, 42], adapter, maxNewTokens: 6 }))
    ids.push(id);
  return ids;
}

test("those that texts have stay; of the others the one that was used longest ago gives its memory back", async () => {
  const [one, two] = [await adapters.acquire("one"), await adapters.acquire("two")];
  assert.deepEqual(await batchesOf([one, null, two]), [[0, 1, 2]]);
  const three = await adapters.acquire("three");
  assert.deepEqual(
    await batchesOf([one, three, null, two]),
    [[0, 2, 3], [1]],
    "there is no room for a third",
  );
  adapters.release(one);
  assert.deepEqual(await batchesOf([three, null, two]), [[0, 1, 2]], "nobody has the first any more");
  adapters.release(two);
  adapters.release(three);
  // The second was used before the third.
  await adapters.rows.of([three]);
  const again = await adapters.acquire("one");
  assert.deepEqual(await batchesOf([again, three, null]), [[0, 1, 2]]);
  const last = await adapters.acquire("two");
  assert.deepEqual(
    await batchesOf([again, last]),
    [[0, 1]],
    "the third has given its memory back to the second",
  );
  for (const held of [again, last]) adapters.release(held);
});

test("those whose programs cannot be compiled take no memory from those that come later", async () => {
  const real = createEngine({ threads: 1 });
  let isFailing = true;
  const compile: typeof real.compile = (spec, options) =>
    isFailing && spec.name === "block-stack"
      ? Promise.reject(new Error("no memory"))
      : real.compile(spec, options);
  const own = new Session({ ...real, compile }, base, "float32");
  const pool = new AdapterPool({
    session: own,
    read: (folder) => readAdapter(folder, base),
    maxLoaded: 8,
    updateBytes: 2.5 * updateBytes,
  });
  after(async () => {
    await pool.close();
    await own.release();
  });
  const add = (name: string): Promise<void> => pool.add(name, join(root, name));
  for (const name of ["one", "two", "three"]) await assert.rejects(add(name), /no memory/);
  isFailing = false;
  for (const name of ["one", "two"]) await add(name);
  const rows = [await pool.acquire("one"), await pool.acquire("two")];
  assert.equal((await pool.rows.of(rows)).length, 1);
});

test("adapters on experts, whose inputs are sorted by expert, write in turn with others what they write alone", async () => {
  const path = await writeTinyModel(join(root, "experts"), { modelType: "olmoe" });
  const { base: ofExperts, checkpoint: files } = await loadModel(path);
  const own = new Session(createEngine({ threads: 1 }), ofExperts, "float32");
  const pool = new AdapterPool({ session: own, maxLoaded: 8 });
  const serving = new ServingEngine(own, pool, { cacheBytes: 1e6 });
  after(async () => {
    await serving.close();
    await pool.close();
    await own.release();
    await files.close();
  });
  const adapters = await Promise.all(
    ["lora", "snell"].map(async (method, seed) => {
      const adapter = await attachTo(ofExperts, findMethod(method), {}, null, seed);
      perturb(adapter, 0.2, seed);
      return await pool.hold(adapter);
    }),
  );
  const writeWith = async (adapter: HeldAdapter | null): Promise<number[]> => {
    const ids: number[] = [];
    for await (const { id } of serving.write({ promptIds: [40, 41], adapter, maxNewTokens: 4 })) ids.push(id);
    return ids;
  };
  const rows = [...adapters, null];
  const alone = [];
  for (const held of rows) alone.push(await writeWith(held));
  assert.deepEqual(await Promise.all(rows.map(writeWith)), alone);
  assert.equal((await pool.rows.of(rows)).length, 3);
});

test("texts are the same whether their adapters share a pass or take turns", async () => {
  const names = ["one", null, "two", "three"];
  const alone = [];
  for (const name of names) alone.push(await write(name));
  assert.deepEqual(await Promise.all(names.map(write)), alone);
  assert.ok(new Set(alone.map(String)).size > 2, "adapters change what is written");
});

test("who loads an adapter that takes turns hears why, once for what it holds", async () => {
  const notes: string[] = [];
  let seed = 1;
  const pool = new AdapterPool({
    session,
    read: async () => ({
      adapter: await attachTo(base, findMethod("lora"), {}, ["lm_head"], seed),
      chatTemplateHash: null,
    }),
    maxLoaded: 8,
    onNote: (note) => notes.push(note),
  });
  after(() => pool.close());
  await pool.add("alone", "");
  const note =
    'Texts with adapter "alone" take turns with other texts instead of sharing a pass with them: it sits on lm_head';
  assert.deepEqual(notes, [note]);
  await pool.add("alone", "", { mayReplace: true });
  assert.deepEqual(notes, [note]);
  seed = 2;
  await pool.add("alone", "", { mayReplace: true });
  assert.deepEqual(notes, [note, note]);
});
