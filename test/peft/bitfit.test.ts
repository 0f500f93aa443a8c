import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Session } from "../../src/run/session.ts";
import { Generator } from "../../src/engine/generation/generator.ts";
import { readAdapter, readAdapterFolder, type LoadedModel, loadModel } from "../../src/format/by-path.ts";
import { bitfit } from "../../src/peft/methods/bitfit.ts";
import { mergedModel } from "../../src/peft/merged-model.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const folder = temporaryFolder();
const BIASED = { attention_bias: true, mlp_bias: true };

async function load(name: string, config: object): Promise<LoadedModel> {
  return await loadModel(
    await writeTinyModel(`${folder}/${name}`, { config: config as Record<string, unknown> }),
  );
}

describe("BitFit", () => {
  test("trains norms and biases, and norms alone where there is no bias", async () => {
    for (const [name, config, numInBlock] of [
      ["plain", {}, 2],
      ["biased", BIASED, 2 + 7],
    ] as const) {
      const { base, checkpoint } = await load(name, config);
      const { parameters } = await attachTo(base, bitfit);
      assert.ok(parameters.every((p) => /(norm\.weight|\.bias)$/.test(p.name)));
      assert.equal(parameters.length, 2 * numInBlock + 1);
      await checkpoint.close();
    }
  });

  test("saves whole tensors under their own names, without targets", async () => {
    const { base, checkpoint } = await load("saved", BIASED);
    const adapter = await attachTo(base, bitfit);
    perturb(adapter, 0.1);
    const path = `${folder}/adapter`;
    await saveAdapter(path, adapter, { base, checkpoint });
    const { config, tensors } = await readAdapterFolder(path);
    assert.deepEqual(config["target_modules"], []);
    const norm = tensors.get("base_model.model.model.norm.weight");
    assert.deepEqual(norm?.data, adapter.tensor("model.norm.weight")?.data);
    const { adapter: read } = await readAdapter(path, base);
    assert.deepEqual(valuesOf(read), valuesOf(adapter));
    await checkpoint.close();
  });

  test("cannot be restricted to modules or layers", async () => {
    const { base, checkpoint } = await load("restricted", BIASED);
    await assert.rejects(attachTo(base, bitfit, {}, ["q_proj"]), {
      code: "usage/target-modules",
      message: /it trains tensors of the base/,
    });
    await checkpoint.close();
  });

  test("writes the same tokens with the adapter beside the model and with merged weights", async () => {
    const { base, checkpoint } = await load("written", BIASED);
    const engine = createEngine({ threads: 1 });
    const adapter = await attachTo(base, bitfit);
    perturb(adapter, 0.5);
    const merged = await mergedModel(engine, base, adapter);
    const written: number[][] = [];
    for (const side of [
      { of: base, adapter },
      { of: merged.model, adapter: null },
      { of: base, adapter: null },
    ]) {
      const session = new Session(engine, side.of);
      const generator = await Generator.create({ session, adapter: side.adapter });
      const ids: number[] = [];
      for await (const { id } of generator.generate({ promptIds: [5, 80, 33], maxNewTokens: 12 }))
        ids.push(id);
      written.push(ids);
      await session.release();
    }
    assert.deepEqual(written[0], written[1]);
    assert.notDeepEqual(written[0], written[2]);
    await merged.release();
    await checkpoint.close();
  });
});
