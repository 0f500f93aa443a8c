import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../../../test/tiny/model.ts";
import { requireNewOutput } from "../../../export/new-output.ts";
import { writeFolderAtomic, writeTextAtomic } from "../atomic.ts";
import { textFile } from "../folder-file.ts";
import { isGone, thisProcess } from "./owner.ts";
import { isAbandoned, temporaryName } from "./temporaries.ts";

const root = temporaryFolder();
/** A process that has ended. */
const ended = spawnSync(process.execPath, ["--version"]).pid;

test("this process is there; one that ended, or that has its number again, is gone; one of another machine may be there", () => {
  const own = thisProcess();
  assert.equal(isGone(own), false);
  assert.equal(isGone({ ...own, pid: ended }), true);
  assert.equal(isGone({ ...own, host: "elsewhere", pid: ended }), false);
  // Where the system does not say when a process started, a number alone decides.
  assert.equal(isGone({ ...own, startTime: "another" }), process.platform === "linux");
  assert.equal(isGone({ ...own, startTime: null }), false);
});

test("a temporary name belongs to its process, whatever the name of the file", () => {
  for (const name of ["model", "a.graft-x-1-2-3.tmp", "ü".repeat(120), "x".repeat(250)]) {
    const temporary = temporaryName(join(root, name)).slice(root.length + 1);
    assert.ok(Buffer.byteLength(temporary) <= 255, temporary);
    assert.equal(isAbandoned(temporary), false);
    assert.equal(isAbandoned(temporary.replace(`-${process.pid}-`, `-${ended}-`)), true);
  }
  for (const name of [".model.12345678.tmp", "model.tmp", ".model.graft-h-1-2-12345678.swp"])
    assert.equal(isAbandoned(name), false, name);
});

test("writing sweeps what ended processes left beside the output, and nothing else", async () => {
  const own = temporaryName(join(root, "out"));
  const left = own.replace(`-${process.pid}-`, `-${ended}-`);
  for (const write of [
    () => writeTextAtomic(join(root, "file"), "x"),
    () => writeFolderAtomic(join(root, "folder"), [textFile("a", "1")]),
  ]) {
    mkdirSync(left);
    writeFileSync(join(left, "model.safetensors"), "half");
    writeFileSync(own, "still being written");
    writeFileSync(join(root, ".notes.12345678.tmp"), "of another program");
    await write();
    assert.ok(!existsSync(left) && existsSync(own));
    assert.ok(readdirSync(root).includes(".notes.12345678.tmp"));
  }
});

test("an output folder in which a process was killed is as good as an empty one", async () => {
  const output = join(root, "killed");
  const left = temporaryName(join(output, "staging")).replace(`-${process.pid}-`, `-${ended}-`);
  mkdirSync(left, { recursive: true });
  writeFileSync(join(left, "model.safetensors"), "half");
  await requireNewOutput(output, "hf", {});
  await writeFolderAtomic(output, [textFile("a", "1")]);
  assert.deepEqual(readdirSync(output), ["a"]);
});
