/** @file Tiny classifiers of texts learn through `train()`, with an adapter and its head, and whole. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { readDataset } from "../../src/data/by-path.ts";
import { openTextTools } from "../../src/data/chat/text-tools.ts";
import { Classifier } from "../../src/engine/classifier.ts";
import {
  loadModel,
  readAdapter,
  readAdapterFolder,
  writeAdapterFolder,
  writeModel,
} from "../../src/format/by-path.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { Session } from "../../src/run/session.ts";
import { keysOf } from "../../src/train/settings/own-options.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { classesOf } from "../../src/data/examples/class-example.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { temporaryFolder, tinyModelParts, writeTinyModel } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { runTiny } from "./tiny-run.ts";
import { sampled } from "../matrix/sampled.ts";
import { jsonLines } from "../files/read-json.ts";

const MAIN = join(import.meta.dirname, "../../bin/graft.js");
const run = promisify(execFile);
const folder = temporaryFolder();
const data = writeTinyRows(`${folder}/train.jsonl`, "classes", 40);
const heldOut = writeTinyRows(`${folder}/held-out.jsonl`, "classes", 20, 2);
const id2label = { 0: "bad", 1: "good" };
const DECODER = {
  architectures: ["LlamaForSequenceClassification"],
  id2label,
  tie_word_embeddings: false,
  pad_token_id: 258,
};

/** A model of each family that tells classes of texts, and the tensors of its head. */
const CLASSIFIERS = {
  llama: { config: DECODER, saved: "score", head: ["score.weight"] },
  bert: { config: { id2label }, saved: "classifier", head: ["classifier.bias", "classifier.weight"] },
  roberta: {
    config: { id2label },
    saved: "classifier",
    head: ["dense", "out_proj"].flatMap((name) => [`classifier.${name}.bias`, `classifier.${name}.weight`]),
  },
};

async function accuracyOf(model: string, adapterFolder: string | null): Promise<number> {
  const { base, checkpoint } = await loadModel(model);
  const adapter = adapterFolder === null ? null : (await readAdapter(adapterFolder, base)).adapter;
  const session = new Session(createEngine({ threads: 1 }), base);
  const classifier = await Classifier.create(session, adapter);
  const { tokenizer, template } = openTextTools(model, checkpoint.tokenizerFiles);
  const { train: examples } = await readDataset<"classes">(heldOut, {
    tokenizer,
    template,
    ...classesOf(base.model),
    maxLength: 64,
    kind: "classes",
  });
  const accuracy = await classifier.accuracy(examples);
  await session.release();
  await checkpoint.close();
  return accuracy;
}

for (const [family, [modelType, { config, saved, head }]] of Object.entries(CLASSIFIERS).entries()) {
  describe(`a classifier of family ${modelType}`, async () => {
    const model = await writeTinyModel(`${folder}/${modelType}`, { modelType, config });
    const settings = { model, data, evalData: heldOut, batchSize: 8, schedule: "constant", seed: 3 };

    test("learns with LoRA, its head beside, in a folder that peft knows as SEQ_CLS", async () => {
      const output = `${folder}/${modelType}-lora`;
      const { result } = await runTiny({ ...settings, learningRate: 0.01, steps: 40, output });
      const [before, after] = [await accuracyOf(model, null), await accuracyOf(model, output)];
      assert.ok(before < 0.8 && after > 0.9, `accuracy ${before} to ${after}`);
      assert.ok((result.evaluation?.loss ?? 1) < 0.4, `loss ${result.evaluation?.loss}`);
      const { config: written, tensors } = await readAdapterFolder(output);
      assert.equal(written["task_type"], "SEQ_CLS");
      assert.deepEqual(written["modules_to_save"], [saved]);
      const whole = [...tensors.keys()].filter((name) => !name.includes(".lora_")).sort();
      assert.deepEqual(
        whole,
        head.map((name) => `base_model.model.${name}`),
      );
    });

    test("learns classes with all of its parameters", async () => {
      const output = `${folder}/${modelType}-full`;
      const own = { method: "full", rank: undefined, learningRate: 3e-3, steps: 40, output };
      await runTiny({ ...settings, ...own });
      const accuracy = await accuracyOf(output, null);
      assert.ok(accuracy > 0.9, `accuracy ${accuracy}`);
    });

    test("its head is trained beside every method that trains modules whole, unless something else is said", async () => {
      const withWholeModules = METHODS.filter(
        (method) => method.kind === "adapter" && keysOf(method).includes("modulesToSave"),
      );
      for (const [turn, { name: method }] of withWholeModules.entries()) {
        const numFamilies = Object.keys(CLASSIFIERS).length;
        for (const modulesToSave of sampled([undefined, []], (_, i) => (family + turn) % numFamilies === i)) {
          const output = `${folder}/${modelType}-${method}-${modulesToSave?.length}`;
          const own = { method, modulesToSave, rank: undefined, steps: 1, output };
          await runTiny({ ...settings, ...own, evalData: undefined });
          const { config: written, tensors } = await readAdapterFolder(output);
          const held = head.filter((name) => tensors.has(`base_model.model.${name}`));
          assert.deepEqual(held, modulesToSave ? [] : head, method);
          assert.deepEqual(written["modules_to_save"], modulesToSave ? null : [saved], method);
        }
      }
    });

    test("an adapter on the head takes the place of training it whole", async () => {
      const output = `${folder}/${modelType}-on-head`;
      const [name] = head.at(-1)!.split(/\.weight$/) as [string];
      const own = { targetModules: [name], learningRate: 0.01, steps: 1, output };
      await runTiny({ ...settings, ...own });
      const { config: written, tensors } = await readAdapterFolder(output);
      assert.equal(written["modules_to_save"], null);
      assert.deepEqual(
        [...tensors.keys()].sort(),
        ["A", "B"].map((factor) => `base_model.model.${name}.lora_${factor}.weight`),
      );
    });

    test("a folder that names both of peft's heads is read as the one there is", async () => {
      const output = `${folder}/${modelType}-named`;
      await runTiny({ ...settings, steps: 1, output });
      const { config: written, tensors } = await readAdapterFolder(output);
      const named = { ...written, modules_to_save: ["classifier", "score"] };
      await writeAdapterFolder(`${output}-by-peft`, { config: named, tensors: [...tensors] });
      const { base, checkpoint } = await loadModel(model);
      const [own, ofPeft] = [await readAdapter(output, base), await readAdapter(`${output}-by-peft`, base)];
      assert.deepEqual(valuesOf(ofPeft.adapter), valuesOf(own.adapter));
      await checkpoint.close();
    });
  });
}

describe("classes of texts", () => {
  test("`graft eval` tells loss and accuracy", async () => {
    const model = await writeTinyModel(`${folder}/told`, { modelType: "llama", config: DECODER });
    const words = ["eval", "--model", model, "--data", heldOut, "--threads", "1", "--json"];
    const { stdout } = await run(process.execPath, [MAIN, ...words]);
    const told = jsonLines(stdout).at(-1)!;
    assert.equal(told["accuracy"], await accuracyOf(model, null));
    assert.equal(told["texts"], 20);
    assert.ok(Number(told["loss"]) > 0);
  });

  test("a classifier without the numbers of its head is refused with what to do", async () => {
    const output = `${folder}/refused`;
    const { config, tensors } = tinyModelParts({ config: DECODER });
    tensors.delete("score.weight");
    const headless = `${folder}/headless`;
    const files = { config, generationConfig: null, tokenizerFiles: byteTokenizerFiles(), tensors };
    await writeModel(headless, files);
    await assert.rejects(runTiny({ model: headless, data, output }), {
      code: "format/tensor",
      message: /missing score\.weight/,
      hint: /no head for its classes: .*--num-classes/,
    });
  });

  test("a class that the model does not have is refused with its line", async () => {
    const model = await writeTinyModel(`${folder}/unknown-class`, { config: DECODER });
    const rows = `${folder}/unknown-class.jsonl`;
    writeFileSync(rows, '{"text": "a", "label": "good"}\n{"text": "b", "label": "neither"}\n');
    await assert.rejects(runTiny({ model, data: rows, output: `${folder}/unknown` }), {
      code: "usage/data",
      message: /line 2[^]*"neither"|:2[^]*"neither"/,
    });
  });
});

test("a class is told at a token of the text alone", async () => {
  const { base, checkpoint } = await loadModel(
    await writeTinyModel(`${folder}/told-at`, { modelType: "llama", config: DECODER }),
  );
  const session = new Session(createEngine({ threads: 1 }), base);
  const classifier = await Classifier.create(session, null);
  const example = { ids: Int32Array.of(5, 6, 7), label: 0, source: { file: "text", line: 1 } };
  for (const labelIndex of [3, -1, Number.NaN])
    await assert.rejects(
      classifier.classify([{ ...example, labelIndex }]),
      new RegExp(
        `Cannot use example "text row 1": labelIndex ${labelIndex}, expected 0 to 2, one of its tokens`,
      ),
    );
  await session.release();
  await checkpoint.close();
});
