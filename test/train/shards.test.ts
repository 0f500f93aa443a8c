/** @file Parameters on disk: the same bits as in memory, in a run, a resumed run, after a kill; and what is refused. */
import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import * as node from "node:fs/promises";
import { before, describe, test } from "node:test";
import { type Disk, withDisk } from "../../src/format/files/disk/calls.ts";
import { makeSampleWriter } from "../../src/engine/sample-writer.ts";
import { ShardFolder } from "../../src/train/files/folder/shard-folder.ts";
import { canBringPages } from "../../src/runtime/memory/file-pages.ts";
import { PAGE_BYTES } from "../../src/runtime/memory/large-pages.ts";
import { CapacityError } from "../../src/errors.ts";
import type { StepEvent, TrainEvent } from "../../src/train/events.ts";
import type { TrainInput } from "../../src/train/settings/train-input.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, flagsFor, lossesOf, runTiny, snapshot, startProgram } from "./tiny-run.ts";

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

  test("samples are written with parameters that wait on the disk, and are those of a run in memory", async () => {
    const samples = `${folder}/prompts.txt`;
    writeFileSync(samples, "ka lo\nmi\n");
    const settings = { ...FULL, samples, sampleTokens: 3 };
    const [resident, sharded] = [`${folder}/memory-samples`, `${folder}/disk-samples`];
    await runTiny({ ...settings, output: resident }, { makeSampleWriter });
    await runTiny({ ...settings, output: sharded, residentMemory: "140KB" }, { makeSampleWriter });
    const name = "samples.jsonl";
    assert.ok(bytesOf(sharded, name).equals(bytesOf(resident, name)));
  });

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

  test("branches that are dropped are chosen by the same gradients", async () => {
    const settings = { ...FULL, dropbp: 0.4, steps: 10 };
    const { events } = await runTiny({ ...settings, output: `${folder}/memory-dropbp` });
    const run = await runTiny({ ...settings, output: `${folder}/disk-dropbp`, residentMemory: "140KB" });
    assert.deepEqual(lossesOf(run.events), lossesOf(events));
  });

  test("frozen blocks as float16: written once, half to read, nearly the same losses; refused where they are trained", async () => {
    const settings = { ...FULL, method: "lora", rank: 4, learningRate: 1e-3, residentMemory: "110KB" };
    const [whole, half] = [`${folder}/float32`, `${folder}/float16`];
    const { events } = await runTiny({ ...settings, output: whole });
    const run = await runTiny({ ...settings, output: half, shardDtype: "float16" });
    const losses = lossesOf(events);
    for (const [i, loss] of lossesOf(run.events).entries())
      assert.ok(Math.abs(loss / losses[i]! - 1) < 1e-3, `${loss} beside ${losses[i]}`);
    assert.notDeepEqual(lossesOf(run.events), losses);
    const [first, ...later] = stepsOf(run.events);
    const [, ...reread] = stepsOf(events);
    for (const [i, step] of later.entries()) {
      assert.equal(step.shards_written_mb, 0);
      const share = step.shards_read_mb! / reread[i]!.shards_read_mb!;
      assert.ok(share > 0.45 && share < 0.55, `${share}`);
    }
    assert.ok(first!.shards_written_mb! >= 0);
    const refused = { code: "usage/flag", message: /Cannot use --shard-dtype float16/ };
    const output = `${folder}/no-halves`;
    await assert.rejects(runTiny({ ...FULL, output, residentMemory: "1MB", shardDtype: "float16" }), refused);
    const { residentMemory: _none, ...resident } = settings;
    await assert.rejects(runTiny({ ...resident, output, shardDtype: "float16" }), refused);
  });

  test("a base that is rounded stays in few bits beside its blocks, and counts", async () => {
    const settings = { ...FULL, method: "lora", rank: 4, steps: 3 };
    const leastOf = async (input: TrainInput): Promise<{ least: number; outside: number }> => {
      const output = `${folder}/least`;
      const error = await runTiny({ ...input, output, residentMemory: "1KB" }).catch((one: unknown) => one);
      assert.ok(error instanceof CapacityError);
      const bytesIn = (text: string | null, form: RegExp): number =>
        1000 * Number(form.exec(text ?? "")?.[1]);
      const outside = bytesIn(error.message, /(\d+)KB are frozen outside the blocks/);
      return { least: bytesIn(error.hint, /--resident-memory (\d+)KB or more/), outside };
    };
    const rounded = { ...settings, base: "q8_0" as const };
    const [{ least }, ofFloats] = [await leastOf(rounded), await leastOf(settings)];
    // Nearly all of the file are matrices, of which down_proj has rows of 48; a block of 32 numbers has a scale of two bytes.
    const codeBytes = (statSync(`${model}/model.safetensors`).size / 4 - 6 * 32 * 48) * (34 / 32);
    // The embedding is not in memory in float32 then.
    const blockBytes = ofFloats.least - ofFloats.outside;
    assert.ok(Math.abs(least - blockBytes - codeBytes) < 0.1 * codeBytes, `${least} for ${codeBytes}`);
    const [resident, sharded] = [`${folder}/memory-rounded`, `${folder}/disk-rounded`];
    const { events } = await runTiny({ ...rounded, output: resident });
    const run = await runTiny({ ...rounded, output: sharded, residentMemory: `${least / 1000}KB` });
    assert.deepEqual(lossesOf(run.events), lossesOf(events));
    for (const { resident_mb: mb } of stepsOf(run.events))
      assert.ok(1e6 * mb! <= least && 1e6 * mb! > codeBytes, `${mb} MB of ${least} bytes`);
  });

  test("a budget that one group does not fit into is refused, with one that is enough, and nothing is written", async () => {
    const output = `${folder}/too-small`;
    const tooSmall = await runTiny({ ...FULL, output, residentMemory: "50KB" }).catch(
      (error: unknown) => error,
    );
    assert.ok(tooSmall instanceof CapacityError);
    assert.match(
      tooSmall.message,
      /within a resident memory of 50KB: the update of what is outside the blocks needs 133KB/,
    );
    assert.ok(!existsSync(output));
    const enough = /--resident-memory (\d+KB) or more/.exec(tooSmall.hint ?? "")![1]!;
    await runTiny({ ...FULL, output, residentMemory: enough, steps: 1 });
  });

  test("so is one that holds a block but not what is frozen outside of them beside it", async () => {
    const input = { ...FULL, method: "lora", output: `${folder}/no-outside`, steps: 1 };
    const tooSmall = await runTiny({ ...input, residentMemory: "50KB" }).catch((error: unknown) => error);
    assert.ok(tooSmall instanceof CapacityError);
    assert.match(
      tooSmall.message,
      /within a resident memory of 50KB: block \d needs \d+KB at once, of which \d+KB are frozen outside/,
    );
    assert.ok(!existsSync(input.output));
    const enough = /--resident-memory (\d+KB) or more/.exec(tooSmall.hint ?? "")![1]!;
    await runTiny({ ...input, residentMemory: enough });
  });

  for (const method of ["full", "bitfit"]) {
    test(`${method} beside the base that answers are compared with: what is enough for both is told`, async () => {
      const pairs = `${folder}/pairs.jsonl`;
      const pair = { prompt: "ka", chosen: " lo mi", rejected: " nu" };
      writeFileSync(pairs, `${JSON.stringify(pair)}\n`.repeat(4));
      const input = { model, data: pairs, output: `${folder}/compared-${method}`, method, rank: undefined };
      const compared = { ...input, objective: "dpo", steps: 1 };
      const tooSmall = await runTiny({ ...compared, residentMemory: "1KB" }).catch((error: unknown) => error);
      assert.ok(tooSmall instanceof CapacityError);
      const enough = /--resident-memory (\d+KB) or more/.exec(tooSmall.hint ?? "")![1]!;
      await runTiny({ ...compared, residentMemory: enough });
    });
  }

  test("sizes that are none, and weights that are to stay in float32, are refused", async () => {
    const output = `${folder}/refused`;
    await assert.rejects(runTiny({ ...FULL, output, residentMemory: "much" }), {
      code: "usage/flag",
      message: /residentMemory is "much", expected a size such as 200MB/,
    });
    await assert.rejects(runTiny({ ...FULL, output, residentMemory: "1MB", weights: "float32" }), {
      code: "usage/flag",
      message: /keeps all frozen weights in memory/,
    });
    assert.ok(!existsSync(output));
  });

  test("stopped and resumed, with other budgets and none, the result is bit-equal", async () => {
    const whole = `${folder}/whole`;
    await runTiny({ ...FULL, output: whole });
    const output = `${folder}/parts`;
    for (const [numSteps, residentMemory] of [
      [2, "140KB"],
      [4, "400KB"],
      [6, undefined],
    ] as const) {
      const controller = new AbortController();
      const onEvent = (event: TrainEvent): void => {
        if (event.event === "step" && event.step === numSteps && numSteps < 6) controller.abort();
      };
      const run = runTiny(
        { ...FULL, output, resume: numSteps > 2, residentMemory },
        { signal: controller.signal, onEvent },
      );
      await (numSteps < 6 ? assert.rejects(run, { code: "train/stopped" }) : run);
    }
    for (const name of ["model.safetensors", "checkpoint-6/optimizer.safetensors"])
      assert.ok(bytesOf(output, name).equals(bytesOf(whole, name)), name);
  });

  test("killed between checkpoints: what it left on the disk is not used, and the resumed run is bit-equal", async () => {
    const settings = {
      ...FULL,
      steps: 20,
      saveEvery: 3,
      residentMemory: "140KB",
      output: `${folder}/killed`,
    };
    const run = startProgram(flagsFor(settings), (event) => {
      if (event.event === "step" && event.step === 5) run.child.kill("SIGKILL");
    });
    assert.equal((await run.ended).signal, "SIGKILL");
    assert.ok(readdirSync(`${settings.output}/shards`).length > 10);
    await runTiny({ ...settings, resume: true });
    assert.ok(!existsSync(`${settings.output}/shards`));
    const { residentMemory: _none, ...resident } = settings;
    await runTiny({ ...resident, output: `${folder}/not-killed` });
    assert.ok(
      bytesOf(settings.output, "model.safetensors").equals(
        bytesOf(folder, "not-killed", "model.safetensors"),
      ),
    );
  });

  describe("shards of more than a page of 2 MB", { skip: !canBringPages() }, () => {
    const config = { hidden_size: 256, intermediate_size: 1024, num_hidden_layers: 3 };
    let wide: TrainInput = FULL;
    before(async () => {
      wide = { ...FULL, model: await writeTinyModel(`${folder}/wide`, { config }), steps: 3 };
    });

    test("lie in a file without a name: and the bits are the same", async () => {
      const [resident, sharded] = [`${folder}/memory-wide`, `${folder}/disk-wide`];
      const { events } = await runTiny({ ...wide, output: resident });
      const input = { ...wide, output: sharded, residentMemory: "20MB" };
      const sizes: number[] = [];
      const onEvent = (): void => {
        const shards = `${sharded}/shards`;
        const names = existsSync(shards) ? readdirSync(shards) : [];
        sizes.push(...names.map((name) => statSync(`${shards}/${name}`).size));
      };
      const run = await runTiny(input, { onEvent });
      assert.deepEqual(lossesOf(run.events), lossesOf(events));
      for (const name of ["model.safetensors", "checkpoint-3/optimizer.safetensors"])
        assert.ok(bytesOf(sharded, name).equals(bytesOf(resident, name)), name);
      for (const step of stepsOf(run.events)) {
        assert.ok(step.resident_mb! <= 20 && step.resident_mb! > 14, JSON.stringify(step));
        assert.ok(step.shards_read_mb! > 20 && step.shards_written_mb! > 20, JSON.stringify(step));
      }
      // Files with names hold what is smaller than a page.
      assert.ok(Math.max(...sizes) < PAGE_BYTES, sizes.join());
      assert.ok(!existsSync(`${sharded}/shards`));
    });

    test("a full disk ends the run when the first of them is to go", async () => {
      const open: Disk["open"] = async (path, ...rest) => {
        const file = await node.open(path, ...rest);
        if (!String(path).endsWith(".unnamed")) return file;
        const write = async (): Promise<never> => {
          throw Object.assign(new Error("no space left"), { code: "ENOSPC", syscall: "write" });
        };
        return Object.assign(file, { write });
      };
      const output = `${folder}/full-wide`;
      const run = withDisk({ ...node, open }, () => runTiny({ ...wide, output, residentMemory: "20MB" }));
      await assert.rejects(run, { code: "failed/write", message: /unnamed": /, hint: /Free some space/ });
      assert.ok(!existsSync(`${output}/shards`));
    });

    test("a budget in which all fits needs no disk", async () => {
      const open: Disk["open"] = async (path, ...rest) => {
        assert.doesNotMatch(String(path), /unnamed$/);
        return await node.open(path, ...rest);
      };
      const output = `${folder}/roomy-wide`;
      const { events } = await withDisk({ ...node, open }, () =>
        runTiny({ ...wide, output, residentMemory: "200MB" }),
      );
      for (const step of stepsOf(events))
        assert.deepEqual([step.shards_read_mb, step.shards_written_mb], [0, 0]);
    });
  });

  test("a folder of shards that holds something else is refused and left alone", async () => {
    const output = `${folder}/taken`;
    await runTiny({ ...FULL, output, steps: 1 });
    mkdirSync(`${output}/shards`);
    for (const name of ["000001.shard", "notes.txt"]) writeFileSync(`${output}/shards/${name}`, "mine");
    const before = snapshot(output);
    const again = { ...FULL, output, steps: 2, resume: true };
    await assert.rejects(runTiny({ ...again, residentMemory: "140KB" }), {
      code: "usage/output",
      message: /shards": it contains "notes.txt", expected only shards/,
    });
    assert.deepEqual(snapshot(output), before);
    await runTiny(again);
    assert.equal(bytesOf(output, "shards/notes.txt").toString(), "mine");
  });

  test("a full disk: the run stops, its newest checkpoint stands, and it goes on from there to the same bits", async () => {
    const whole = `${folder}/whole-disk`;
    const settings = { ...FULL, saveEvery: 1, residentMemory: "140KB" };
    await runTiny({ ...settings, output: whole });
    const output = `${folder}/full-disk`;
    let isFull = false;
    const open: Disk["open"] = async (path, ...rest) => {
      if (isFull && String(path).endsWith(".shard") && rest[0] !== "r")
        throw Object.assign(new Error("no space left"), { code: "ENOSPC", syscall: "write" });
      return await node.open(path, ...rest);
    };
    const onEvent = (event: TrainEvent): void => {
      if (event.event === "step" && event.step === 4) isFull = true;
    };
    const run = withDisk({ ...node, open }, () => runTiny({ ...settings, output }, { onEvent }));
    await assert.rejects(run, { code: "failed/write", message: /shard": /, hint: /Free some space/ });
    assert.ok(existsSync(`${output}/checkpoint-4`) || existsSync(`${output}/checkpoint-3`));
    assert.ok(!existsSync(`${output}/shards`));
    await runTiny({ ...settings, output, resume: true });
    assert.ok(bytesOf(output, "model.safetensors").equals(bytesOf(whole, "model.safetensors")));
  });
});

describe("ShardFolder", () => {
  const bytes = (value: number): Uint8Array => new Uint8Array(100).fill(value);

  /** A folder of two shards, each written twice. */
  async function twoShards(name: string): Promise<{ shards: ShardFolder; path: (index: number) => string }> {
    const shards = new ShardFolder(`${folder}/${name}`);
    for (const value of [1, 2])
      for (const index of [0, 1]) await shards.write(index, bytes(10 * index + value));
    return { shards, path: (index) => `${folder}/${name}/shards/00000${index}.shard` };
  }

  test("gives back what was written last", async () => {
    const { shards } = await twoShards("shards");
    for (const index of [0, 1]) {
      const into = bytes(0);
      await shards.read(index, into);
      assert.deepEqual(into, bytes(10 * index + 2));
    }
    await shards.close();
    assert.ok(!existsSync(shards.path));
  });

  test("reads nothing of another run, another shard, an earlier write, nothing cut short and nothing that is not there", async () => {
    const other = await twoShards("other-run");
    const cases: Record<string, (path: string, other: string) => void> = {
      "another run": (path) => cpSync(other.path(0), path),
      "another shard": (path, second) => cpSync(second, path),
      "cut short": (path) => truncateSync(path, 120),
      empty: (path) => truncateSync(path, 0),
      absent: (path) => rmSync(path),
    };
    for (const [what, change] of Object.entries(cases)) {
      const { shards, path } = await twoShards(`changed-${what.replace(" ", "-")}`);
      change(path(0), path(1));
      await assert.rejects(shards.read(0, bytes(0)), { code: "format/file", message: /000000.shard"/ }, what);
    }
    const { shards, path } = await twoShards("earlier");
    cpSync(path(0), `${folder}/kept`);
    await shards.write(0, bytes(3));
    cpSync(`${folder}/kept`, path(0));
    await assert.rejects(shards.read(0, bytes(0)), { message: /it is not what this run last wrote/ });
  });
});
