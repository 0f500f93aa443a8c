/** @file What a run reads: several data sets with weights, and the same from the library. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseArgv } from "../../src/cli/argv.ts";
import { flagsOf } from "../../src/cli/flags.ts";
import { readOptions } from "../../src/cli/options.ts";
import { loadCommands } from "../../src/cli/commands.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny-model.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const [first, second] = [
  writeTinyChats(`${folder}/a.jsonl`, 4, 1),
  writeTinyChats(`${folder}/b.jsonl`, 4, 2),
];

describe("several data sets", () => {
  const settings = { model, data: [first, `${second}=0.5`], steps: undefined, epochs: 2, saveEvery: 3 };

  test("an epoch has each as often as its weight says, and a resumed run is bit-equal", async () => {
    const { events, result } = await runTiny({ ...settings, output: `${folder}/whole` });
    // Four and a half of four are six examples, two a step.
    assert.equal(result.steps, 6);
    const output = `${folder}/parts`;
    const stop = new AbortController();
    await assert.rejects(
      runTiny(
        { ...settings, output },
        {
          signal: stop.signal,
          onEvent: (event) => {
            if (event.event === "step" && event.step === 4) stop.abort();
          },
        },
      ),
      { code: "train/stopped" },
    );
    const resumed = await runTiny({ ...settings, output, resume: true });
    assert.deepEqual(lossesOf(resumed.events), lossesOf(events).slice(4));
    const file = "adapter_model.safetensors";
    assert.deepEqual(bytesOf(output, file), bytesOf(`${folder}/whole`, file));
  });

  test("are flags that repeat", async () => {
    const trainCommand = (await loadCommands()).find(({ name }) => name === "train");
    assert.ok(trainCommand);
    const flags = flagsOf(trainCommand);
    const words = ["--data", first, "--data", `${second}=2`, "--output", "x"];
    const options = await readOptions(trainCommand, flags, parseArgv(words, flags, []));
    assert.deepEqual(options["data"], [first, `${second}=2`]);
  });

  test("that lie in the output are refused", async () => {
    await assert.rejects(
      runTiny({ model, data: [first, `${folder}/out/b.jsonl`], output: `${folder}/out` }),
      {
        code: "usage/output",
        message: /b\.jsonl" lies in it/,
      },
    );
  });
});
