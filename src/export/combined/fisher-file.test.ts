/** @file Averages by Fisher information, estimated here, against the formula written out. */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { rm } from "node:fs/promises";
import { after, describe, test } from "node:test";
import { loadModel, openSafetensors, readAdapter } from "../../format/by-path.ts";
import { attach } from "../../peft/attach.ts";
import { findMethod } from "../../peft/methods.ts";
import { Random } from "../../random.ts";
import { Session } from "../../run/session.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { estimateFisher } from "../../train/fisher.ts";
import { perturb, randomExamples } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { type CombineInput, combineAdapters } from "./combine.ts";
import { FISHER_FILE, writeFisher } from "./fisher-file.ts";
import { saveAdapter } from "../../../test/files/save-adapter.ts";

const folder = temporaryFolder();
const { base, checkpoint } = await loadModel(await writeTinyModel(`${folder}/model`), { name: "tiny" });
const session = new Session(createEngine({ threads: 1 }), base);
after(async () => {
  await session.release();
  await checkpoint.close();
});

/** An adapter or model in a folder, with its Fisher information on examples of its own. */
async function written(method: string, seed: number, options: object = {}): Promise<string> {
  const request = { method: findMethod(method), options };
  const adapter = await attach(base, request, new Random(1));
  perturb(adapter, 0.1, seed);
  const path = `${folder}/${method}-${seed}-${Object.keys(options).join("-")}`;
  await saveAdapter(path, adapter, { base, checkpoint });
  const units = randomExamples([8, 11], seed);
  assert.equal(
    await writeFisher(path, await estimateFisher(session, adapter, units)),
    `${path}/${FISHER_FILE}`,
  );
  return path;
}

/** All numbers of a file, by the names of what is trained. */
async function valuesIn(file: string): Promise<Map<string, Float32Array>> {
  const opened = await openSafetensors(file);
  const values = new Map<string, Float32Array>();
  for (const name of opened.tensors.keys()) {
    values.set(name.replace("base_model.model.", ""), (await opened.read(name)).data as Float32Array);
  }
  await opened.close();
  return values;
}

const [a, b] = [await written("lora", 1, { rank: 2 }), await written("lora", 2, { rank: 2 })];
const fisher = { type: "fisher", adapters: { a, b } } as const;

for (const [method, weights, options] of [
  ["lora", "adapter_model.safetensors", { rank: 2, modulesToSave: ["norm"] }],
  ["ia3", "adapter_model.safetensors", {}],
  ["bitfit", "adapter_model.safetensors", {}],
  ["full", "model.safetensors", {}],
] as const) {
  test(`--type fisher of ${method} is the average of each number by weight and Fisher information`, async () => {
    const paths = [await written(method, 3, options), await written(method, 4, options)];
    const output = `${folder}/${method}-average`;
    const [x, y] = paths as [string, string];
    const input: CombineInput = { expression: "0.6*x + 1.4*y", type: "fisher", adapters: { x, y } };
    await (await combineAdapters(input)).write(output);
    const found = await valuesIn(`${output}/${weights}`);
    const own = await Promise.all(paths.map((path) => valuesIn(`${path}/${weights}`)));
    const fishers = await Promise.all(paths.map((path) => valuesIn(`${path}/${FISHER_FILE}`)));
    const sizes = fishers.map((tensors) => {
      const all = [...tensors.values()].flatMap((data) => [...data]);
      return Math.sqrt(all.reduce((sum, value) => sum + value ** 2, 0) / all.length);
    });
    assert.deepEqual([...found.keys()].sort(), [...fishers[0]!.keys()].sort());
    let fromMean = 0;
    for (const [name, values] of found) {
      for (const [i, value] of values.entries()) {
        const [f, g] = fishers.map((tensors, k) => Math.max(tensors.get(name)![i]! / sizes[k]!, 1e-6));
        const [v, w] = own.map((tensors) => tensors.get(name)![i]!);
        const expected = (0.3 * f! * v! + 0.7 * g! * w!) / (0.3 * f! + 0.7 * g!);
        assert.ok(Math.abs(value - expected) < 1e-6, `${name}[${i}]: ${value}, expected ${expected}`);
        fromMean = Math.max(fromMean, Math.abs(value - 0.3 * v! - 0.7 * w!));
      }
    }
    assert.ok(fromMean > 1e-2, "the plain average is another one");
    if (method !== "full") await readAdapter(output, base);
  });
}

test("--type fisher of whole models takes by weight alone what no training changes, such as biases of a router", async () => {
  const bias = "model.layers.1.feed_forward.expert_bias";
  const paths: string[] = [];
  for (const seed of [1, 2]) {
    const path = await writeTinyModel(`${folder}/experts-${seed}`, { modelType: "lfm2_moe", seed });
    const own = await loadModel(path);
    const model = new Session(createEngine({ threads: 1 }), own.base);
    const adapter = await attach(own.base, { method: findMethod("full"), options: {} }, new Random(1));
    await writeFisher(path, await estimateFisher(model, adapter, randomExamples([8], seed)));
    await model.release();
    await own.checkpoint.close();
    paths.push(path);
  }
  const [x, y] = paths as [string, string];
  const output = `${folder}/experts-average`;
  const combined = await combineAdapters({ expression: "0.3*x + 0.7*y", type: "fisher", adapters: { x, y } });
  await combined.write(output);
  const [first, second, found] = await Promise.all(
    [x, y, output].map(async (path) => (await valuesIn(`${path}/model.safetensors`)).get(bias)!),
  );
  for (const [i, value] of found!.entries()) {
    assert.ok(Math.abs(value - 0.3 * first![i]! - 0.7 * second![i]!) < 1e-6, `${i}: ${value}`);
  }
});

describe("--type fisher refuses", () => {
  test("adapters without Fisher information, with how to get it", async () => {
    const bare = `${folder}/bare`;
    cpSync(a, bare, { recursive: true, filter: (name) => !name.endsWith(FISHER_FILE) });
    await assert.rejects(combineAdapters({ expression: "a + b", ...fisher, adapters: { a: bare, b } }), {
      code: "usage/combine",
      message: /"a" by Fisher information: .*bare contains no fisher\.safetensors/,
      hint: /graft fisher --adapter .*bare --data/,
    });
  });

  test("Fisher information of other weights", async () => {
    const other = `${folder}/other`;
    cpSync(a, other, { recursive: true });
    cpSync(`${b}/${FISHER_FILE}`, `${other}/${FISHER_FILE}`);
    await assert.rejects(combineAdapters({ expression: "a + b", ...fisher, adapters: { a: other, b } }), {
      code: "usage/combine",
      message: /was estimated for other weights/,
    });
  });

  test("what is no average", async () => {
    for (const expression of ["a - b", "2*(a + b)", "a + 0*b", "-a"]) {
      const adapters = expression.includes("b") ? { a, b } : { a };
      await assert.rejects(combineAdapters({ expression, type: "fisher", adapters }), {
        code: "usage/combine",
        message: /expected a sum of adapters with positive weights/,
      });
    }
  });

  test("adapters of which one trains more than the other", async () => {
    const more = await written("lora", 5, { rank: 2, modulesToSave: ["norm"] });
    await assert.rejects(combineAdapters({ expression: "a + m", type: "fisher", adapters: { a, m: more } }), {
      code: "usage/combine",
      message: /adapter "a" .*does not train "model\.norm\.weight"/,
    });
  });

  test("numbers that do not average, before an estimate is asked for", async () => {
    const turns = await written("road", 1);
    await rm(`${turns}/${FISHER_FILE}`);
    await assert.rejects(combineAdapters({ expression: "r", type: "fisher", adapters: { r: turns } }), {
      code: "usage/combine",
      message: /method "road".*not linear/,
      hint: /paper or cat/,
    });
  });
});
