/** @file Kills a training at a random moment and goes on with it: the end must be that of a run which was never killed. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Random } from "../../src/random.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, flagsFor, runTiny, startProgram } from "../train/tiny-run.ts";

const folder = temporaryFolder();
const SETTINGS = {
  model: await writeTinyModel(`${folder}/model`),
  data: writeTinyChats(`${folder}/chats.jsonl`, 7),
  dropout: 0.1,
  learningRate: 0.01,
  steps: 10,
  saveEvery: 1,
  keepLast: 2,
  seed: 6,
};
/** What no two runs have in common. */
const OF_THE_CLOCK = new Set(["tokens_per_second", "peak_mb", "seconds", "output"]);
/** Longest wait after a step: about as long as a step with its checkpoint takes. */
const MAX_DELAY_MS = 40;

function withoutClock(text: string): unknown {
  return JSON.parse(text, (key, value: unknown) => (OF_THE_CLOCK.has(key) ? undefined : value));
}

/** What a run ended with, but for what the clock says. */
function outcomeOf(output: string): unknown {
  const lines = readFileSync(join(output, "log.jsonl"), "utf8").split("\n").slice(0, -1);
  return {
    names: readdirSync(output).sort(),
    adapter: bytesOf(output, "adapter_model.safetensors").toString("base64"),
    optimizer: bytesOf(output, "checkpoint-10", "optimizer.safetensors").toString("base64"),
    state: withoutClock(readFileSync(join(output, "trainer_state.json"), "utf8")),
    log: lines.map(withoutClock),
  };
}

/** Starts a run and kills it after a step (0: as it starts) and a while; tells whether it was still alive. */
async function kill(output: string, step: number, delayMs: number): Promise<boolean> {
  const strike = (): void => void setTimeout(() => run.child.kill("SIGKILL"), delayMs);
  const run = startProgram(flagsFor({ ...SETTINGS, output }), (event) => {
    if (event.event === "step" && event.step === step) strike();
  });
  // A process needs about a second to come to its first step.
  if (step === 0) setTimeout(() => run.child.kill("SIGKILL"), delayMs * 25);
  const { signal } = await run.ended;
  return signal === "SIGKILL";
}

/** Defines a test that kills as many runs, at moments that follow from the seed. */
export function describeKills(numKills: number, seed: number): void {
  test(`${numKills} runs, killed at random moments and gone on with, end bit-equal to one that was not`, async (t) => {
    const whole = `${folder}/whole`;
    await runTiny({ ...SETTINGS, output: whole });
    const expected = outcomeOf(whole);
    const random = new Random(seed);
    let numKilled = 0;
    for (let i = 0; i < numKills; i++) {
      const [step, delayMs] = [random.integer(SETTINGS.steps), random.integer(MAX_DELAY_MS)];
      const output = `${folder}/${i}`;
      if (await kill(output, step, delayMs)) numKilled++;
      const names = existsSync(output) ? readdirSync(output) : [];
      const resume = names.some((name) => /^checkpoint-\d+$/.test(name));
      await runTiny({ ...SETTINGS, output, resume, overwrite: !resume });
      assert.deepEqual(
        outcomeOf(output),
        expected,
        `run ${i}, killed ${delayMs} ms after step ${step}: ${names.join()}`,
      );
    }
    t.diagnostic(`${numKilled} of ${numKills} were alive when they were killed`);
    assert.ok(numKilled > numKills / 2, `only ${numKilled} were alive`);
  });
}
