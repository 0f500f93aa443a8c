import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";

import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import type { OperandStore } from "../../nn/operand-store.ts";
import { openServingModel } from "../serving-model.ts";
import { openTextModel } from "../open-text-model.ts";

const path = await writeTinyModel(temporaryFolder());

test("texts and trainings begin with the factors that their arithmetic wants", async () => {
  for (const [compute, trainCompute] of [
    ["int8", "f32"],
    ["f32", "int8"],
  ] as const) {
    const model = await openServingModel(path, { compute, trainCompute, cacheBytes: 1e6, threads: 1 });
    const sizes = [model.engine.session, model.trainingSession].map(({ smoothing }) => smoothing.size > 0);
    await model.close();
    assert.deepEqual(sizes, [compute === "int8", trainCompute === "int8"]);
  }
});

/** Files of the model that this process has open. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)].filter((file) => file.startsWith(path));
    } catch {
      // It was that of the folder itself.
      return [];
    }
  });
}

const skip = process.platform === "linux" ? false : "open files are read from Linux's /proc";

test("what cannot be opened leaves no file open", { skip }, async () => {
  await assert.rejects(openServingModel(path, { threads: 0, cacheBytes: 1e6 }), /on 0 threads/);
  await assert.rejects(openTextModel(path, { threads: 0 }), /on 0 threads/);
  await assert.rejects(openServingModel(path, { threads: 1, cacheBytes: 1 }), { code: "capacity/memory" });
  assert.deepEqual(openFiles(), []);
});

test("what fails as a model is closed is told when all of it is closed", { skip }, async () => {
  const models = [
    await openServingModel(path, { threads: 1, cacheBytes: 1e6 }),
    await openTextModel(path, { threads: 1 }),
  ];
  for (const model of models) {
    // A store that does not keep its word never to fail.
    const save = (): Promise<void> => Promise.reject(new Error("no space"));
    const operands: OperandStore = { find: async () => null, add: () => {}, save };
    Object.assign(model.parts.base.source, { operands });
    await assert.rejects(model.close(), /no space/);
  }
  assert.deepEqual(openFiles(), []);
});
