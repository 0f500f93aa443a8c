/** @file The random Llama of the benchmark, small: both files open, and train. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { train } from "../../src/train/trainer.ts";
import { temporaryFolder } from "../../test/tiny/model.ts";
import {
  LLAMA_1B,
  type RandomLlamaSizes,
  countParameters,
  writeRandomLlamaFolder,
  writeRandomLlamaGguf,
} from "./random-llama.ts";

const SIZES: RandomLlamaSizes = {
  vocabSize: 320,
  width: 64,
  intermediateSize: 96,
  numLayers: 2,
  numHeads: 4,
  numKeyValueHeads: 2,
};

test("the sizes of Llama 3.2 1B make 1.236 billion parameters", () => {
  assert.equal(countParameters(LLAMA_1B), 1_235_814_400);
});

test("both files train, and say nothing of worth at first", async () => {
  const folder = temporaryFolder();
  await writeRandomLlamaFolder(`${folder}/model`, SIZES, 1);
  await writeRandomLlamaGguf(`${folder}/model.gguf`, SIZES, 1);
  writeFileSync(`${folder}/text.txt`, "what such a model says is worthless ".repeat(20));
  for (const model of ["model", "model.gguf"]) {
    const losses: number[] = [];
    await train(
      {
        model: `${folder}/${model}`,
        data: `${folder}/text.txt`,
        output: `${folder}/run-${model}`,
        steps: 1,
        maxLength: 64,
        batchSize: 1,
        packing: true,
        threads: 1,
      },
      { onEvent: (event) => void (event.event === "step" && losses.push(event.loss)) },
    );
    assert.equal(losses.length, 1);
    assert.ok(losses[0]! > Math.log(SIZES.vocabSize) - 0.5 && losses[0]! < 2 * Math.log(SIZES.vocabSize));
  }
});
