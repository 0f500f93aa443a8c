/** @file Several prompts at once, each with a task of its own: every text is that of its prompt and task alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import type { HeldAdapter } from "./held-adapter.ts";
import { openTextModel } from "../open-text-model.ts";
import type { TextModel, WrittenText } from "../text-model.ts";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";

const root = temporaryFolder();
const modelPath = await writeTinyModel(join(root, "model"));

/** Prompts shorter and longer than each other, one of them than what runs at once. */
const PROMPTS = [5, 1, 300, 12].map((length, seed) =>
  Array.from({ length }, (_, i) => 33 + ((7 * i + 11 * seed) % 90)),
);

/** Opens the model with two tasks of a method, "a" and "b". */
async function openWith(method: string, options: readonly [object, object] = [{}, {}]): Promise<TextModel> {
  const model = await openTextModel(modelPath, { threads: 1 });
  after(() => model.close());
  for (const [seed, name] of ["a", "b"].entries()) {
    const path = join(root, `${method}-${name}-${JSON.stringify(options[seed]).replaceAll(/\W/g, "")}`);
    await writeTinyAdapter(modelPath, path, method, seed, { options: options[seed]! });
    await model.tasks.load(name, path);
  }
  return model;
}

const TASKS = ["a", "b", null, "a"];

/** Writes each prompt with its task alone. */
async function alone(model: TextModel, maxNewTokens: (row: number) => number): Promise<WrittenText[]> {
  const written = [];
  for (const [row, promptIds] of PROMPTS.entries()) {
    await model.tasks.switch(TASKS[row] ?? null);
    written.push(await model.write(promptIds, { maxNewTokens: maxNewTokens(row), seed: row }));
  }
  await model.tasks.switch(null);
  return written;
}

/** What must be the same, however a text was written. */
const contentOf = ({ ids, text, finishReason, promptIds }: WrittenText) => ({
  ids,
  text,
  finishReason,
  promptIds,
});

for (const [method, options, numBatches] of [
  ["lora", [{ rank: 2 }, { rank: 4 }], 1],
  ["ia3", undefined, 1],
  ["road", undefined, 1],
  // Codes take the place of the base's weights, so that rows without an adapter are a batch of their own.
  ["peqa", undefined, 2],
  ["peqa", [{ groupSize: 16 }, { groupSize: 16 }], 3],
  ["peqa", [{ init: "rtn" }, { init: "rtn", scales: "row" }], 3],
  ["dora", [{ rank: 2 }, { rank: 4 }], 1],
  ["vera", [{ rank: 4 }, { rank: 4, dropout: 0.1 }], 1],
  ["bitfit", undefined, 1],
  ["snell", [{}, { kernel: "rbf", sparsify: "hard", rank: 3 }], 1],
] as const) {
  test(`rows of ${method} ${JSON.stringify(options ?? "")}, in ${numBatches} batches, as alone`, async () => {
    const model = await openWith(method, options);
    const numNew = (row: number): number => 4 + 20 * row;
    const expected = await alone(model, numNew);
    const prompts = PROMPTS.map((promptIds, row) => {
      return { promptIds, task: TASKS[row] as string | null, maxNewTokens: numNew(row), seed: row };
    });
    const written = await model.writeAll(prompts);
    assert.deepEqual(written.map(contentOf), expected.map(contentOf));
    const { adapters } = model.generator.engine;
    const held = new Map<string | null, HeldAdapter | null>([[null, null]]);
    for (const name of ["a", "b"]) held.set(name, await adapters.hold(model.tasks.get(name).adapter));
    const batches = await adapters.rows.of(TASKS.map((name) => held.get(name) ?? null));
    assert.equal(batches.length, numBatches);
  });
}

describe("writeAll()", () => {
  test("draws for each row with its own seed, and takes the active task where none is named", async () => {
    const model = await openWith("ia3");
    await model.tasks.switch("b");
    const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    const [promptIds] = PROMPTS as [number[]];
    const request = (seed: number) => ({ promptIds, maxNewTokens: 8, sampling, seed });
    const expected = [];
    for (const seed of [1, 2]) expected.push((await model.write(promptIds, request(seed))).ids);
    assert.notDeepEqual(expected[0], expected[1]);
    const written = await model.writeAll([1, 2].map(request));
    assert.deepEqual(
      written.map(({ ids }) => ids),
      expected,
    );
  });

  test("a row that ends early, by a stop id or for want of positions, ends alone", async () => {
    const model = await openWith("ia3");
    const [promptIds] = PROMPTS as [number[]];
    const whole = await model.write(promptIds, { maxNewTokens: 12 });
    const stopId = whole.ids[3]!;
    const { generator, tasks } = model;
    const rows = [
      { promptIds, maxNewTokens: 12, stopIds: [stopId], task: null },
      { promptIds, maxNewTokens: 12, task: null },
      { promptIds, maxNewTokens: 0, task: null },
    ];
    const [stopped, long, none] = await tasks.writeRows(rows);
    const firstStop = whole.ids.indexOf(stopId);
    assert.deepEqual([stopped?.ids, stopped?.finishReason], [whole.ids.slice(0, firstStop + 1), "stop"]);
    assert.deepEqual([long?.ids, long?.finishReason], [whole.ids, "length"]);
    assert.deepEqual([none?.ids, none?.finishReason], [[], "length"]);
    const { pool } = generator.session;
    pool.clear();
    assert.equal(pool.allocatedBytes, 0, "what was lent did not come back");
  });

  test("a signal ends all rows, and no prompts give no texts", async () => {
    const model = await openWith("ia3");
    const prompts = PROMPTS.map((promptIds) => ({ promptIds, maxNewTokens: 8 }));
    const aborted = await model.writeAll(prompts, AbortSignal.abort());
    assert.deepEqual(
      aborted.map(({ finishReason, ids }) => [finishReason, ids.length]),
      PROMPTS.map(() => ["aborted", 0]),
    );
    assert.deepEqual(await model.writeAll([]), []);
  });

  test("a task that is not there, and a prompt that cannot be, are refused before anything is written", async () => {
    const model = await openWith("ia3");
    const [promptIds] = PROMPTS as [number[]];
    const good = { promptIds, maxNewTokens: 4 };
    await assert.rejects(model.writeAll([good, { ...good, task: "c" }]), { code: "usage/adapter" });
    await assert.rejects(model.writeAll([good, { ...good, promptIds: [] }]), { code: "usage/flag" });
    const writing = model.writeAll([{ ...good, task: "a" }]);
    await assert.rejects(() => model.tasks.unload("a"), /a running batch uses it/);
    await writing;
    await model.tasks.unload("a");
  });
});
