/** @file One run, one folder: who holds it, who may take it over, and that nothing of it stays. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { hostname } from "node:os";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { lockFolder } from "../../src/format/files/disk/folder-lock.ts";
import { thisProcess } from "../../src/format/files/disk/owner.ts";
import { lockRun } from "../../src/train/files/folder/run-lock.ts";
import type { TrainEvent } from "../../src/train/events.ts";
import { assertSays } from "../bad-input/refusals.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, flagsFor, runTiny, snapshot, startProgram } from "./tiny-run.ts";

const RESULT = "adapter_model.safetensors";
const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const data = writeTinyChats(`${folder}/chats.jsonl`, 6);
const SETTINGS = { model, data, seed: 3 };
/** A process that has ended. */
const ended = spawnSync(process.execPath, ["--version"]).pid;

/** Puts a lock of some process on a folder. */
function lockOf(output: string, text: string): void {
  mkdirSync(`${output}/.graft-lock`, { recursive: true });
  writeFileSync(`${output}/.graft-lock/owner.json`, text);
}

const hidden = (output: string): string[] => readdirSync(output).filter((name) => name.startsWith("."));

describe("the lock of an output folder", () => {
  test("beside a living run, another, --overwrite and --resume are refused; after kill -9 the folder is taken over", async () => {
    const output = `${folder}/living`;
    const long = { ...SETTINGS, output, steps: 60, saveEvery: 2 };
    const tries: Promise<void>[] = [];
    const run = startProgram(flagsFor(long), (event) => {
      if (event.event !== "step" || event.step !== 3) return;
      tries.push(
        (async () => {
          try {
            for (const way of [{}, { overwrite: true }, { resume: true }]) {
              await assert.rejects(runTiny({ ...long, ...way }), (error) => {
                if (!("overwrite" in way || "resume" in way)) return true;
                const says = [
                  output,
                  `process ${run.child.pid} on "${hostname().replaceAll(/[^A-Za-z0-9]/g, "")}"`,
                ];
                assertSays(error, { code: "usage/output", says, hint: /Wait for that run/ });
                return true;
              });
            }
            assert.equal(run.child.exitCode, null, "the living run has ended");
          } finally {
            run.child.kill("SIGKILL");
          }
        })(),
      );
    });
    await run.ended;
    assert.equal(tries.length, 1, "the run never came to step 3");
    await tries[0];
    assert.ok(existsSync(`${output}/.graft-lock`));
    const { events } = await runTiny({ ...long, resume: true });
    const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    assert.ok(notes.some((note) => note.includes(`process ${run.child.pid} on`) && /taken over/.test(note)));
    assert.deepEqual(hidden(output), []);
    const whole = `${folder}/unbroken`;
    await runTiny({ ...long, output: whole });
    assert.ok(bytesOf(output, RESULT).equals(bytesOf(whole, RESULT)));
  });

  test("a second SIGINT, which ends the program at once, leaves no lock", async () => {
    const output = `${folder}/signals`;
    // Steps of a second or more, so that the first signal waits for the end of one.
    const long = {
      data: writeTinyChats(`${folder}/many.jsonl`, 600),
      batchSize: 1,
      gradientAccumulationSteps: 600,
    };
    const run = startProgram(flagsFor({ ...SETTINGS, ...long, output }), (event) => {
      if (event.event !== "step" || event.step !== 1) return;
      run.child.kill("SIGINT");
      // Once the first was heard, and so long after it that they are not one request.
      run.child.stderr?.on("data", (told: Buffer) => {
        if (told.includes("Stopping")) setTimeout(() => run.child.kill("SIGINT"), 310);
      });
    });
    assert.equal((await run.ended).status, 130);
    assert.ok(!readdirSync(output).some((name) => name.startsWith("checkpoint-")));
    assert.ok(existsSync(output) && !existsSync(`${output}/.graft-lock`), hidden(output).join());
  });

  test(
    "a number that another process has by now is no living run",
    { skip: process.platform !== "linux" },
    async () => {
      const output = `${folder}/reused`;
      lockOf(output, JSON.stringify({ ...thisProcess(), startTime: "earlier" }));
      await runTiny({ ...SETTINGS, output });
      assert.deepEqual(hidden(output), []);
    },
  );

  test("a lock of a thread holds until it is terminated", async () => {
    const output = `${folder}/thread`;
    mkdirSync(output);
    const code = new URL("../../src/format/files/disk/folder-lock.ts", import.meta.url);
    const thread = new Worker(
      `const { parentPort, workerData } = require("node:worker_threads");
       parentPort.on("message", () => {});
       import(workerData.code).then(({ lockFolder }) => lockFolder(workerData.output)).then(() => parentPort.postMessage(null));`,
      { eval: true, workerData: { code: code.href, output } },
    );
    await once(thread, "message");
    assert.ok(!("release" in (await lockFolder(output))));
    await thread.terminate();
    const lock = await lockFolder(output);
    assert.ok("release" in lock && lock.takenFrom?.pid === process.pid);
    assert.ok(!("release" in (await lockFolder(output))), "its own lock does not hold");
    await lock.release();
  });

  test("a lock of another machine, and one that cannot be read, hold", async () => {
    const owner = JSON.stringify({ ...thisProcess(), host: "elsewhere", pid: ended });
    for (const [i, [text, found]] of [
      [owner, `process ${ended} on "elsewhere"`],
      ["", "another run is working"],
      ['{"pid":"1"}', "another run is working"],
    ].entries()) {
      const output = `${folder}/foreign-${i}`;
      lockOf(output, text!);
      const before = snapshot(output);
      await assert.rejects(runTiny({ ...SETTINGS, output }), (error) => {
        assertSays(error, { code: "usage/output", says: [found!], hint: /delete ".*\.graft-lock"/ });
        return true;
      });
      assert.deepEqual(snapshot(output), before);
    }
  });

  test("of runs that start at once, one runs and the others are refused", async () => {
    for (const [i, leftBehind] of [null, ended].entries()) {
      const output = `${folder}/at-once-${i}`;
      if (leftBehind) lockOf(output, JSON.stringify({ ...thisProcess(), pid: leftBehind }));
      const runs = await Promise.allSettled(
        Array.from({ length: 4 }, () => runTiny({ ...SETTINGS, output })),
      );
      const codes = runs.map((run) =>
        run.status === "rejected" ? (run.reason as { code: string }).code : "done",
      );
      assert.deepEqual(codes.sort(), ["done", "usage/output", "usage/output", "usage/output"]);
      assert.deepEqual(hidden(output), []);
    }
  });

  test("of many that find the lock of an ended process, one gets it", async () => {
    for (let round = 0; round < 10; round++) {
      const output = `${folder}/many-${round}`;
      lockOf(output, JSON.stringify({ ...thisProcess(), pid: ended }));
      const locks = await Promise.all(Array.from({ length: 8 }, () => lockFolder(output)));
      const held = locks.filter((lock) => "release" in lock);
      assert.equal(held.length, 1);
      for (const lock of held) await lock.release();
      assert.deepEqual(readdirSync(output), []);
    }
  });

  test("a caller that fails when it is told of a lock that was taken over leaves none", async () => {
    const output = `${folder}/told`;
    lockOf(output, JSON.stringify({ ...thisProcess(), pid: ended }));
    const fail = (): never => {
      throw new Error("of the caller");
    };
    await assert.rejects(lockRun(output, fail), /^Error: of the caller$/);
    assert.deepEqual(hidden(output), []);
  });

  test("a run that is refused for another reason leaves no folder", async () => {
    const output = `${folder}/refused/deep`;
    await assert.rejects(runTiny({ ...SETTINGS, output, data: `${folder}/none.jsonl` }), {
      code: "format/file",
    });
    assert.ok(!existsSync(`${folder}/refused`));
  });
});

test("a run stays in its folder when its program goes to another working directory", async () => {
  const before = process.cwd();
  const [from, to] = [`${folder}/from`, `${folder}/to`];
  for (const path of [from, to]) mkdirSync(path);
  try {
    process.chdir(from);
    const onEvent = ({ event }: TrainEvent): void => {
      if (event === "start") process.chdir(to);
    };
    await runTiny({ ...SETTINGS, output: "run", saveEvery: 3 }, { onEvent });
  } finally {
    process.chdir(before);
  }
  assert.deepEqual(readdirSync(to), []);
  assert.deepEqual(hidden(`${from}/run`), []);
  for (const name of [RESULT, "checkpoint-3", "log.jsonl"])
    assert.ok(existsSync(`${from}/run/${name}`), name);
  assert.ok(readFileSync(`${from}/run/config.yaml`, "utf8").includes(`output: ${from}/run\n`));
});

test("what killed runs left half-written is removed by the next, and nothing of others", async () => {
  const output = `${folder}/left`;
  await runTiny({ ...SETTINGS, output, saveEvery: 3 });
  const { host } = thisProcess();
  const left = [
    `.checkpoint-2.graft-${host}-${ended}-1-12345678.tmp`,
    `.staging.graft-${host}-${ended}--12345678.tmp`,
    ".checkpoint-4.0a1b2c3d.tmp",
  ];
  const kept = [`.checkpoint-2.graft-elsewhere-${ended}-1-12345678.tmp`, ".mine.12345678.tmp"];
  for (const name of [...left, ...kept]) {
    mkdirSync(`${output}/${name}`);
    writeFileSync(`${output}/${name}/optimizer.safetensors`, "half");
  }
  await runTiny({ ...SETTINGS, output, saveEvery: 3, resume: true });
  assert.deepEqual(hidden(output).sort(), kept.sort());
});
