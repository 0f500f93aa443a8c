/** @file Adapters and targets that do not fit the model. */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { readAdapter, loadModel } from "../../src/format/by-path.ts";
import { runTiny } from "../train/tiny-run.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { assertRefused, assertSays } from "./refusals.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { readJson } from "../files/read-json.ts";

const folder = temporaryFolder();
const data = writeTinyChats(`${folder}/chats.jsonl`, 4);
const output = `${folder}/out`;
const model = await writeTinyModel(`${folder}/model`);

const trained = `${folder}/trained`;
await runTiny({ model, data, output: trained, steps: 1 });

/** An adapter of the tiny model with other settings in its configuration. */
function adapterWith(name: string, config: object): string {
  const path = `${folder}/${name}`;
  cpSync(trained, path, { recursive: true });
  const old = readJson(`${path}/adapter_config.json`);
  writeFileSync(`${path}/adapter_config.json`, JSON.stringify({ ...old, ...config }));
  return path;
}

describe("an adapter that does not fit", () => {
  test("one for a wider model", async () => {
    const wider = await writeTinyModel(`${folder}/wider`, {
      config: { hidden_size: 64, intermediate_size: 80 },
    });
    const initAdapter = `${folder}/of-wider`;
    await runTiny({ model: wider, data, output: initAdapter, steps: 1 });
    await assertRefused(
      { model, data, output, initAdapter },
      {
        code: "usage/adapter",
        says: ["of-wider", "with this model", /lora_A\.weight is \[4, 64\], expected \[4, 32\]/],
        hint: /base model/,
      },
    );
  });

  test("one for another model of equal shapes, and for one that a training has made of its base", async () => {
    const other = await writeTinyModel(`${folder}/other-of-equal-shapes`, { seed: 2 });
    const initAdapter = `${folder}/of-other`;
    await runTiny({ model: other, data, output: initAdapter, steps: 1 });
    const says = [
      "of-other",
      "with this model",
      "other-of-equal-shapes",
      `"${model}"`,
      /weights [0-9a-f]{12}/,
    ];
    await assertRefused(
      { model, data, output, initAdapter },
      { code: "usage/adapter", says, hint: /base model that the adapter was trained on/ },
    );
    const { base, checkpoint } = await loadModel(model);
    await assert.rejects(readAdapter(initAdapter, base), { code: "usage/adapter" });
    await checkpoint.close();
  });

  test("one for a deeper model", async () => {
    const deeper = await writeTinyModel(`${folder}/deeper`, { config: { num_hidden_layers: 3 } });
    const initAdapter = `${folder}/of-deeper`;
    await runTiny({ model: deeper, data, output: initAdapter, steps: 1 });
    await assertRefused(
      { model, data, output, initAdapter },
      { code: "format/tensor", says: ["of-deeper", "surplus model.layers.2."], hint: /another model/ },
    );
  });

  test("one of which a single tensor has another name", async () => {
    const initAdapter = `${folder}/one-renamed`;
    await runTiny({ model, data, output: initAdapter, steps: 1 });
    const path = `${initAdapter}/adapter_model.safetensors`;
    // Of equal length, so that the header stays as long as it says.
    writeFileSync(path, readFileSync(path, "latin1").replace("layers.1.mlp", "layers.9.mlp"), "latin1");
    await assertRefused(
      { model, data, output, initAdapter },
      {
        code: "format/tensor",
        says: [/missing model\.layers\.1\.mlp\S+weight; surplus model\.layers\.9\.mlp\S+weight$/],
        hint: /another model/,
      },
    );
  });

  for (const [what, config, says] of [
    ["a part that graft does not do", { use_qalora: true }, ["use_qalora is true"]],
    ["a bias of DoRA's own", { use_dora: true, lora_bias: true }, ["lora_bias is true"]],
    ["a start that changes the base", { init_lora_weights: "corda" }, ['init_lora_weights is "corda"']],
    ["a start by chance", { init_lora_weights: "pissa_niter_4" }, ['init_lora_weights is "pissa_niter_4"']],
    ["a number for its modules", { target_modules: 5 }, ["target_modules is 5, expected"]],
    ["an object for what it leaves out", { exclude_modules: {} }, ["exclude_modules is {}, expected"]],
    ["a word for its layers", { layers_to_transform: "x" }, ['layers_to_transform is "x", expected']],
    ["no rank", { r: 0 }, ["no-rank", "rank is 0, expected"]],
    ["a number for its scales", { alpha_pattern: 5 }, ["scales", "alphaPattern is 5, expected"]],
    [
      "a method that is not known",
      { peft_type: "PREFIX_TUNING" },
      ["/a-method-that-is-not-known", 'type is "PREFIX_TUNING"', "LORA"],
    ],
  ] as const) {
    test(`one with ${what}`, async () => {
      const initAdapter = adapterWith(what.replaceAll(" ", "-"), config);
      await assertRefused(
        { model, data, output, initAdapter },
        { code: "usage/adapter", says, hint: /merge|made|expected|./ },
      );
    });
  }

  test("one whose configuration has a key twice", async () => {
    const initAdapter = adapterWith("twice", {});
    const config = `${initAdapter}/adapter_config.json`;
    writeFileSync(config, readFileSync(config, "utf8").replace("{", '{"r": 8, '));
    await assertRefused(
      { model, data, output, initAdapter },
      { code: "format/json", says: ["adapter_config.json", 'key "r" occurs twice'], hint: /Delete/ },
    );
  });

  test("one whose file lacks what its configuration says", async () => {
    for (const [name, config, says] of [
      ["lacks-head", { modules_to_save: ["lm_head"] }, "missing lm_head.weight"],
      ["lacks-biases", { lora_bias: true }, "lora_B.bias"],
      ["lacks-lengths", { use_dora: true }, "lora_magnitude_vector"],
    ] as const) {
      const initAdapter = adapterWith(name, config);
      const method = name === "lacks-lengths" ? "dora" : "lora";
      await assertRefused(
        { model, data, output, initAdapter, method },
        { code: "format/tensor", says: [name, says], hint: /another model/ },
      );
    }
  });

  test("a folder without an adapter", async () => {
    await assertRefused(
      { model, data, output, initAdapter: folder },
      { code: "format/file", says: ["adapter_config.json"], hint: /./ },
    );
  });

  test("weights that end too early", async () => {
    const initAdapter = adapterWith("cut", {});
    const path = `${initAdapter}/adapter_model.safetensors`;
    writeFileSync(path, readFileSync(path).subarray(0, -10));
    await assertRefused(
      { model, data, output, initAdapter },
      { code: "format/file", says: ["adapter_model.safetensors"], hint: /./ },
    );
  });

  test("excluded modules as an expression are read as peft reads them", async () => {
    const { base } = await openUntilEnd(model);
    const path = `${folder}/excluding`;
    await runTiny({ model, data, output: path, steps: 1, targetModules: "q_proj,v_proj" });
    const config = readJson(`${path}/adapter_config.json`);
    const changed = {
      ...config,
      target_modules: ["q_proj", "k_proj", "v_proj"],
      exclude_modules: ".*k_proj",
    };
    writeFileSync(`${path}/adapter_config.json`, JSON.stringify(changed));
    const { adapter } = await readAdapter(path, base);
    assert.equal(adapter.sites.size, 4);
  });
});

describe("targets that match nothing", () => {
  test("a name with a slip: the nearest are listed", async () => {
    await assertRefused(
      { model, data, output, targetModules: "q_porj" },
      {
        code: "usage/target-modules",
        says: ['target modules "q_porj"', 'nearest is "q_proj"'],
        hint: /q_proj.*all-linear/,
      },
    );
  });

  test("one name among others", async () => {
    await assertRefused(
      { model, data, output, targetModules: ["q_proj", "gate"] },
      { code: "usage/target-modules", says: ['"gate"', 'nearest is "gate_proj"'], hint: /gate_proj/ },
    );
  });

  test("an expression", async () => {
    await assertRefused(
      { model, data, output, targetModules: ".*attention.*" },
      { code: "usage/target-modules", says: [".*attention.*", "no module matches"], hint: /q_proj/ },
    );
  });

  test("an expression that is none", async () => {
    await assertRefused(
      { model, data, output, targetModules: "(q_proj" },
      { code: "usage/target-modules", says: ["(q_proj", "not a regular expression"], hint: /./ },
    );
  });

  test("of an adapter's file: the message is the same, behind the adapter's name", async () => {
    const initAdapter = adapterWith("of-many-layers", { layers_to_transform: 9 });
    const says = ["of-many-layers", "with this model. Cannot adapt layers 9: "];
    await assertRefused(
      { model, data, output, initAdapter },
      { code: "usage/target-modules", says, hint: /./ },
    );
  });

  test("layers that are not there", async () => {
    await assertRefused(
      { model, data, output, layers: [1, 2] },
      { code: "usage/target-modules", says: ["layers 2", "layers 0 to 1"], hint: /./ },
    );
  });

  test("options of another method, and settings that are unknown", async () => {
    await assertRefused(
      { model, data, output, method: "ia3" },
      { code: "usage/flag", says: ["rank is for method lora", "not for ia3"], hint: /./ },
    );
    await assertRefused(
      { model, data, output, learningRat: 1, batchSize: 0 },
      { code: "usage/flag", says: ["learningRat", "batchSize"], hint: /./ },
    );
    await assertRefused(
      { model, data, output, epochs: 1 },
      { code: "usage/flag", says: ["epochs and steps"], hint: /./ },
    );
    assert.ok(!existsSync(output));
  });
});

describe("modules to save, and starts from the weight", () => {
  test("modules that are not there, or have an adapter", async () => {
    await assertRefused(
      { model, data, output, modulesToSave: ["lm_haed"] },
      { code: "usage/target-modules", says: ['module "lm_haed"', "no module matches"], hint: /lm_head/ },
    );
    await assertRefused(
      { model, data, output, targetModules: "q_proj,lm_head", modulesToSave: ["lm_head"] },
      { code: "usage/target-modules", says: ['adapter on "lm_head"', "trained whole"], hint: /Leave/ },
    );
  });

  test("a start that does not exist there", async () => {
    await assertRefused(
      { model, data, output, init: "pissa", rank: 33, targetModules: "q_proj" },
      { code: "usage/flag", says: ['"pissa"', "rank 33", "at most 32"], hint: /rank of at most 32.*init/ },
    );
    await assertRefused(
      { model, data, output, init: "olora", targetModules: "embed_tokens" },
      { code: "usage/flag", says: ['"model.embed_tokens"', "an embedding"], hint: /init/ },
    );
    await assertRefused(
      { model, data, output, method: "dora", rank: 4, targetModules: "embed_tokens" },
      { code: "usage/target-modules", says: ['"model.embed_tokens"', "an embedding"], hint: /Leave/ },
    );
  });
});

test("a saved adapter names exactly its own sites", async () => {
  const { base } = await openUntilEnd(model);
  for (const [i, choice] of [
    { targetModules: ["model.layers.1.self_attn.q_proj"] },
    { targetModules: "q_proj", layers: [0] },
    { targetModules: ".*mlp.*", layers: [1] },
    { targetModules: ".*layers\\.0.*_proj" },
    { method: "ia3", rank: undefined, layers: [1] },
  ].entries()) {
    const path = `${folder}/sites-${i}`;
    await runTiny({ model, data, output: path, steps: 1, ...choice });
    const { adapter } = await readAdapter(path, base).catch((error: unknown) => {
      assertSays(error, { code: "none", says: [], hint: /./ });
      throw error;
    });
    const config = readFileSync(`${path}/adapter_config.json`, "utf8");
    assert.doesNotMatch(config, /layers_to_transform/);
    assert.ok(
      [...adapter.sites.values()].every(({ layer }) => layer === (i === 1 || i === 3 ? 0 : 1)),
      config,
    );
  }
});
