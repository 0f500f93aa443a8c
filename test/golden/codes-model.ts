/** A whole model in codes: it computes as one of the values it stands for, takes adapters, and is merged as floats. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Batch } from "../../src/data/batches/batch.ts";
import { chooseKind } from "../../src/export/merged/merged-kinds.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import { writeModel } from "../../src/format/by-path.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { peqa } from "../../src/peft/methods/peqa.ts";
import { moduleOf } from "../../src/models/module-path.ts";
import { STORAGES } from "../../src/quant/storages.ts";
import type { createEngine } from "../../src/runtime/create-engine.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertModelTold } from "../files/told-form.ts";
import { attachTo, logitsOf, perturb, randomExamples, unpacked } from "../passes/model-passes.ts";

/** Checks an open model; `floats` are its values, and `root` is where folders are written. */
export async function checkCodesModel(
  engine: ReturnType<typeof createEngine>,
  { base, checkpoint }: Awaited<ReturnType<typeof openUntilEnd>>,
  {
    config,
    floats,
    batch = unpacked(randomExamples([9, 7])),
  }: {
    config: Readonly<Record<string, unknown>>;
    floats: readonly [string, HostTensor<"float32">][];
    batch?: Batch;
  },
  root: string,
): Promise<void> {
  await assertModelTold(checkpoint, join(root, "settings-alone"));
  const plain = join(root, "plain-floats");
  await writeModel(plain, { config, generationConfig: null, tokenizerFiles: null, tensors: floats });
  const inFloats = await openUntilEnd(plain);
  const logits = await logitsOf(engine, base, null, batch);
  assert.deepEqual(logits, await logitsOf(engine, inFloats.base, null, batch));

  const inCodes = [...base.model.tensors.keys()].filter(
    (name) => STORAGES[base.source.storageOf(name)].blockSize > 1,
  );
  // Factors of rows are exact on any numbers in few bits; matrices of floats would be quantized.
  for (const [method, options, targets] of [
    [lora, {}, "all-linear"],
    [peqa, { scales: "row" }, inCodes.map(moduleOf)],
  ] as const) {
    const adapter = await attachTo(base, method, options, targets);
    assert.deepEqual(await logitsOf(engine, base, adapter, batch), logits, "it starts as the base");
    perturb(adapter, 0.05, 3);
    const adapted = await logitsOf(engine, base, adapter, batch);
    const path = join(root, `merged-${method.name}`);
    const kind = chooseKind(checkpoint.format, "hf", null);
    await writeMergedModel({ engine, base, checkpoint, adapter, path, to: "hf", kind });
    const merged = await openUntilEnd(path);
    assert.equal(merged.checkpoint.format, "hf");
    const found = await logitsOf(engine, merged.base, null, batch);
    assert.ok(adapted.some((value, i) => Math.abs(value - logits[i]!) > 1e-3));
    for (const [i, value] of found.entries()) assert.ok(Math.abs(value - adapted[i]!) < 1e-4, `${i}`);
  }
}
