import assert from "node:assert/strict";
import test from "node:test";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { attachTo, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, tinyModelParts, writeTinyModel } from "../../../test/tiny/model.ts";
import { findMethod } from "../../peft/methods.ts";
import { openSafetensors, restoreAdapter, writeAdapter } from "../by-path.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { folderTensors } from "./folder-tensors.ts";

const root = temporaryFolder();
const parts = tinyModelParts({ modelType: "gpt_oss" });
const { base } = await openUntilEnd(await writeTinyModel(`${root}/model`, { modelType: "gpt_oss" }));

async function shapesIn(folder: string): Promise<Map<string, readonly number[]>> {
  const file = await openSafetensors(`${folder}/model.safetensors`);
  await file.close();
  return new Map([...file.tensors.values()].map(({ name, shape }) => [name, shape]));
}

test("experts are written as the class keeps them, and read as they were", async () => {
  const shapes = await shapesIn(`${root}/model`);
  const layer = "model.layers.1.mlp.experts";
  assert.deepEqual(shapes.get(`${layer}.gate_up_proj`), [4, 32, 96]);
  assert.deepEqual(shapes.get(`${layer}.gate_up_proj_bias`), [4, 96]);
  assert.deepEqual(shapes.get(`${layer}.down_proj`), [4, 48, 32]);
  assert.ok(![...shapes.keys()].some((name) => /\.\d+\.(gate_up|down)_proj/.test(name)));
  for (const [name, { data }] of parts.tensors) assert.deepEqual((await base.values(name)).data, data, name);
});

for (const modelType of ["gpt_oss", "granitemoe", "gemma4_text"]) {
  test(`a model that was trained whole is written so, and goes on from there: ${modelType}`, async () => {
    const own = await openUntilEnd(await writeTinyModel(`${root}/${modelType}`, { modelType }));
    const adapter = await attachTo(own.base, findMethod("full"));
    perturb(adapter, 0.1);
    await writeAdapter(`${root}/${modelType}-full`, adapter, { ...own, chatTemplateHash: null });
    assert.deepEqual(await shapesIn(`${root}/${modelType}-full`), await shapesIn(`${root}/${modelType}`));
    const again = await attachTo(own.base, findMethod("full"));
    await restoreAdapter(`${root}/${modelType}-full`, again);
    for (const [i, { name, value }] of adapter.parameters.entries())
      assert.deepEqual(again.parameters[i]!.value.data, value.data, name);
    const { base: read } = await openUntilEnd(`${root}/${modelType}-full`);
    for (const { name, value } of adapter.parameters)
      assert.deepEqual((await read.values(name)).data, value.data, name);
  });
}

test("what lies in no stack stays, and experts of several types are refused", () => {
  const floats = hostTensor("float32", [1, 1], Float32Array.of(1));
  const halves = hostTensor("bfloat16", [1, 1], Uint16Array.of(1));
  const experts = "model.layers.0.mlp.experts";
  const rules = base.model.checkpoint;
  assert.deepEqual(folderTensors(rules, [["model.layers.0.mlp.router.weight", floats]]), [
    ["model.layers.0.mlp.router.weight", floats],
  ]);
  const parts = [
    [`${experts}.0.down_proj.weight`, floats],
    [`${experts}.1.down_proj.weight`, halves],
  ] as const;
  assert.throws(() => folderTensors(rules, parts), {
    code: "usage/model",
    message: /"model\.layers\.0\.mlp\.experts\.1\.down_proj\.weight" as bfloat16, expected float32/,
  });
});
