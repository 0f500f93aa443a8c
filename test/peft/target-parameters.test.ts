/** @file Adapters on parameters: which are chosen, what they leave to modules, and what cannot be done with them. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { readAdapter, readAdapterFolder, writeAdapter } from "../../src/format/by-path.ts";
import { readAdapterWeights } from "../../src/format/adapters/adapter-weights.ts";
import { nodeFolder } from "../../src/format/files/node-folder.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

const folder = temporaryFolder();
const { base, checkpoint } = await openUntilEnd(
  await writeTinyModel(`${folder}/qwen3_moe`, { modelType: "qwen3_moe" }),
);
const lora = findMethod("lora");
// The first layer of the model has no experts.
const [STACK, FIRST] = ["model.layers.1.mlp.experts.down_proj", "model.layers.0.mlp.down_proj"];

test("a stack has one adapter for the matrices of all experts, which modules then leave out", async () => {
  const { sites } = await attachTo(base, lora, { rank: 3, targetParameters: ["down_proj"] }, "all-linear");
  const shapes = sites.get(STACK)!.parameters.map(({ shape }) => shape);
  assert.deepEqual(shapes, [
    [4 * 3, 24],
    [32, 3 * 4],
  ]);
  const paths = [...sites.keys()];
  assert.ok(paths.includes(FIRST) && paths.includes("model.layers.1.mlp.experts.3.up_proj"));
  assert.ok(!paths.some((path) => /experts\.\d+\.down_proj/.test(path)));
  const plain = await attachTo(base, lora, {}, ".*down_proj");
  assert.ok(!plain.sites.has(STACK), "an expression for modules means no stack");
});

test("the weight of a module is a parameter too, and written as one", async () => {
  const adapter = await attachTo(base, lora, { targetParameters: ["gate.weight"] }, ["q_proj"]);
  assert.ok(adapter.sites.has("model.layers.1.mlp.gate"));
  await writeAdapter(`${folder}/router`, adapter, { base, checkpoint, chatTemplateHash: null });
  const { config } = await readAdapterFolder(`${folder}/router`);
  assert.deepEqual([config["target_modules"], config["target_parameters"]], [["q_proj"], ["gate.weight"]]);
});

for (const modelType of ["mixtral", "lfm2_moe", "gpt_oss", "gemma4_text"]) {
  test(`stacks come back from their folder where matrices of experts have other names: ${modelType}`, async () => {
    const other = await openUntilEnd(await writeTinyModel(`${folder}/${modelType}`, { modelType }));
    const options = { rank: 3, targetParameters: ["gate_up_proj", "down_proj"] };
    const adapter = await attachTo(other.base, lora, options, ["q_proj"]);
    perturb(adapter, 0.1);
    const path = `${folder}/${modelType}-stacks`;
    await writeAdapter(path, adapter, { ...other, chatTemplateHash: null });
    const { adapter: read } = await readAdapter(path, other.base);
    assert.deepEqual([...read.sites.keys()], [...adapter.sites.keys()]);
    for (const [i, { name, value }] of adapter.parameters.entries()) {
      assert.deepEqual(read.parameters[i]!.value, value, name);
    }
  });
}

test("a name that experts have too means other modules where the file has nothing on experts", async () => {
  const adapter = await attachTo(base, lora, { rank: 2 }, [FIRST, "q_proj"]);
  for (const [index, targets] of [["q_proj", "down_proj"], ".*(q_proj|down_proj)"].entries()) {
    const path = `${folder}/dense-${index}`;
    await writeAdapter(path, adapter, { base, checkpoint, chatTemplateHash: null });
    const { config } = await readAdapterFolder(path);
    writeFileSync(`${path}/adapter_config.json`, JSON.stringify({ ...config, target_modules: targets }));
    const { adapter: read } = await readAdapter(path, base);
    assert.deepEqual([...read.sites.keys()], [...adapter.sites.keys()]);
  }
});

test("what peft refuses on parameters is refused, and names of none", async () => {
  for (const [options, says] of [
    [{ dropout: 0.1 }, /Cannot adapt parameter "model.layers.1.mlp.experts.down_proj" with dropout 0.1/],
    [{ loraBias: true }, /with a bias of the second matrix/],
    [{ init: "olora" }, /with a start from the weight \("olora"\)/],
    [{ targetParameters: ["up_proj"] }, /Cannot find target parameters "up_proj"/],
    [{ targetParameters: ["experts.0.up_proj.weight"] }, /Cannot find target parameters/],
  ] as const) {
    const request = attachTo(base, lora, { targetParameters: ["experts.down_proj"], ...options }, []);
    await assert.rejects(request, says);
  }
});

test("adapters on parameters are not combined: their parts lie otherwise in a file", async () => {
  const adapter = await attachTo(base, lora, { targetParameters: ["down_proj"] }, []);
  await writeAdapter(`${folder}/stack`, adapter, { base, checkpoint, chatTemplateHash: null });
  await assert.rejects(readAdapterWeights(nodeFolder(`${folder}/stack`)), /it sits on parameters/);
});
