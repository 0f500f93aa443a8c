import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { faultyDisk } from "../../test/faults/faulty-disk.ts";
import { temporaryFolder } from "../../test/tiny/model.ts";
import { openContent } from "../data/files/data-content.ts";
import { withDisk } from "../format/files/disk/calls.ts";
import { STATE_FILE } from "../train/files/folder/read-checkpoint.ts";
import { firstState } from "../train/loop/run-state.ts";
import type { UploadedFile } from "./job.ts";
import { StateFolder, dataEnding } from "./state-folder.ts";

function fileOf(id: string): UploadedFile {
  return {
    id,
    object: "file",
    bytes: 3,
    created_at: 1,
    filename: "a.jsonl",
    purpose: "fine-tune",
    status: "processed",
  };
}

test("nothing stays of an uploaded file for which the disk has no room", async () => {
  const folder = temporaryFolder();
  const state = new StateFolder(folder);
  const file = fileOf("file-1");
  const numWrites = 2;
  for (let nth = 1; nth <= numWrites; nth++) {
    const { disk } = faultyDisk("write", nth);
    await assert.rejects(
      withDisk(disk, () => state.addFile(file, Buffer.from("abc"))),
      { code: "failed/write" },
    );
    assert.ok(!readdirSync(folder).includes("files") || readdirSync(join(folder, "files")).length === 0);
  }
  await state.addFile(file, Buffer.from("abc"));
  assert.deepEqual(await state.listFiles(), [file]);
});

test("of many files only some are read at a time", async () => {
  let [numNow, most] = [0, 0];
  class Counted extends StateFolder {
    override async readFile(id: string): ReturnType<StateFolder["readFile"]> {
      most = Math.max(most, ++numNow);
      const file = await super.readFile(id);
      numNow--;
      return file;
    }
  }
  const state = new Counted(temporaryFolder());
  const ids = Array.from({ length: 40 }, (_, i) => `file-${100 + i}`);
  for (const id of ids) await state.addFile(fileOf(id), Buffer.from("abc"));
  assert.deepEqual(
    (await state.listFiles()).map(({ id }) => id),
    ids,
  );
  assert.ok(most <= 32, `${most}`);
});

test("numbers that a checkpoint's log could not keep are told as none, and what is no such log as nothing", async () => {
  const state = new StateFolder(temporaryFolder());
  const step = { event: "step", step: 1, total_steps: 2, loss: 3.5, learning_rate: 0.1 };
  const put = (log_history: readonly object[]): void => {
    const folder = join(state.runFolder("ftjob-1", "run"), "checkpoint-1");
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, STATE_FILE),
      JSON.stringify({ ...firstState(2, 1, {}), global_step: 1, log_history }),
    );
  };
  put([
    { ...step, grad_norm: 1 },
    { event: "eval", step: 1, loss: NaN },
  ]);
  assert.deepEqual(await state.readHistory("ftjob-1", "run"), [step, { event: "eval", step: 1, loss: NaN }]);
  put([{ ...step, loss: "low" }]);
  assert.deepEqual(await state.readHistory("ftjob-1", "run"), []);
});

test("an uploaded file is kept under the end by which its data are read, compressed or not", async () => {
  const ends = {
    rows: ".jsonl",
    "rows.xyz": ".jsonl",
    "a.ndjson": ".jsonl",
    "A.JSONL.GZ": ".jsonl.gz",
    "a.csv.zst": ".csv.zst",
    "a.b.parquet": ".parquet",
    "a.markdown": ".md",
  };
  for (const [name, end] of Object.entries(ends)) assert.equal(dataEnding(name), end, name);
  const state = new StateFolder(temporaryFolder());
  const bytes = gzipSync('{"text": "ka"}\n');
  const file = {
    id: "file-1",
    object: "file",
    bytes: bytes.length,
    created_at: 1,
    filename: "a.jsonl.gz",
    purpose: "fine-tune",
    status: "processed",
  } as const;
  await state.addFile(file, bytes);
  const { bytes: read, kind } = await openContent(await state.contentOf(file));
  assert.deepEqual(
    [Buffer.from(read).toString(), kind],
    ['{"text": "ka"}\n', "JSON Lines, one row per line"],
  );
});

test("what is no folder of servers is told by what it is", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "file");
  writeFileSync(file, "");
  for (const [path, found] of [
    [folder, `there are no job files in "${folder}", expected the servers' --state folder`],
    [file, `"${file}" cannot be read, part of the path is not a folder, expected the servers`],
  ] as const) {
    await assert.rejects(new StateFolder(path).requireFiles(), (error: Error) =>
      error.message.startsWith(`Cannot start on jobs: ${found}`),
    );
  }
});
