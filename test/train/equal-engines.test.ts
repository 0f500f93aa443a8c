/** @file Both engines give the same bits: every output of every program of two training steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lora } from "../../src/peft/methods/lora.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import type { Tensors } from "../../src/runtime/host-tensor.ts";
import { createNativeEngine } from "../../src/runtime/ort/ort-native.ts";
import { createNodeEngine } from "../../src/runtime/ort/ort-node.ts";
import { Session } from "../../src/run/session.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import { openAdamw } from "../passes/adamw.ts";
import { attachTo, perturb, randomExamples, unpacked } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

function bytesOf({ data }: { readonly data: NodeJS.TypedArray }): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** Runs every program on both engines and compares; `programs` counts the runs of each. */
function comparing(one: Engine, other: Engine, programs: Map<string, number>): Engine {
  return {
    ...one,
    compile: async (spec, options) => {
      const [first, second] = [await one.compile(spec, options), await other.compile(spec, options)];
      return {
        spec,
        release: async () => void (await Promise.all([first.release(), second.release()])),
        run: async (feeds, into) => {
          const copies = Object.fromEntries(
            Object.entries(into).map(([name, tensor]) => [
              name,
              { ...tensor, data: tensor.data.slice().fill(0 as never) },
            ]),
          ) as Tensors;
          await first.run(feeds, into);
          await second.run(feeds, copies);
          for (const name of Object.keys(spec.outputs)) {
            assert.ok(bytesOf(into[name]!).equals(bytesOf(copies[name]!)), `${spec.name}: ${name}`);
          }
          programs.set(spec.name, (programs.get(spec.name) ?? 0) + 1);
        },
      };
    },
  };
}

for (const threads of [1, 2]) {
  for (const recompute of [false, true]) {
    test(`a training step on ${threads} threads, activations ${recompute ? "computed again" : "kept"}`, async () => {
      // Wide enough that products and element-wise passes are cut up among the threads.
      const config = { hidden_size: 128, intermediate_size: 320 };
      const { base } = await openUntilEnd(await writeTinyModel(`${temporaryFolder()}/model`, { config }));
      const programs = new Map<string, number>();
      const settings = { threads, shareScratch: true };
      const engine = comparing(createNativeEngine(settings), createNodeEngine(settings), programs);
      const adapter = await attachTo(base, lora, { dropout: 0.1 });
      perturb(adapter, 0.05);
      const session = new Session(engine, base);
      const steps = await StepRunner.create({ session, adapter, recompute, seed: 1 });
      const adamw = await openAdamw(engine, adapter);
      for (let step = 0; step < 2; step++) {
        const batch = unpacked(randomExamples([150, 97], step));
        steps.gradients.begin();
        const derivatives = new Float32Array(batch.numLabels).fill(-1 / batch.numLabels);
        const logProbs = await steps.accumulate(batch, derivatives, { step, micro: 0 });
        assert.ok(logProbs.every((value) => value < 0));
        steps.gradients.finish();
        await adamw.step(steps.gradients.groups, { learningRate: 1e-3 });
      }
      assert.ok(programs.size >= 4, [...programs.keys()].join(" "));
      await steps.release();
      await adamw.release();
      await session.release();
    });
  }
}
