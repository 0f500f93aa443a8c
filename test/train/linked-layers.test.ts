/** @file Training layers that have embeddings of their own, and that read keys and values of others: what leaves out, moves or measures them. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { makeSampleWriter } from "../../src/engine/sample-writer.ts";
import { full } from "../../src/peft/methods/full.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { factsOf } from "../../src/data/batches/pass-facts.ts";
import { NO_ADAPTER } from "../../src/peft/adapter-view.ts";
import { ForwardPass } from "../../src/run/forward-pass.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { branchesOf, droppedByBlock } from "../../src/train/dropbp/branch-list.ts";
import { measureBranches } from "../../src/train/dropbp/measure-branches.ts";
import { SENSITIVITIES } from "../../src/train/dropbp/sensitivity.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { accumulateLoss, attachTo, examplesFor, perturb, unpacked } from "../passes/model-passes.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
/** The last three read the keys of the first two. */
const TEXT = {
  ...(TINY_CONFIGS["gemma4"]!["text_config"] as object),
  num_hidden_layers: 5,
  layer_types: [0, 1, 0, 1, 1].map((isFull) => (isFull ? "full_attention" : "sliding_attention")),
  num_kv_shared_layers: 3,
  // The budgets below are those of this width.
  hidden_size_per_layer_input: 6,
};
const model = await writeTinyModel(`${folder}/model`, { modelType: "gemma4", config: { text_config: TEXT } });
const data = writeTinyChats(`${folder}/chats.jsonl`, 9);
const engine = createEngine({ threads: 1 });

test("rows of the embeddings of layers are read where they are stored, also where all else is held in float32", async () => {
  const { base } = await openUntilEnd(model);
  const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
  const logits: Float32Array[] = [];
  for (const maxTableBytes of [0, 1e9]) {
    const session = new Session(engine, base, "float32", { maxTableBytes });
    const isRead = (name: string): boolean => session.isLargeTable(`model.${name}.weight`);
    assert.equal(isRead("embed_tokens_per_layer"), maxTableBytes === 0);
    assert.ok(!isRead("embed_tokens"));
    const pass = await ForwardPass.create(session, NO_ADAPTER);
    const places = Int32Array.from({ length: batch.length }, (_, i) => i);
    await pass.run(batch.input, factsOf(batch), async (x) => {
      const found = await pass.head.logitsAt(x, places, 0);
      logits.push(found.data.slice());
      session.pool.release(found);
    });
    await session.release();
  }
  assert.deepEqual(logits[0], logits[1]);
});

describe("without the backward of branches", async () => {
  const { base } = await openUntilEnd(model);
  const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
  const branches = branchesOf(base.model, batch.length);

  for (const method of [lora, full]) {
    test(`${method.name}: each branch by itself has the sensitivity that is measured of all in one pass`, async () => {
      const adapter = await attachTo(base, method);
      perturb(adapter, 0.05);
      const session = new Session(engine, base);
      const steps = await StepRunner.create({ session, adapter, recompute: false, seed: null });
      const backward = async (without: number | null): Promise<void> => {
        steps.dropBranches(droppedByBlock(base.model, branches, (i) => i === without));
        steps.gradients.begin();
        await accumulateLoss(steps, batch, 1 / batch.numLabels, 0, 0);
        steps.gradients.finish();
      };
      for (const sensitivity of SENSITIVITIES) {
        let measured: readonly number[] = [];
        steps.dropBranches([]);
        steps.gradients.begin();
        const measuring = steps.withBackward(async (turn) => {
          measured = await measureBranches(turn, branches, sensitivity);
        });
        const derivatives = new Float32Array(batch.numLabels).fill(-1 / batch.numLabels);
        await measuring.accumulate(batch, derivatives, { step: 0, micro: 0 });
        await backward(null);
        const kept = await sensitivity.read(steps.gradients.groups);
        for (const [i, { name, layer }] of branches.entries()) {
          await backward(i);
          const expected = await sensitivity.distance(kept, steps.gradients.groups);
          const difference = Math.abs(measured[i]! - expected);
          assert.ok(expected > 0 && difference <= 1e-4 * expected, `${layer}.${name} ${sensitivity.name}`);
        }
      }
      await steps.release();
      await session.release();
    });
  }

  test("keys that others read have no gradient where the attention that makes them is left out", async () => {
    const session = new Session(engine, base);
    const adapter = await attachTo(base, full);
    const steps = await StepRunner.create({ session, adapter, recompute: true, seed: null });
    const giving = base.model.layers.findIndex((_, layer) => base.model.givesKeys(layer));
    const hasGradient = (name: string): boolean =>
      steps.gradients.groups.some(({ group, present }) =>
        group.parameters.some((parameter, i) => parameter.name === name && present[i] === true),
      );
    const key = `${base.model.blockPrefix(giving)}self_attn.k_proj.weight`;
    for (const dropped of [false, true]) {
      steps.dropBranches(
        base.model.layers.map((_, layer) => (dropped && layer === giving ? ["attention"] : [])),
      );
      steps.gradients.begin();
      await accumulateLoss(steps, batch, 1 / batch.numLabels, 0, 0);
      steps.gradients.finish();
      assert.equal(hasGradient(key), !dropped);
    }
    await steps.release();
    await session.release();
  });
});

describe("parameters on disk", () => {
  for (const method of ["lora", "full"]) {
    test(`${method}: the same losses, bits and samples as in memory, block by block`, async () => {
      const samples = `${folder}/prompts.txt`;
      writeFileSync(samples, "ka lo\nmi\n");
      const settings = { model, data, method, samples, sampleTokens: 3, learningRate: 0.01, evalShare: 0.3 };
      const own = method === "full" ? { rank: undefined } : {};
      const [resident, sharded] = [`${folder}/${method}-memory`, `${folder}/${method}-disk`];
      const inMemory = { ...settings, ...own, output: resident };
      const onDisk = {
        ...settings,
        ...own,
        output: sharded,
        residentMemory: method === "full" ? "300KB" : "120KB",
      };
      const { events } = await runTiny(inMemory, { makeSampleWriter });
      const run = await runTiny(onDisk, { makeSampleWriter });
      assert.deepEqual(lossesOf(run.events), lossesOf(events));
      assert.ok(lossesOf(events).at(-1)! < lossesOf(events)[0]!);
      assert.ok(bytesOf(sharded, "samples.jsonl").equals(bytesOf(resident, "samples.jsonl")));
      const name = method === "full" ? "model.safetensors" : "adapter_model.safetensors";
      assert.ok(bytesOf(sharded, name).equals(bytesOf(resident, name)));
    });
  }
});
