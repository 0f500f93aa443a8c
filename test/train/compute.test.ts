/** @file Training with products in another arithmetic: close to float32, saved, resumed bit-equal, and combined with DropBP. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { COMPUTE_NAMES } from "../../src/nn/computes.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const data = writeTinyChats(join(folder, "chats.jsonl"), 12);
const config = { hidden_size: 64, intermediate_size: 128 };
const RUN = { data, steps: 8, learningRate: 0.002, saveEvery: 4, keepLast: 9 };
let model: string;
let exact: number[];
before(async () => {
  model = await writeTinyModel(join(folder, "model"), { config });
  exact = lossesOf((await runTiny({ ...RUN, model, output: join(folder, "exact") })).events);
});

for (const compute of COMPUTE_NAMES) {
  test(`--compute ${compute}: losses near those of float32, and a resumed run is bit-equal`, async () => {
    const output = join(folder, compute);
    const input = { ...RUN, model };
    const { events } = await runTiny({ ...input, output, compute });
    const losses = lossesOf(events);
    for (const [i, loss] of losses.entries()) {
      assert.ok(
        Math.abs(loss / exact[i]! - 1) < (compute === "w4" ? 0.1 : 0.02),
        `loss ${loss} of step ${i + 1}, ${exact[i]} in float32`,
      );
    }
    assert.equal(losses.at(-1)! < losses[0]!, true);
    const adapter = readFileSync(join(output, "adapter_model.safetensors"));
    rmSync(join(output, "checkpoint-8"), { recursive: true });
    const again = await runTiny({ ...input, output, compute, resume: true });
    assert.deepEqual(lossesOf(again.events), losses.slice(4));
    assert.deepEqual(readFileSync(join(output, "adapter_model.safetensors")), adapter);
    await assert.rejects(
      runTiny({ ...input, output, compute: compute === "f32" ? "int8" : "f32", resume: true }),
      {
        code: "usage/resume",
      },
    );
  });
}

test("int8 with every other part that a run may have", async () => {
  const more = { compute: "int8", dropbp: 0.5, packing: true, gradientCheckpointing: "on", dropout: 0.1 };
  const { events } = await runTiny({ model, data, output: join(folder, "all"), steps: 12, ...more } as never);
  const losses = lossesOf(events);
  assert.ok(losses.every(Number.isFinite) && losses.at(-1)! < losses[0]!);
});

test("an arithmetic changes nothing where no matrix is frozen, and the run says so", async () => {
  const input = { model, data, steps: 2, method: "full", rank: undefined } as const;
  const exact = await runTiny({ ...input, output: join(folder, "full") });
  const { events } = await runTiny({ ...input, output: join(folder, "full-int8"), compute: "int8" });
  assert.deepEqual(lossesOf(events), lossesOf(exact.events));
  const notes = events.flatMap((event) => (event.event === "note" ? event.message : []));
  assert.ok(
    notes.some((note) => note.startsWith('Compute "int8" has no effect here')),
    notes.join(),
  );
});
