/** @file A tiny Vision Transformer learns drawn shapes through `train()`, then the same shapes dark on bright. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { toBatch } from "../../src/data/batches/batch.ts";
import { Session } from "../../src/run/session.ts";
import { readImages } from "../../src/data/files/image-files.ts";
import { Classifier } from "../../src/engine/classifier.ts";
import { readAdapter, loadModel } from "../../src/format/by-path.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { TINY_IMAGE_SIZE, drawImages, writeImages } from "../tiny/images.ts";
import { assertNear } from "../matrix/nearness.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { lossesOf, runTiny } from "./tiny-run.ts";
import { jsonLines } from "../files/read-json.ts";

const MAIN = join(import.meta.dirname, "../../bin/graft.js");
const run = promisify(execFile);
const engine = createEngine({ threads: 1 });
const folder = temporaryFolder();
const path = (...names: readonly string[]): string => join(folder, ...names);

const SIZES = { image_size: TINY_IMAGE_SIZE, patch_size: 3, qkv_bias: true };

/** Writes 400 images to train on and 60 others to evaluate on. */
function writeSet(name: string, inverted: boolean): string {
  writeImages(path(name), "train", drawImages(400, 1, inverted));
  return writeImages(path(name), "test", drawImages(60, 2, inverted));
}

async function accuracyOf(model: string, data: string, adapterFolder: string | null = null): Promise<number> {
  const { base, checkpoint } = await loadModel(model);
  const adapter = adapterFolder === null ? null : (await readAdapter(adapterFolder, base)).adapter;
  const session = new Session(engine, base);
  const classifier = await Classifier.create(session, adapter);
  const accuracy = await classifier.accuracy(readImages(data, base.model).heldOut ?? []);
  await session.release();
  await checkpoint.close();
  return accuracy;
}

describe("training on images", () => {
  const settings = { batchSize: 20, learningRate: 3e-3, warmupSteps: 5 };
  const start = path("start");
  const trained = path("trained");

  before(async () => {
    writeSet("bright", false);
    writeSet("dark", true);
    await writeTinyModel(start, {
      modelType: "vit",
      config: SIZES,
    });
  });

  test("all parameters learn the shapes, and the result is an ordinary model", async () => {
    const input = { ...settings, method: "full", model: start, data: path("bright"), output: trained };
    const { events } = await runTiny({ ...input, rank: undefined, steps: 200, evalEvery: 100 });
    const held = events.flatMap((event) => (event.event === "eval" ? [event] : []));
    assert.deepEqual(
      held.map(({ step, tokens }) => [step, tokens]),
      [0, 100, 200].map((step) => [step, 60]),
    );
    assert.ok(lossesOf(events).at(-1)! < 0.5 * lossesOf(events)[0]!);
    const [before_, after_] = [
      await accuracyOf(start, path("bright")),
      await accuracyOf(trained, path("bright")),
    ];
    assert.ok(before_ < 0.5 && after_ >= 0.85, `accuracy ${before_} before, ${after_} after`);
  });

  test("an adapter learns them in other colours, beside the model as it was", async () => {
    const input = {
      ...settings,
      method: "lora",
      model: trained,
      data: path("dark"),
      output: path("adapter"),
    };
    await runTiny({ ...input, rank: 8, steps: 150, learningRate: 0.01 });
    const dark = path("dark");
    const [before_, after_] = [
      await accuracyOf(trained, dark),
      await accuracyOf(trained, dark, path("adapter")),
    ];
    assert.ok(before_ < 0.5 && after_ >= 0.7, `accuracy ${before_} before, ${after_} after`);
  });

  test("graft eval tells their loss and accuracy; graft generate refuses the model", async () => {
    const flags = ["--model", trained, "--threads", "1", "--json"];
    const dark = ["--data", path("dark"), "--adapter", path("adapter")];
    const { stdout } = await run(process.execPath, [MAIN, "eval", ...flags, ...dark]);
    const told = jsonLines(stdout).at(-1)!;
    assert.deepEqual(Object.keys(told), ["event", "loss", "accuracy", "macro_f1", "images"]);
    const accuracy = await accuracyOf(trained, path("dark"), path("adapter"));
    assert.deepEqual([told["event"], told["accuracy"], told["images"]], ["done", accuracy, 60]);
    const writing = run(process.execPath, [MAIN, "generate", ...flags, "--prompt", "hello"]);
    await assert.rejects(writing, (error: { code: number; stdout: string; stderr: string }) => {
      assert.equal(error.code, 2);
      assert.match(
        error.stdout + error.stderr,
        /usage\/model.*image-classification.*expected causal-lm.*no classification adapter/s,
      );
      return true;
    });
  });

  test("preprocessor_config.json of a folder says how images are read, and goes into those that are made of it", async () => {
    const input = { ...settings, data: path("bright"), steps: 1, warmupSteps: 0 };
    const own = await writeTinyModel(path("own"), { modelType: "vit", config: SIZES });
    const PREPARED = { image_mean: [0.25], image_std: [0.125], image_processor_type: "ViTImageProcessor" };
    writeFileSync(path("own", "preprocessor_config.json"), JSON.stringify(PREPARED));
    await runTiny({ ...input, model: own, method: "full", rank: undefined, output: path("whole") });
    await runTiny({ ...input, model: own, method: "lora", rank: 4, output: path("apart") });
    const merging = ["--model", own, "--adapter", path("apart"), "--output", path("merged")];
    await run(process.execPath, [MAIN, "merge", ...merging]);
    for (const model of [own, path("whole"), path("merged")]) {
      const { base, checkpoint } = await loadModel(model);
      assert.deepEqual(checkpoint.imageProcessor, PREPARED, model);
      const images = readImages(path("bright"), base.model).train.slice(0, 1);
      const expected = Float32Array.from(images[0]!.pixels, (value) => (value / 255 - 0.25) / 0.125);
      assertNear(toBatch([images]).input.data as Float32Array, expected, 1e-6, model);
      await checkpoint.close();
    }
  });

  test("what cannot be trained on is refused before anything is written", async () => {
    const refuse = async (input: Partial<TrainInput>, code: string, message: RegExp): Promise<void> => {
      const base = { ...settings, method: "lora", model: start, data: path("bright"), output: path("never") };
      await assert.rejects(() => runTiny({ ...base, rank: 4, ...input }), { code, message });
    };
    await refuse({ packing: true }, "usage/flag", /Cannot pack images/);
    await refuse({ data: path("absent") }, "format/file", /absent.*no such file/);
    await refuse({ data: join(start, "config.json") }, "format/file", /does not start like an IDX file/);
    const other = await writeTinyModel(path("other"), { modelType: "vit" });
    await refuse({ model: other }, "usage/data", /1 × 12 × 12 pixels, expected 1 × 8 × 8/);
  });
});
