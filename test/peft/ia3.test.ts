/** @file Tests of (IA)³: a file says of every module whether its input or its output is scaled. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readAdapter, readAdapterFolder, loadModel } from "../../src/format/by-path.ts";
import { takeFrom } from "../../src/format/adapters/adapter-settings.ts";
import { combineAdapters } from "../../src/export/combined/combine.ts";
import { ia3 } from "../../src/peft/methods/ia3.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { linearSite } from "../tiny/sites.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { saveAdapter } from "../files/save-adapter.ts";

const folder = temporaryFolder();

describe("the file of an (IA)³ adapter", () => {
  for (const [what, modelType, options, modules, feedforward] of [
    ["a longer name of a target", "llama", { feedforwardModules: ["mlp.down_proj"] }, null, ["down_proj"]],
    [
      "whole paths",
      "llama",
      { feedforwardModules: ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"] },
      "all-linear",
      ["down_proj"],
    ],
    [
      "some of the modules of a name",
      "llama",
      { feedforwardModules: ["layers.1.mlp.down_proj"] },
      ["down_proj"],
      ["model.layers.1.mlp.down_proj"],
    ],
    ["none", "llama", { feedforwardModules: [] }, ["down_proj"], []],
    [
      "a name that others end with too",
      "vit",
      {},
      "all-linear",
      [0, 1].flatMap((layer) => ["attention.o_proj", "mlp.fc2"].map((name) => `vit.layers.${layer}.${name}`)),
    ],
    [
      "an expression of targets",
      "vit",
      {},
      ".*\\.dense",
      [0, 1].flatMap((layer) => ["attention.o_proj", "mlp.fc2"].map((name) => `vit.layers.${layer}.${name}`)),
    ],
  ] as const) {
    test(`is read back as it was where feed-forward modules are ${what}, and combined`, async () => {
      const model = await writeTinyModel(`${folder}/${modelType}`, { modelType });
      const { base, checkpoint } = await loadModel(model);
      const adapter = await attachTo(base, ia3, options, modules);
      perturb(adapter, 0.3);
      const path = `${folder}/${what}`;
      await saveAdapter(path, adapter, { base, checkpoint });
      const { config } = await readAdapterFolder(path);
      assert.deepEqual(config["feedforward_modules"], feedforward);
      const targets = config["target_modules"] as readonly string[];
      // PEFT refuses others.
      assert.ok(feedforward.every((name) => targets.includes(name)));
      const { adapter: read } = await readAdapter(path, base);
      assert.deepEqual(valuesOf(read), valuesOf(adapter));
      await (await combineAdapters({ expression: "-a", adapters: { a: path } })).write(`${path} negated`);
      const { adapter: negated } = await readAdapter(`${path} negated`, base);
      const before = valuesOf(adapter);
      valuesOf(negated).forEach((value, i) => assert.ok(Math.abs(2 - before[i]! - value) < 1e-6));
      await checkpoint.close();
    });
  }

  test("is not combined with one that scales the inputs of other modules, which is told", async () => {
    const { base, checkpoint } = await loadModel(await writeTinyModel(`${folder}/other modules`));
    const paths = { a: `${folder}/last`, b: `${folder}/none` };
    await saveAdapter(paths.a, await attachTo(base, ia3, {}, ["down_proj"]), { base, checkpoint });
    const none = await attachTo(base, ia3, { feedforwardModules: [] }, ["down_proj"]);
    await saveAdapter(paths.b, none, { base, checkpoint });
    await assert.rejects(combineAdapters({ expression: "a + b", adapters: paths }), {
      code: "usage/combine",
      message: /options at "model.layers.0.mlp.down_proj" are {"feedforward":true} and {"feedforward":false}/,
    });
    await checkpoint.close();
  });

  test("scales the inputs of the last feed-forward modules of any family, unless names say others", () => {
    const sites = (["qkv", "down"] as const).map((role) => ({ ...linearSite(`mlp.${role}_x`, 4, 4), role }));
    const scalesInput = (options: object): unknown[] =>
      sites.map((spec) => {
        const place = { path: `h.0.${spec.name}`, spec, storage: "f32", groupSize: null, sites } as const;
        return (ia3.configure(ia3.options.parse(options))(place) as { feedforward: boolean }).feedforward;
      });
    assert.deepEqual(scalesInput({}), [false, true]);
    assert.deepEqual(scalesInput({ feedforwardModules: ["qkv_x"] }), [true, false]);
    assert.deepEqual(scalesInput({ feedforwardModules: [] }), [false, false]);
    assert.deepEqual(scalesInput({ feedforwardModules: "qkv_x,mlp.qkv_x" }), [true, false]);
    assert.throws(() => scalesInput({ feedforwardModules: "qkv_x,other" }), {
      code: "usage/target-modules",
      message: /input of other: no target has this name, expected some of qkv_x, down_x/,
    });
    assert.deepEqual(scalesInput({ feedforwardModules: "h\\.\\d\\.mlp\\.(qkv|gate)_x" }), [true, false]);
  });

  test("an expression of peft's is for the whole path", () => {
    const isScaled = (feedforward_modules: string | readonly string[]): unknown => {
      const others = { target_modules: ".*_proj" };
      const raw: Record<string, unknown> = { ...others, feedforward_modules, init_ia3_weights: true };
      const options = ia3.options.parse(ia3.file.fromConfig(takeFrom(raw), raw));
      assert.deepEqual(raw, others);
      const spec = linearSite("mlp.down_proj", 4, 4);
      const place = {
        path: `h.0.${spec.name}`,
        spec,
        storage: "f32",
        groupSize: null,
        sites: [spec],
      } as const;
      return (ia3.configure(options)(place) as { feedforward: boolean }).feedforward;
    };
    assert.deepEqual(
      [isScaled(".*down_proj"), isScaled("down_proj"), isScaled(".*down")],
      [true, false, false],
    );
    // Beside one, peft takes names of modules that are no targets.
    assert.deepEqual(
      [isScaled(["down_proj", "other"]), isScaled(["other"]), isScaled([])],
      [true, false, false],
    );
  });
});
