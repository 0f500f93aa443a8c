/** @file Parameters on disk: the same bits as in memory, in a run, a resumed run, after a kill; and what is refused. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { CapacityError } from "../../src/errors.ts";
import type { StepEvent, TrainEvent } from "../../src/train/events.ts";
import type { TrainInput } from "../../src/train/options.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny-model.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`, { config: { num_hidden_layers: 6 } });
const data = writeTinyChats(`${folder}/chats.jsonl`, 9);
const FULL: TrainInput = {
  model,
  data,
  output: "",
  method: "full",
  rank: undefined,
  evalShare: 0.3,
  evalEvery: 3,
  gradientAccumulationSteps: 2,
  learningRate: 0.01,
  weightDecay: 0.01,
  seed: 5,
};

/** The steps of a run that moved parameters between memory and disk. */
function stepsOf(events: readonly TrainEvent[]): StepEvent[] {
  return events.filter((event): event is StepEvent => event.event === "step");
}

describe("parameters on disk", () => {
  for (const gradientCheckpointing of ["on", "off"] as const) {
    test(`full, gradient checkpointing ${gradientCheckpointing}: the same losses and bits as in memory`, async () => {
      const settings = { ...FULL, gradientCheckpointing };
      const [resident, sharded] = [
        `${folder}/memory-${gradientCheckpointing}`,
        `${folder}/disk-${gradientCheckpointing}`,
      ];
      const { events } = await runTiny({ ...settings, output: resident });
      const run = await runTiny({ ...settings, output: sharded, residentMemory: "140KB" });
      assert.deepEqual(lossesOf(run.events), lossesOf(events));
      for (const name of ["model.safetensors", "checkpoint-6/optimizer.safetensors"])
        assert.ok(bytesOf(sharded, name).equals(bytesOf(resident, name)), name);
      for (const step of stepsOf(run.events)) {
        assert.ok(step.resident_mb! <= 0.14 && step.resident_mb! > 0.07, JSON.stringify(step));
        assert.ok(step.shards_read_mb! > 0.4 && step.shards_written_mb! > 0.3, JSON.stringify(step));
      }
      assert.ok(stepsOf(events).every((step) => !("resident_mb" in step)));
      assert.ok(!existsSync(`${sharded}/shards`));
    });
  }

  for (const method of ["lora", "bitfit"]) {
    test(`${method}: frozen blocks are read again and again, and the numbers are the same`, async () => {
      const settings = { ...FULL, method, ...(method === "lora" ? { rank: 4 } : {}) };
      const [resident, sharded] = [`${folder}/memory-${method}`, `${folder}/disk-${method}`];
      const { events } = await runTiny({ ...settings, output: resident });
      const run = await runTiny({ ...settings, output: sharded, residentMemory: "110KB" });
      assert.deepEqual(lossesOf(run.events), lossesOf(events));
      const name = "adapter_model.safetensors";
      assert.ok(bytesOf(sharded, name).equals(bytesOf(resident, name)));
      for (const step of stepsOf(run.events)) {
        assert.ok(step.shards_read_mb! > 0.2 && step.resident_mb! <= 0.11, JSON.stringify(step));
        assert.equal(step.shards_written_mb, 0);
      }
    });
  }

  test("a budget that one group does not fit into is refused, with one that is enough, and nothing is written", async () => {
    const output = `${folder}/too-small`;
    const tooSmall = await runTiny({ ...FULL, output, residentMemory: "50KB" }).catch(
      (error: unknown) => error,
    );
    assert.ok(tooSmall instanceof CapacityError);
    assert.match(
      tooSmall.message,
      /within a resident memory of 50KB: the update of what is outside the blocks needs 134KB/,
    );
    assert.ok(!existsSync(output));
    const enough = /--resident-memory (\d+KB) or more/.exec(tooSmall.hint ?? "")?.[1] as string;
    await runTiny({ ...FULL, output, residentMemory: enough, steps: 1 });
  });

  test("sizes that are none, and weights that are to stay in float32, are refused", async () => {
    const output = `${folder}/refused`;
    await assert.rejects(runTiny({ ...FULL, output, residentMemory: "much" }), {
      code: "usage/flag",
      message: /residentMemory is "much", expected a size such as 200MB/,
    });
    await assert.rejects(runTiny({ ...FULL, output, residentMemory: "1MB", weights: "float32" }), {
      code: "usage/flag",
      message: /held in float32/,
    });
    assert.ok(!existsSync(output));
  });
});
