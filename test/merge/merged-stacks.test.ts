import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { attachTo, logitsOf, perturb, randomExamples, unpacked } from "../passes/model-passes.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { openSafetensors } from "../../src/format/by-path.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });

test("experts are written in the stacks that files of their family have, and are read back", async () => {
  const { base, checkpoint } = await openUntilEnd(
    await writeTinyModel(join(root, "base"), { modelType: "granitemoe" }),
  );
  const adapter = await attachTo(base, lora, { rank: 2 }, "all-linear");
  perturb(adapter, 0.1);
  const path = join(root, "merged");
  await writeMergedModel({ engine, base, checkpoint, adapter, path, to: "hf", kind: null });
  const weights = await openSafetensors(join(path, "model.safetensors"));
  await weights.close();
  const prefix = "model.layers.1.block_sparse_moe.";
  const inBlock = [...weights.tensors.values()].filter(({ name }) => name.startsWith(prefix));
  assert.deepEqual(Object.fromEntries(inBlock.map(({ name, shape }) => [name.slice(prefix.length), shape])), {
    "input_linear.weight": [4, 48, 32],
    "output_linear.weight": [4, 32, 24],
    "router.layer.weight": [4, 32],
  });
  const { base: merged } = await openUntilEnd(path);
  const batch = unpacked(randomExamples([9, 5]));
  const [found, expected] = [
    await logitsOf(engine, merged, null, batch),
    await logitsOf(engine, base, adapter, batch),
  ];
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 1e-4));
});
