/** @file Whole models as mlx-lm writes them in few bits: they compute what mlx-lm does, and their settings alone tell their sizes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { assertModelTold } from "../files/told-form.ts";
import { batchFromRows, logitsOf } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { assertLogits, goldenJson, goldenPath } from "./golden-files.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });

const CASES = [
  {
    family: "qwen3_moe",
    inEight: "layers.0.mlp.gate",
    inFour: "layers.0.mlp.experts.3.down_proj",
    isTold: true,
  },
  {
    family: "lfm2_moe",
    inEight: "layers.1.feed_forward.gate",
    inFour: "layers.1.feed_forward.experts.3.w2",
    isTold: true,
  },
  {
    family: "granitemoehybrid",
    inEight: null,
    inFour: "layers.1.shared_mlp.input_linear",
    isTold: false,
  },
  // Norms are read as floats of 32 bits, since 1 is taken off.
  { family: "qwen3_5", inEight: null, inFour: "layers.0.linear_attn.in_proj_qkv", isTold: false },
] as const;

for (const { family, inEight, inFour, isTold } of CASES) {
  test(`a model of MLX gives the logits of mlx-lm: ${family}`, async () => {
    const folder = `mlx-${family}`;
    const { ids, logits } = goldenJson<{ readonly ids: readonly number[]; readonly logits: number[][] }>(
      "codes",
      folder,
      "logits.json",
    );
    const { base, checkpoint } = await openUntilEnd(goldenPath("codes", folder));
    const storageOf = (module: string): string => base.source.storageOf(`model.${module}.weight`);
    assert.equal(storageOf(inFour), "q4_1");
    if (inEight !== null) assert.equal(storageOf(inEight), "m8");
    if (isTold) {
      // Names and shapes are those of the family where settings tell them.
      const { tensors, checkpoint: rules } = base.model;
      const renamed = [...checkpoint.tensors.values()].map((info) => {
        const name = rules.rename(info.name);
        return [name, { ...info, name, shape: tensors.get(name)!.shape }] as const;
      });
      await assertModelTold({ ...checkpoint, tensors: new Map(renamed) }, join(root, folder));
    }
    const found = await logitsOf(engine, base, null, batchFromRows({ input_ids: [ids] }));
    assertLogits(found, Float32Array.from(logits.flat()), [ids.map(() => 1)], 2e-5);
  });
}
