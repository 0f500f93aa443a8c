import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { attachTo, logitsOf, perturb, randomExamples, unpacked } from "../../../test/passes/model-passes.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { openSafetensors } from "../../format/by-path.ts";
import { UsageError } from "../../errors.ts";
import { openModel } from "../../models/families.ts";
import { lora } from "../../peft/methods/lora.ts";
import { storedFloats } from "../../quant/stored-tensor.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { TINY_CONFIGS } from "../../../test/tiny/configs.ts";
import { folderSources } from "./folder-stacks.ts";
import { writeMergedModel } from "./merged-model.ts";

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

test("experts of one stack in two types are refused", () => {
  const { checkpoint } = openModel(TINY_CONFIGS["granitemoe"]!);
  const tensors = (["f32", "bf16"] as const).map((storage, expert) => ({
    name: `model.layers.0.block_sparse_moe.experts.${expert}.down_proj.weight`,
    shape: [1],
    storage,
    load: () => Promise.resolve(storedFloats(hostTensor("float32", [1], Float32Array.of(1)))),
  }));
  assert.throws(
    () => folderSources(checkpoint, tensors),
    (error: unknown) => error instanceof UsageError && /as bf16, expected f32/.test(error.message),
  );
});
