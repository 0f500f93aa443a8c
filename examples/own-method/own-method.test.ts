/** The example runs, in a process of its own and on the small model; the method is short and uses the library alone. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { METHODS, loadModel, readAdapter } from "../../src/index.ts";
import { assertBlockGradient } from "../../test/reference/block-reference.ts";
import { attachTo, perturb } from "../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { loraFa } from "./lora-fa.ts";

const MODEL = join(import.meta.dirname, "../../test/small-model");
const folder = temporaryFolder();

test("the method trains, is saved and loaded, and its merged weights compute the same", async () => {
  const output = join(folder, "adapter");
  const script = join(import.meta.dirname, "train.ts");
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, output], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const lossOf = (what: string): number => Number(new RegExp(`^${what}: loss (.+)$`, "m").exec(stdout)?.[1]);
  assert.ok(lossOf("adapter") < lossOf("base") / 2, stdout);
  assert.ok(Math.abs(lossOf("merged") - lossOf("adapter")) < 2e-4, stdout);

  const { base, checkpoint } = await loadModel(MODEL);
  const { adapter } = await readAdapter(output, base, [...METHODS, loraFa]);
  // B of every projection: out × rank
  const outputs = [...adapter.sites.values()].map(({ spec }) => spec.outFeatures);
  assert.equal(
    adapter.numTrained,
    outputs.reduce((total, n) => total + 8 * n, 0),
  );
  await assert.rejects(readAdapter(output, base), { code: "usage/adapter", message: /"LORA_FA"/ });
  await checkpoint.close();
});

test("gradients of a block equal central differences in float64", async () => {
  const { base, checkpoint } = await loadModel(await writeTinyModel(join(folder, "tiny")));
  const adapter = await attachTo(base, loraFa, { rank: 2 });
  perturb(adapter, 0.05);
  const names = await assertBlockGradient(base, adapter, 0);
  assert.ok(names.some((name) => name.includes("lora_B")));
  assert.ok(!names.some((name) => name.includes("lora_A")));
  await checkpoint.close();
});

test("the method is shorter than 60 lines, and it and its script import nothing but the library", () => {
  for (const file of ["lora-fa.ts", "train.ts"]) {
    const text = readFileSync(join(import.meta.dirname, file), "utf8");
    assert.ok(text.split("\n").length < 60, file);
    const imported = [...text.matchAll(/from "([^"]+)"/g)].map(([, name]) => name);
    const allowed = ["zod", "node:path", "../../src/index.ts", "./lora-fa.ts"];
    assert.deepEqual(
      imported.filter((name) => !allowed.includes(name!)),
      [],
    );
  }
});
