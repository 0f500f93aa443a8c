/** @file Runs whose activations wait in half precision or on disk: the same losses forward, and what is left behind. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import * as node from "node:fs/promises";
import { describe, test } from "node:test";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { inTurn } from "../matrix/sampled.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`, { config: { num_hidden_layers: 5 } });
const data = writeTinyChats(`${folder}/chats.jsonl`, 9);
const NAME = "adapter_model.safetensors";

const CASES = {
  "gradient checkpointing": { gradientCheckpointing: "on" },
  "gradient checkpointing but of attention": { gradientCheckpointing: "keep-attention" },
  "activations that are saved": { gradientCheckpointing: "off", gradientAccumulationSteps: 2 },
  "thresholds of SNELL": { method: "snell", steps: 3 },
  "DropBP, int8, packing and dropout": { dropbp: 0.5, compute: "int8", packing: true, dropout: 0.1 },
} as const;

describe("activations", () => {
  for (const [turn, [name, more]] of Object.entries(CASES).entries()) {
    const forms = inTurn(["float16", "disk"], turn);
    test(`${name}: on disk the same bits, in half precision the same first loss and nearly the same others (${forms.join()})`, async () => {
      const run = async (activations: "float32" | "float16" | "disk") => {
        const output = `${folder}/${name}-${activations}`;
        const input = { model, data, output, activations, learningRate: 0.01, ...more };
        const losses = lossesOf((await runTiny(input)).events);
        assert.ok(!existsSync(`${output}/activations`));
        return { losses, bytes: bytesOf(output, NAME) };
      };
      const whole = await run("float32");
      if (forms.includes("disk")) {
        const onDisk = await run("disk");
        assert.deepEqual(onDisk.losses, whole.losses);
        assert.ok(onDisk.bytes.equals(whole.bytes));
      }
      if (!forms.includes("float16")) return;
      const half = await run("float16");
      assert.equal(half.losses[0], whole.losses[0]);
      assert.ok(!half.bytes.equals(whole.bytes));
      for (const [i, loss] of whole.losses.entries())
        assert.ok(Math.abs(half.losses[i]! - loss) < 1e-2 * loss, `${half.losses[i]} ${loss}`);
    });
  }

  test("a full disk ends the run with the last checkpoint in place, and what a killed run left goes", async () => {
    const output = `${folder}/full`;
    const input = { model, data, output, activations: "disk", gradientCheckpointing: "on" } as const;
    let numOpened = 0;
    const full = Object.assign(new Error("no space"), { code: "ENOSPC", syscall: "write" });
    const disk = {
      ...node,
      open: ((path: string, flags?: string) =>
        path.endsWith(".shard") && ++numOpened > 25
          ? Promise.reject(full)
          : node.open(path, flags)) as typeof node.open,
    };
    await assert.rejects(
      withDisk(disk, () => runTiny({ ...input, saveEvery: 1 })),
      { code: "failed/write", message: /activations.*ENOSPC/, hint: /Free some space/ },
    );
    assert.ok(readdirSync(output).some((name) => name.startsWith("checkpoint-")));
    assert.ok(!existsSync(`${output}/activations`));
    mkdirSync(`${output}/activations`);
    writeFileSync(`${output}/activations/000003.shard`, "left");
    const { activations: _, ...inMemory } = input;
    const { events } = await runTiny({ ...inMemory, saveEvery: 1, resume: true });
    assert.ok(lossesOf(events).length > 0);
    assert.ok(!existsSync(`${output}/activations`));
  });

  test("half precision is a setting that a run keeps, files are none", async () => {
    const output = `${folder}/kept`;
    const input = { model, data, output, steps: 1 } as const;
    await runTiny({ ...input, activations: "disk" });
    await assert.rejects(runTiny({ ...input, steps: 2, activations: "float16", resume: true }), {
      code: "usage/resume",
    });
    await runTiny({ ...input, steps: 2, activations: "float32", resume: true });
  });
});
