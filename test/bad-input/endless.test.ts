/** @file Paths that are no files, or that nothing can be made at: an error at once, where reading or writing would never end. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, test } from "node:test";
import { GraftError } from "../../src/errors.ts";
import { readAdapterFolder } from "../../src/format/by-path.ts";
import { type Disk, withDisk } from "../../src/format/files/disk/calls.ts";
import * as node from "node:fs/promises";
import { writeTextAtomic } from "../../src/format/files/atomic.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { runTiny } from "../train/tiny-run.ts";
import { assertSays } from "./refusals.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const data = writeTinyChats(`${folder}/chats.jsonl`, 4);
const pipe = `${folder}/pipe`;
const hasPipe = spawnSync("mkfifo", [pipe]).status === 0;

describe("what never ends", () => {
  for (const [what, path, skip] of [
    ["a pipe", pipe, !hasPipe],
    ["a device", "/dev/zero", !existsSync("/dev/zero")],
  ] as const) {
    test(`${what} as data, as a model, as a file of an adapter`, { skip }, async () => {
      const says = ["Cannot read data set", path, "it is a device or a pipe"];
      for (const input of [
        { data: path, evalData: data },
        { data, evalData: path },
      ]) {
        await assert.rejects(runTiny({ model, output: `${folder}/none`, ...input }), (error) => {
          assertSays(error, { code: "format/file", says, hint: /path/ });
          return true;
        });
      }
      await assert.rejects(runTiny({ model: path, data, output: `${folder}/none` }), { code: "format/file" });
      const adapter = `${folder}/${what.replace(" ", "-")}`;
      mkdirSync(adapter);
      await node.symlink(path, `${adapter}/adapter_config.json`);
      await assert.rejects(readAdapterFolder(adapter), {
        code: "format/file",
        message: /it is a device or a pipe/,
      });
    });
  }

  test("a pipe in place of each file of a run that goes on", { skip: !hasPipe }, async () => {
    const whole = `${folder}/whole`;
    await runTiny({ model, data, output: whole, steps: 1 });
    const files = readdirSync(whole, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => relative(whole, join(parentPath, name)));
    assert.ok(files.length > 8, files.join());
    for (const [i, file] of files.entries()) {
      const output = `${folder}/run-${i}`;
      await node.cp(whole, output, { recursive: true });
      await node.rm(join(output, file));
      spawnSync("mkfifo", [join(output, file)]);
      const ends = await Promise.allSettled([
        runTiny({ model, data, output, steps: 2, resume: true }),
        readAdapterFolder(output),
      ]);
      for (const end of ends) {
        if (end.status === "rejected") assert.ok(end.reason instanceof GraftError, `${file}: ${end.reason}`);
      }
    }
  });

  test("an output below /proc", { skip: !existsSync("/proc/self") }, async () => {
    for (const output of ["/proc/x", "/proc/x/deep"]) {
      await assert.rejects(runTiny({ model, data, output }), (error) => {
        assertSays(error, { code: "failed/write", says: [output, "ENOENT"], hint: /another output folder/ });
        return true;
      });
    }
  });

  test("a path with a sign that no path can hold", async () => {
    await assert.rejects(runTiny({ model, data, output: `${folder}/a\0b` }), (error) => {
      assertSays(error, {
        code: "failed/write",
        says: ["expected a writable place"],
        hint: /no path may contain/,
      });
      return true;
    });
  });
});

describe("a disk that is read-only", () => {
  test("is called that, whichever call says so", async () => {
    const refuse = (): never => {
      throw Object.assign(new Error("EROFS"), { code: "EROFS", syscall: "mkdir" });
    };
    const writes: [Disk, () => Promise<unknown>][] = [
      [{ ...node, mkdir: refuse }, () => runTiny({ model, data, output: `${folder}/read/only` })],
      [{ ...node, open: refuse }, () => writeTextAtomic(`${folder}/file`, "x")],
      [{ ...node, rename: refuse }, () => writeTextAtomic(`${folder}/file`, "x")],
    ];
    for (const [disk, write] of writes) {
      await assert.rejects(withDisk(disk, write), (error) => {
        assertSays(error, { code: "failed/write", says: ["EROFS"], hint: /disk is read-only/ });
        return true;
      });
    }
  });

  test("on a disk that is mounted so", async (t) => {
    const disk = `${folder}/disk`;
    mkdirSync(disk);
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", disk]).status !== 0) {
      return t.skip("no right to mount a disk");
    }
    try {
      for (const output of [disk, `${disk}/run`, `${disk}/a/b`]) {
        await assert.rejects(runTiny({ model, data, output }), (error) => {
          assertSays(error, { code: "failed/write", says: [output, "EROFS"], hint: /disk is read-only/ });
          return true;
        });
      }
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});
