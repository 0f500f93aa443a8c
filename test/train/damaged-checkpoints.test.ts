/** @file A damaged or empty checkpoint is told from a good one, and a run goes on from the one before. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, runTiny } from "./tiny-run.ts";
import { readJson } from "../files/read-json.ts";

const RESULT = "adapter_model.safetensors";
const folder = temporaryFolder();
const SETTINGS = { model: `${folder}/model`, data: `${folder}/chats.jsonl`, learningRate: 0.01, seed: 5 };
const whole = `${folder}/whole`;

before(async () => {
  await writeTinyModel(SETTINGS.model);
  writeTinyChats(SETTINGS.data, 9);
  await runTiny({ ...SETTINGS, output: whole, saveEvery: 2, keepLast: 9 });
});

/** A copy of the run as if it had been killed after step 4. */
function killedRun(name: string): string {
  const path = `${folder}/${name}`;
  cpSync(whole, path, { recursive: true });
  rmSync(`${path}/checkpoint-6`, { recursive: true });
  return path;
}

function editJson(path: string, edit: (value: Record<string, unknown>) => void): void {
  const value = readJson(path);
  edit(value);
  writeFileSync(path, JSON.stringify(value));
}

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 3]! ^= 1;
  writeFileSync(path, bytes);
}

/** What may become of a checkpoint's folder, by what the note says of it. */
const DAMAGES: Record<string, (checkpoint: string) => void> = {
  "no such file": (path) => {
    rmSync(path, { recursive: true });
    mkdirSync(path);
  },
  "adapter_model\\.safetensors is not what was written": (path) => flipByte(`${path}/${RESULT}`),
  "optimizer\\.safetensors is not what was written": (path) => flipByte(`${path}/optimizer.safetensors`),
  "optimizer\\.safetensors has \\d+ bytes": (path) => writeFileSync(`${path}/optimizer.safetensors`, "x"),
  "manifest\\.json is of step 9": (path) =>
    editJson(`${path}/manifest.json`, (manifest) => (manifest["global_step"] = 9)),
  "trainer_state\\.json is of step 9": (path) => {
    rmSync(`${path}/manifest.json`);
    editJson(`${path}/trainer_state.json`, (state) => (state["global_step"] = 9));
  },
};

describe("a damaged checkpoint", () => {
  for (const [i, [found, damage]] of Object.entries(DAMAGES).entries()) {
    test(`${found}: the run goes on from the one before, says so, and ends bit-equal`, async () => {
      const output = killedRun(`damaged-${i}`);
      damage(`${output}/checkpoint-4`);
      const { events } = await runTiny({ ...SETTINGS, output, resume: true, saveEvery: 2, keepLast: 1 });
      const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
      assert.equal(notes.length, 1);
      assert.match(
        notes[0]!,
        /Checkpoint 4 is damaged, so the run resumes from 2; the damaged one is kept as ".*4\.damaged"/,
      );
      assert.match(notes[0]!, new RegExp(found));
      assert.ok(bytesOf(output, RESULT).equals(bytesOf(whole, RESULT)));
      assert.deepEqual(
        readdirSync(output).filter((name) => name.startsWith("checkpoint")),
        ["checkpoint-4.damaged", "checkpoint-6"],
      );
    });
  }

  test("its length is that of the run also where the newest one does not tell it", async () => {
    const output = killedRun("no-length");
    writeFileSync(`${output}/checkpoint-4/trainer_state.json`, "");
    const { result } = await runTiny({ ...SETTINGS, output, steps: undefined, resume: true, saveEvery: 2 });
    assert.equal(result.steps, 6);
    assert.ok(bytesOf(output, RESULT).equals(bytesOf(whole, RESULT)));
  });

  test("one without a manifest, as earlier versions wrote it, is still gone on from", async () => {
    const output = killedRun("old");
    rmSync(`${output}/checkpoint-4/manifest.json`);
    const { events } = await runTiny({ ...SETTINGS, output, resume: true });
    assert.deepEqual(
      events.flatMap((event) => (event.event === "step" ? [event.step] : [])),
      [5, 6],
    );
    assert.ok(bytesOf(output, RESULT).equals(bytesOf(whole, RESULT)));
  });

  test("where all are damaged, the faults of all are told, and nothing is moved", async () => {
    const output = killedRun("all");
    for (const step of [2, 4]) flipByte(`${output}/checkpoint-${step}/${RESULT}`);
    const resumed = runTiny({ ...SETTINGS, output, resume: true });
    await assert.rejects(resumed, {
      code: "format/file",
      message:
        /all": none of its checkpoints is intact\n {2}".*checkpoint-4": adapter_model.*\n {2}".*checkpoint-2": adapter_model/,
      hint: /^Start a new run in another folder/,
    });
    assert.ok(existsSync(`${output}/checkpoint-4`) && existsSync(`${output}/checkpoint-2`));
  });
});
