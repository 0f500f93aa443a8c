/**
 * @file SmolLM2-135M-Instruct against transformers and peft: tokenizer, perplexity, steps of LoRA (three, or all eight
 * with GRAFT_SLOW_TESTS=1). Runs when the model is in the cache (`graft pull SmolLM2-135M-Instruct`); otherwise it is
 * skipped and says so.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Session } from "../../src/run/session.ts";
import { makeExample } from "../../src/data/examples/example.ts";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { readAdapter } from "../../src/format/by-path.ts";
import { entryFolder, modelInFolder, modelsFolderOf } from "../../src/hub/models-folder.ts";
import { DEFAULT_MODEL } from "../../src/hub/resolve.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { batchFromRows, openTraining } from "../passes/model-passes.ts";
import { assertNear, goldenJson, goldenPath, goldenTensors, relativeNorm } from "./golden-files.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const entry = await modelInFolder(entryFolder(modelsFolderOf(process.env), DEFAULT_MODEL, null));
const skip = "path" in entry ? false : `${DEFAULT_MODEL} is not in the cache: ${entry.reason}`;

/** All eight take half a minute. */
const NUM_STEPS = process.env["GRAFT_SLOW_TESTS"] === "1" ? 8 : 3;

describe("SmolLM2-135M-Instruct", { skip }, async () => {
  if (!("path" in entry)) return;
  const engine = createEngine();
  const { base, checkpoint } = await openUntilEnd(entry.path);

  test("its tokenizer gives the ids and texts of tokenizers", () => {
    const files = checkpoint.tokenizerFiles;
    assert.ok(files);
    const tokenizer = createTokenizer(files);
    const cases = goldenJson<{ text: string; ids: number[]; decoded: string }[]>(
      "smollm2",
      "tokenizer-cases.json",
    );
    for (const { text, ids, decoded } of cases) {
      assert.deepEqual(tokenizer.encode(text, { addSpecialTokens: false }), ids, JSON.stringify(text));
      assert.equal(tokenizer.decode(ids), decoded);
    }
  });

  test("its perplexity on 2048 tokens is that of transformers", async () => {
    const golden = goldenJson<Perplexity>("smollm2", "perplexity.json");
    const rows = Array.from({ length: 4 }, (_, i) =>
      makeExample(golden.ids.slice(i * 512, (i + 1) * 512), () => true, { file: "golden", line: i + 1 }),
    );
    const session = new Session(engine, base);
    const evaluator = await Evaluator.create(session, null);
    const { loss, perplexity, tokens } = await evaluator.evaluate(rows);
    await session.release();
    assert.equal(tokens, 4 * 511);
    assertNear(loss, golden.mean_loss, 5e-5, "loss");
    assertNear((perplexity ?? NaN) / golden.perplexity, 1, 5e-5, "perplexity");
  });

  test(`${NUM_STEPS} steps of LoRA give the losses of peft`, async () => {
    const golden = goldenJson<{ steps: { loss: number; grad_norm: number; lr: number }[] }>(
      "smollm2",
      "lora",
      "golden.json",
    );
    const batches = goldenJson<number[][][]>("smollm2", "lora", "batches.json");
    const { adapter } = await readAdapter(goldenPath("smollm2", "lora", "initial"), base);
    const training = await openTraining(engine, base, adapter);
    for (const [index, expected] of golden.steps.slice(0, NUM_STEPS).entries()) {
      const batch = batchFromRows({ input_ids: batches[index]! });
      const { loss, norm } = await training.step([batch], index, { learningRate: expected.lr });
      assertNear(loss, expected.loss, 1e-4, `loss of step ${index}`);
      assertNear(norm / expected.grad_norm, 1, 1e-3, `gradient norm of step ${index}`);
    }
    await training.release();
    if (NUM_STEPS < golden.steps.length) return;
    const final = await goldenTensors("smollm2", "lora", "final", "adapter_model.safetensors");
    const joined = adapter.parameters.flatMap((p) => [...final.get(`base_model.model.${p.name}`)!]);
    const difference = relativeNorm(valuesOf(adapter), Float32Array.from(joined));
    assert.ok(difference <= 1e-2, `result is ${difference} apart`);
  });
});

interface Perplexity {
  readonly ids: readonly number[];
  readonly mean_loss: number;
  readonly perplexity: number;
}
