/** @file Tasks by name on one open model: each writes what it writes alone, and the base stays what it is. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { arrayBytes } from "../../../test/process/array-bytes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { GraftError } from "../../errors.ts";
import { makesModel } from "../../peft/method.ts";
import { METHODS } from "../../peft/methods.ts";
import { openTextModel } from "../open-text-model.ts";
import type { TextModel } from "../text-model.ts";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";

const root = temporaryFolder();
const modelPath = await writeTinyModel(join(root, "model"));
const REQUEST = { maxNewTokens: 12 };
const PROMPT = [72, 101, 108, 108, 111];

/** Writes an adapter folder far from its start. */
function writeTask(name: string, method: string, seed: number, options = {}, model = modelPath) {
  return writeTinyAdapter(model, join(root, name), method, seed, { options });
}

/** Opens the model; it is closed after the tests. */
async function open(adapterPath?: string): Promise<TextModel> {
  const model = await openTextModel(modelPath, { adapterPath, mergeAdapter: false, threads: 1 });
  after(() => model.close());
  return model;
}

/** The logits of every step of a text, which show what the ids alone may hide. */
async function trace(model: TextModel): Promise<Float32Array[]> {
  const logits: Float32Array[] = [];
  await model.write(PROMPT, { ...REQUEST, onLogits: (step) => logits.push(step.slice()) });
  return logits;
}

async function assertRefused(run: () => Promise<unknown>, message: RegExp, hint: RegExp): Promise<void> {
  await assert.rejects(run, (error) => {
    assert.ok(error instanceof GraftError);
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    return true;
  });
}

const base = await trace(await open());

for (const method of METHODS) {
  if (makesModel(method)) continue;
  test(`two tasks of method ${method.name} and the base take turns, bit for bit as alone`, async () => {
    const paths = [];
    for (const seed of [1, 2]) paths.push(await writeTask(`${method.name}-${seed}`, method.name, seed));
    const alone = [];
    for (const path of paths) alone.push(await trace(await open(path)));
    assert.notDeepEqual(alone[0], alone[1]);
    const model = await open();
    for (const [i, path] of paths.entries()) await model.tasks.load(String(i), path);
    assert.deepEqual(await trace(model), base, "loading alone changed what is written");
    for (const name of ["0", "1", null, "1", "0", null]) {
      await model.tasks.switch(name);
      assert.equal(model.tasks.active, name);
      assert.deepEqual(await trace(model), name === null ? base : alone[Number(name)]);
    }
  });
}

describe("TaskSet", async () => {
  const lora = await writeTask("lora", "lora", 1, { rank: 2 });
  const scales = [await writeTask("scales-1", "peqa", 1), await writeTask("scales-2", "peqa", 2)] as const;

  test("lists what is loaded, the adapter that the model was opened with first", async () => {
    const { tasks } = await open(lora);
    await tasks.load("scales", scales[0]);
    const [first, second] = tasks.list();
    assert.deepEqual(
      [first?.name, first?.path, first?.method, first?.isActive, second?.name, second?.method],
      ["lora", lora, "lora", true, "scales", "peqa"],
    );
    assert.equal(second?.isActive, false);
    assert.ok((second?.numTrained ?? 0) > 0);
  });

  test("a name that is none is told with the call that has it", async () => {
    const { tasks } = await open();
    const wrong = undefined as never;
    await assert.rejects(tasks.switch(wrong), /arguments of switch\(\)/);
    await assert.rejects(tasks.unload(wrong), /arguments of unload\(\)/);
    assert.throws(() => tasks.get(wrong), /arguments of get\(\)/);
  });

  test("unloading the task that writes goes back to the base alone", async () => {
    const model = await open();
    await model.tasks.load("a", scales[0]);
    await model.tasks.switch("a");
    await model.tasks.unload("a");
    assert.equal(model.tasks.active, null);
    assert.deepEqual(model.tasks.list(), []);
    assert.deepEqual(await trace(model), base);
  });

  test("of switches that are asked for at once the last is made last, and what is unloaded meanwhile does not write", async () => {
    const model = await open();
    const { tasks } = model;
    await tasks.load("a", scales[0]);
    await tasks.load("b", scales[1]);
    await tasks.switch("a");
    await Promise.all([tasks.switch("b"), tasks.switch("a")]);
    assert.equal(tasks.active, "a");
    await Promise.all([
      assertRefused(() => tasks.switch("b"), /"b": it is not loaded/, /./),
      tasks.unload("b"),
    ]);
    assert.equal(tasks.active, "a");
    await tasks.load("b", scales[1]);
    const switched = tasks.switch("b");
    await Promise.resolve();
    await Promise.all([switched, tasks.unload("b")]);
    assert.equal(tasks.active, null);
    assert.deepEqual(await trace(model), base);
  });

  test("a task that is unloaded is kept by nobody, whatever was written with it", async () => {
    const model = await open();
    const large = await writeTask("large", "lora", 1, { rank: 64 });
    const use = async (name: string): Promise<void> => {
      await model.tasks.load(name, large);
      await model.tasks.switch(name);
      await model.write(PROMPT, REQUEST);
      await model.writeAll([name, null].map((task) => ({ promptIds: PROMPT, ...REQUEST, task })));
      await model.tasks.unload(name);
    };
    await use("first");
    await use("second");
    const before = await arrayBytes();
    for (const name of ["third", "fourth", "fifth"]) await use(name);
    const more = (await arrayBytes()) - before;
    assert.ok(more < 100_000, `${more} bytes more`);
  });

  test("codes are held as long as a task needs them, once", async () => {
    const { tasks, parts } = await open();
    const { derived } = parts.base;
    await tasks.load("a", scales[0]);
    const keys = derived.keys();
    assert.ok(keys.length > 0);
    await tasks.load("b", scales[1]);
    assert.deepEqual(derived.keys(), keys);
    await tasks.unload("a");
    assert.deepEqual(derived.keys(), keys);
    await tasks.unload("b");
    assert.deepEqual(derived.keys(), []);
  });

  test("a task cannot be switched or unloaded in the middle of a text", async () => {
    const model = await open();
    await model.tasks.load("a", lora);
    await model.tasks.switch("a");
    const tokens = model.generator.generate({ promptIds: PROMPT, ...REQUEST });
    await tokens.next();
    await assert.rejects(() => model.tasks.switch(null), /a generation is in progress/);
    await assert.rejects(() => model.tasks.unload("a"), /a generation is in progress/);
    assert.equal(model.tasks.active, "a");
    await tokens.return({ finishReason: "aborted", numReusedTokens: 0 });
    await model.tasks.unload("a");
  });

  test("a text that begins while its task is unloaded is refused, and the name is free when that is over", async () => {
    const model = await open();
    await model.tasks.load("a", lora);
    await model.tasks.switch("a");
    const unloaded = model.tasks.unload("a");
    const write = () => model.writeAll([{ promptIds: PROMPT, ...REQUEST, task: "a" }]);
    await Promise.all([
      assertRefused(write, /"a": no task is loaded/, /Load its adapter/),
      assertRefused(() => model.tasks.load("a", lora), /the name is taken/, /unload "a"/),
      unloaded,
    ]);
    await model.tasks.load("a", lora);
  });

  test("texts whose caller fails in the middle end, and then their task may be unloaded", async () => {
    const model = await open();
    await model.tasks.load("a", lora);
    await model.tasks.switch("a");
    const fail = (): never => {
      throw new Error("of the caller");
    };
    const request = { maxNewTokens: 400 };
    const { engine } = model.generator;
    const prompts = Array.from({ length: 60 }, (_, i) => ({
      promptIds: PROMPT,
      maxNewTokens: i === 0 ? 1 : 400,
    }));
    for (const write of [
      () => model.write(PROMPT, request, fail),
      () => model.writeAll(prompts, undefined, fail),
    ]) {
      await assert.rejects(write, /of the caller/);
      assert.deepEqual([engine.stats.numRunning, engine.stats.numWaiting], [0, 0]);
      assert.ok(engine.stats.numNewTokens < 200, `${engine.stats.numNewTokens} tokens were written`);
    }
    await model.tasks.unload("a");
  });

  test("another may be loaded meanwhile", async () => {
    const model = await open();
    const written = trace(model);
    await model.tasks.load("a", lora);
    assert.deepEqual(await written, base);
  });

  test("names that are not there, or taken, are refused and change nothing", async () => {
    const { tasks } = await open();
    await assertRefused(
      () => tasks.switch("a"),
      /"a": no task is loaded/,
      /Load its adapter first, for example with --adapter a=FOLDER/,
    );
    await tasks.load("summary", lora);
    await assertRefused(
      () => tasks.switch("sumary"),
      /"sumary": .*one of "summary"/,
      /Did you mean "summary"/,
    );
    await assertRefused(() => tasks.unload("questions"), /expected one of "summary"/, /Load its adapter/);
    await assertRefused(() => tasks.load("summary", scales[0]), /the name is taken/, /unload "summary"/);
    assert.equal(tasks.list().length, 1);
  });

  test("adapters of another base, or of other codes, are refused and hold nothing", async () => {
    const other = await writeTinyModel(join(root, "other"), { seed: 2 });
    const wide = await writeTinyModel(join(root, "wide"), { config: { intermediate_size: 96 } });
    const model = await open();
    const codes = await writeTask("other-codes", "peqa", 1, {}, other);
    await assertRefused(() => model.tasks.load("a", codes), /codes [0-9a-f]{12}, expected/, /base model/);
    const shapes = await writeTask("other-shapes", "lora", 1, {}, wide);
    await assertRefused(() => model.tasks.load("a", shapes), /other-shapes.*expected/, /./);
    assert.deepEqual([model.tasks.list(), model.parts.base.derived.keys()], [[], []]);
    await model.tasks.load("a", lora);
  });

  test("a model into which an adapter is merged takes none", async () => {
    const model = await openTextModel(modelPath, { adapterPath: lora, mergeAdapter: true, threads: 1 });
    after(() => model.close());
    await assertRefused(() => model.tasks.load("a", lora), /merged into the weights/, /mergeAdapter false/);
    assert.deepEqual(model.tasks.list(), []);
  });
});
