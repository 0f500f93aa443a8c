/** @file Adapters of models that keep weights as [in, out]: a file says so, and its tensors are as for any other model. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { readAdapterFolder, readAdapter } from "../../src/format/by-path.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import type { Family, Layer } from "../../src/models/family.ts";
import { Model } from "../../src/models/model.ts";
import type { Builder } from "../../src/nn/builder.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const folder = temporaryFolder();
const { base, checkpoint } = await openUntilEnd(await writeTinyModel(`${folder}/model`));

/** The model as if its checkpoint kept the chosen projections as [in, out]. */
function transposed(isChosen: (name: string) => boolean): BaseModel {
  const { family, raw } = base.model;
  const open: Family["open"] = (config) => {
    const definition = family.open(config);
    const layers = definition.layers.map((layer): Layer => ({
      build: (b, x) => {
        const linear: Builder["linear"] = (name, input, outFeatures, options) =>
          b.linear(name, input, outFeatures, { ...options, storedTransposed: isChosen(name) });
        const builder: Builder = {
          linear,
          lookUp: (...given) => b.lookUp(...given),
          tensor: (...given) => b.tensor(...given),
          attend: (...given) => b.attend(...given),
          earlier: (...given) => b.earlier(...given),
          linearAttention: (...given) => b.linearAttention(...given),
          rotate: (...given) => b.rotate(...given),
          toLayers: (...given) => b.toLayers(...given),
          layerInput: (...given) => b.layerInput(...given),
          keysOfOther: (...given) => b.keysOfOther(...given),
          branch: (...given) => b.branch(...given),
          splitRows: (...given) => b.splitRows(...given),
          input: (...given) => b.input(...given),
        };
        return layer.build(builder, x);
      },
    }));
    return { ...definition, layers };
  };
  return new BaseModel(base.name, new Model({ ...family, open }, raw), base.source);
}

describe("fan_in_fan_out", () => {
  for (const name of ["lora", "dora", "ia3", "vera"]) {
    test(`of ${name} is true when all modules are kept so, read there, refused elsewhere, kept by combining`, async () => {
      const model = transposed(() => true);
      const adapter = await attachTo(model, findMethod(name));
      perturb(adapter, 0.1);
      const path = `${folder}/${name}`;
      await saveAdapter(path, adapter, { base: model, checkpoint });
      const { config, tensors } = await readAdapterFolder(path);
      assert.equal(config["fan_in_fan_out"], true);

      const plain = `${path}-plain`;
      await saveAdapter(plain, adapter, { base, checkpoint });
      const shapes = [...(await readAdapterFolder(plain)).tensors].map(([key, { shape }]) => [key, shape]);
      assert.deepEqual(
        [...tensors].map(([key, { shape }]) => [key, shape]),
        shapes,
      );

      const { adapter: read } = await readAdapter(path, model);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
      await assert.rejects(readAdapter(path, base), {
        code: "usage/adapter",
        message: /fan_in_fan_out is true, expected false/,
        hint: /base model/,
      });
      if (name === "dora") return;
      await (await combineAdapters({ expression: "0.5*a", adapters: { a: path } })).write(`${path}-combined`);
      assert.equal((await readAdapterFolder(`${path}-combined`)).config["fan_in_fan_out"], true);
    });
  }

  test("is true as well with an embedding beside them, which has no such order", async () => {
    const model = transposed(() => true);
    const path = `${folder}/with-embedding`;
    const adapter = await attachTo(model, findMethod("lora"), {}, ["q_proj", "embed_tokens"]);
    await saveAdapter(path, adapter, { base: model, checkpoint });
    assert.equal((await readAdapterFolder(path)).config["fan_in_fan_out"], true);
    await readAdapter(path, model);
  });

  test("is false when only some modules are kept so", async () => {
    const model = transposed((site) => site.endsWith("q_proj"));
    const path = `${folder}/some`;
    const adapter = await attachTo(model, findMethod("lora"));
    await saveAdapter(path, adapter, { base: model, checkpoint });
    assert.equal((await readAdapterFolder(path)).config["fan_in_fan_out"], false);
    await readAdapter(path, model);
  });
});
