/** @file Weights that a file did not give once, where they are held after they are first read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { loadWeights } from "./load-model.ts";
import { withQuantizedBase } from "./quantized-base.ts";

const { checkpoint } = await openUntilEnd(await writeTinyModel(temporaryFolder()));
const NAME = "model.layers.0.mlp.up_proj.weight";

/** A checkpoint each of whose tensors cannot be read the first time. */
function failingOnce(whole: Checkpoint): Checkpoint {
  const failed = new Set<string>();
  return {
    ...whole,
    readInto: null,
    view: () => null,
    read: async (name) => {
      if (failed.has(name)) return await whole.read(name);
      failed.add(name);
      throw new Error("the disk is away");
    },
  };
}

for (const [what, opened] of [
  ["as they are kept", failingOnce(checkpoint)],
  ["in few bits", withQuantizedBase(failingOnce(checkpoint), "q8_0")],
] as const) {
  test(`weights that are held ${what} are read again after a failure`, async () => {
    const base = await loadWeights("model", opened);
    await assert.rejects(() => base.values(NAME), /the disk is away/);
    const { data } = await base.values(NAME);
    assert.ok(data.some((value) => value !== 0));
  });
}
