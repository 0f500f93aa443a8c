/** @file Output folders that cannot be used: taken, not writable, full; and runs that cannot be resumed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as node from "node:fs/promises";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { requireNewOutput } from "../../src/export/new-output.ts";
import { type Disk, withDisk } from "../../src/format/files/disk/calls.ts";
import { runTiny, snapshot } from "../train/tiny-run.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { assertRefused, assertSays } from "./refusals.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const data = writeTinyChats(`${folder}/chats.jsonl`, 4);

describe("an output folder that cannot be used", () => {
  test("one that holds another run", async () => {
    const output = `${folder}/taken`;
    await runTiny({ model, data, output, steps: 1 });
    await assertRefused(
      { model, data, output },
      {
        code: "usage/output",
        says: ["taken", "another run", "expected an empty or new folder"],
        hint: /--overwrite/,
      },
    );
    writeFileSync(`${output}/notes.txt`, "mine");
    await runTiny({ model, data, output, steps: 2, overwrite: true });
    assert.ok(existsSync(`${output}/notes.txt`), "a file that no run wrote was removed");
  });

  test("one in a home folder that no shell has put in", async () => {
    const refusal = { code: "usage/output", says: ["~/runs/mine", "full path"], hint: /runs\/mine\.$/ };
    await assertRefused({ model, data, output: "~/runs/mine" }, refusal);
    await assert.rejects(requireNewOutput("~/runs/mine", "hf", {}), { code: "usage/output" });
  });

  test("one that the run reads from", async () => {
    const output = `${folder}/source`;
    await runTiny({ model, data, output, steps: 1 });
    await assertRefused(
      { model, data, output, initAdapter: output, overwrite: true },
      { code: "usage/output", says: ["source", "initAdapter", "is in it"], hint: /another output folder/ },
    );
  });

  test("one in the folder of an adapter, whichever of the two a link names", async () => {
    const [adapter, link] = [`${folder}/adapter`, `${folder}/adapter-link`];
    mkdirSync(adapter);
    symlinkSync(adapter, link);
    for (const [output, input] of [
      [`${adapter}/new/out`, link],
      [`${link}/new/out`, adapter],
      [`${adapter}/out`, adapter],
    ] as const) {
      await assert.rejects(requireNewOutput(output, "hf", { adapter: input }), {
        code: "usage/output",
        message: `Cannot write to output "${output}": it is inside the adapter "${input}", expected a separate location`,
      });
    }
    await requireNewOutput(`${adapter}-beside/out`, "hf", { adapter: link });
  });

  test("the settings are there from the start, and start a run again", async () => {
    const output = `${folder}/told`;
    const { result } = await runTiny({ model, data, output, steps: 2, overwrite: true });
    const settings = parse(readFileSync(`${output}/config.yaml`, "utf8")) as Record<string, unknown>;
    assert.equal(settings["output"], output);
    assert.ok(!("overwrite" in settings) && !("resume" in settings));
    assert.equal(settings["steps"], result.steps);
  });

  test("settings that cannot take effect: options beside an adapter that brings its own, stopping early on nothing", async () => {
    const initAdapter = `${folder}/told`;
    await assertRefused(
      { model, data, output: `${folder}/none`, initAdapter, rank: 3 },
      {
        code: "usage/adapter",
        says: ["told", "rank is 4 in the adapter, but 3 is requested"],
        hint: /has its own/,
      },
    );
    const onValues = `${folder}/on-values`;
    await runTiny({ model, data, output: onValues, steps: 1, targetModules: ["v_proj"] });
    await assertRefused(
      {
        model,
        data,
        output: `${folder}/none`,
        initAdapter: onValues,
        targetModules: ["k_proj"],
        rank: undefined,
      },
      {
        code: "usage/adapter",
        says: ["on-values", /not on ".*k_proj", which is requested; it is on ".*v_proj", which is not/],
        hint: /has its own/,
      },
    );
    for (const [settings, refusal] of [
      [
        { layers: [9] as number[] },
        { code: "usage/target-modules", says: ["layers 9", "0 to 1"], hint: /numbers from 0 to 1/ },
      ],
      [
        { initAdapter, method: "ia3", rank: undefined },
        { code: "usage/adapter", says: ["told", "it is lora"], hint: /--method lora/ },
      ],
      [
        { evalMetric: "accuracy", evalShare: 0.5 },
        { code: "usage/flag", says: ['"accuracy"', "expected one of loss"], hint: /leave the metric out/ },
      ],
    ] as const)
      await assertRefused({ model, data, output: `${folder}/none`, ...settings }, refusal);
    await assertRefused(
      { model, data, output: `${folder}/none`, earlyStopping: 2 },
      { code: "usage/flag", says: ["stop early", "no held-out data"], hint: /--eval-data/ },
    );
    await assertRefused(
      { model, data, output: `${folder}/none`, method: "full", layers: [0], rank: undefined },
      { code: "usage/target-modules", says: ['method "full"'], hint: /Leave target modules/ },
    );
  });

  test("one that holds something else, even with --overwrite", async () => {
    const output = `${folder}/precious`;
    mkdirSync(output);
    writeFileSync(`${output}/thesis.txt`, "years of work");
    for (const overwrite of [false, true]) {
      await assertRefused(
        { model, data, output, overwrite },
        { code: "usage/output", says: ["precious", "it contains files"], hint: /another folder/ },
      );
    }
  });

  test("a link to nothing, links in a circle and a long name, each with its own remedy", async () => {
    symlinkSync("nowhere", `${folder}/dangling`);
    symlinkSync("circle", `${folder}/circle`);
    for (const [name, found, hint] of [
      ["dangling", "EEXIST", /a broken link/],
      ["circle", "ELOOP", /Links in the path form a loop/],
      ["x".repeat(300), "ENAMETOOLONG", /a shorter one/],
    ] as const) {
      await assertRefused(
        { model, data, output: `${folder}/${name}` },
        { code: "failed/write", says: [found], hint },
      );
    }
  });

  test("a file", async () => {
    const output = `${folder}/file`;
    writeFileSync(output, "not a folder");
    for (const place of [output, `${output}/inside`]) {
      await assert.rejects(runTiny({ model, data, output: place }), (error) => {
        assertSays(error, { code: "usage/output", says: ["it is a file"], hint: /another folder/ });
        return true;
      });
    }
    assert.equal(existsSync(output), true);
  });

  test("a place that cannot be written", async () => {
    // The superuser may write everywhere but into the kernel's own tree.
    const parent = process.getuid?.() === 0 ? "/sys" : `${folder}/locked`;
    if (parent !== "/sys") mkdirSync(parent, { mode: 0o555 });
    await assert.rejects(runTiny({ model, data, output: `${parent}/graft-run` }), (error) => {
      const says = [`${parent}/graft-run`, /: E[A-Z]+, /, "expected a writable place"];
      assertSays(error, { code: "failed/write", says, hint: /output folder|read-only/ });
      return true;
    });
    assert.ok(!existsSync(`${parent}/graft-run`));
  });

  test("a disk that is full from the start: nothing is left that would be taken for a run", async () => {
    const output = `${folder}/no-room`;
    mkdirSync(output);
    const open: Disk["open"] = async (path, ...rest) => {
      if (String(path).includes("config.yaml"))
        throw Object.assign(new Error("no space left"), { code: "ENOSPC", syscall: "open" });
      return await node.open(path, ...rest);
    };
    await withDisk({ ...node, open }, () =>
      assert.rejects(runTiny({ model, data, output, log: ["jsonl", "csv"] }), {
        code: "failed/write",
        hint: /space/,
      }),
    );
    assert.deepEqual(readdirSync(output), []);
    await runTiny({ model, data, output, steps: 1 });
  });

  test("one that is full before the first checkpoint: the way on is to begin anew", async () => {
    const output = `${folder}/no-checkpoint`;
    const mkdir = ((path: string, ...rest: []) => {
      if (path.includes("checkpoint-"))
        throw Object.assign(new Error("no space left"), { code: "ENOSPC", syscall: "mkdir" });
      return node.mkdir(path, ...rest);
    }) as Disk["mkdir"];
    const run = withDisk({ ...node, mkdir }, () => runTiny({ model, data, output, saveEvery: 1, steps: 2 }));
    await assert.rejects(run, { code: "failed/write", hint: /space.*--overwrite/ });
    const replacing = withDisk({ ...node, mkdir }, () =>
      runTiny({ model, data, output, saveEvery: 1, steps: 2, overwrite: true }),
    );
    await assert.rejects(replacing, {
      code: "failed/write",
      hint: /space.*start over with the same command\.$/,
    });
    const again = { code: "usage/output", says: ["another run"], hint: /^(?!.*--resume).*--overwrite/ };
    await assertRefused({ model, data, output }, again);
    await runTiny({ model, data, output, steps: 1, overwrite: true });
  });

  test("a disk that runs full: the error says so, and the checkpoint before stays whole", async (t) => {
    const disk = `${folder}/disk`;
    mkdirSync(disk);
    const options = ["-t", "tmpfs", "-o", "size=600k", "tmpfs", disk];
    const mounted = spawnSync("mount", options);
    if (mounted.status !== 0) return t.skip("no right to mount a small disk");
    try {
      const output = `${disk}/run`;
      await assert.rejects(
        runTiny({ model, data, output, saveEvery: 1, keepLast: 50, steps: 50 }),
        (error) => {
          assertSays(error, { code: "failed/write", says: [disk, "ENOSPC"], hint: /space.*--resume/ });
          return true;
        },
      );
      const names = readdirSync(output).sort();
      assert.deepEqual(
        names.filter((name) => !/^(checkpoint-\d+|config\.yaml|log\.jsonl)$/.test(name)),
        [],
      );
      const numWhole = names.filter((name) => name.startsWith("checkpoint-")).length;
      assert.ok(numWhole > 0);
      for (const name of names.slice(0, numWhole)) {
        assert.ok(existsSync(`${output}/${name}/optimizer.safetensors`), name);
      }
      // With space again the run goes on.
      rmSync(`${output}/checkpoint-1`, { recursive: true });
      rmSync(`${output}/checkpoint-2`, { recursive: true });
      const { result } = await runTiny({ model, data, output, resume: true, steps: 50 });
      assert.equal(result.steps, 50);
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});

describe("a run that cannot be resumed", () => {
  test("nothing there", async () => {
    await assertRefused(
      { model, data, output: `${folder}/never`, resume: true },
      { code: "usage/resume", says: ["never", "there is no run"], hint: /Check the path/ },
    );
  });

  test("a run that was stopped before its first checkpoint", async () => {
    const output = `${folder}/early`;
    mkdirSync(output);
    writeFileSync(`${output}/log.jsonl`, "");
    await assertRefused(
      { model, data, output, resume: true },
      {
        code: "usage/resume",
        says: ["early", "it contains no checkpoint"],
        hint: /start over, in this folder with --overwrite; --save-every/,
      },
    );
  });

  test("a run that has ended without a checkpoint", async () => {
    const output = `${folder}/ended`;
    await runTiny({ model, data, output, steps: 1 });
    for (const name of readdirSync(output).filter((entry) => entry.startsWith("checkpoint-")))
      rmSync(`${output}/${name}`, { recursive: true });
    await assertRefused(
      { model, data, output, resume: true, steps: 1 },
      {
        code: "usage/resume",
        says: ["ended", "it contains no checkpoint"],
        hint: /adapter .* --init-adapter;/,
      },
    );
  });

  test("other settings: each is named with both values", async () => {
    const output = `${folder}/resumable`;
    await runTiny({ model, data, output, saveEvery: 2, steps: 2 });
    await assertRefused(
      { model, data, output, resume: true, steps: 3, learningRate: 0.5, rank: 2 },
      {
        code: "usage/resume",
        says: ["rank was 4, is 2", /learningRate was [\d.]+, is 0\.5/],
        hint: /--init-adapter/,
      },
    );
    assert.ok(Object.keys(snapshot(output)).length > 5);
  });
});
