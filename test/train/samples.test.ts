/** @file Texts that a run writes while it trains: what they are, that training does not change, and prompts that are none. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import { makeSampleWriter } from "../../src/engine/sample-writer.ts";
import type { SampleEvent, TrainEvent } from "../../src/train/events.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, runTiny } from "./tiny-run.ts";
import { jsonLines } from "../files/read-json.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(`${folder}/model`);
const SETTINGS = {
  model,
  data: writeTinyChats(`${folder}/chats.jsonl`, 8),
  evalData: writeTinyChats(`${folder}/held-out.jsonl`, 3, 2),
  evalEvery: 2,
  learningRate: 0.05,
  steps: 4,
  sampleTokens: 6,
};
const HOOKS = { makeSampleWriter };
const ADAPTER = "adapter_model.safetensors";

const rows = `${folder}/prompts.jsonl`;
writeFileSync(
  rows,
  [
    {
      messages: [
        { role: "user", content: "Who?" },
        { role: "assistant", content: "left out" },
      ],
    },
    { prompt: "The lamp", completion: " left out" },
    {
      prompt: [
        { role: "system", content: "Be short." },
        { role: "user", content: "Why?" },
      ],
    },
    { text: "Once <b>upon</b>" },
  ]
    .map((row) => JSON.stringify(row))
    .join("\n"),
);

const samplesOf = (events: readonly TrainEvent[]): SampleEvent[] =>
  events.filter((event): event is SampleEvent => event.event === "sample");

function linesOf(output: string): unknown[] {
  return jsonLines(readFileSync(`${output}/samples.jsonl`, "utf8"));
}

describe("samples", () => {
  for (const method of ["lora", "ia3"]) {
    test(`${method}: the bits stay those of a run without, and the last texts are those of the result`, async () => {
      const settings = {
        ...SETTINGS,
        method,
        ...(method === "lora" ? { dropout: 0.1 } : { rank: undefined, learningRate: 1 }),
      };
      const [plain, output] = [`${folder}/plain-${method}`, `${folder}/told-${method}`];
      const without = await runTiny({ ...settings, output: plain });
      const notes = without.events.flatMap((event) => (event.event === "note" ? [event.message] : []));
      assert.ok(notes.includes("Samples of 6 tokens are not generated: no prompts are given (--samples)"));
      const { events } = await runTiny({ ...settings, output, samples: rows }, HOOKS);
      assert.ok(bytesOf(output, ADAPTER).equals(bytesOf(plain, ADAPTER)));
      const samples = samplesOf(events);
      assert.deepEqual(
        samples.map(({ step, index, prompt }) => [step, index, prompt]),
        [0, 2, 4].flatMap((step) =>
          ["Who?", "The lamp", "Why?", "Once <b>upon</b>"].map((prompt, index) => [step, index, prompt]),
        ),
      );
      assert.deepEqual(linesOf(output), samples);
      const writer = await openTextModel(model, {
        adapterPath: output,
        weights: "stored",
        mergeAdapter: false,
      });
      const request = { maxNewTokens: 6 };
      const expected = [
        await writer.write(writer.encodeChat([{ role: "user", content: "Who?" }]), request),
        await writer.write(writer.encodePrompt("The lamp"), request),
      ];
      await writer.close();
      assert.deepEqual(
        samples.slice(8, 10).map(({ text }) => text),
        expected.map(({ text }) => text),
      );
      assert.notDeepEqual(
        samples.slice(0, 4).map(({ text }) => text),
        samples.slice(8).map(({ text }) => text),
        "training changed no text",
      );
      const report = readFileSync(`${output}/report.html`, "utf8");
      assert.match(report, /<h2>Samples<\/h2>[^]*Once &lt;b&gt;upon[^]*step 4/);
    });
  }

  test("a resumed run has each text once, the same as without a stop; without held-out data they come as well", async () => {
    const { evalData: _none, ...settings } = { ...SETTINGS, saveEvery: 1, samples: rows };
    await runTiny({ ...settings, output: `${folder}/whole` }, HOOKS);
    // Before a step, and while the texts of the last one are written.
    for (const last of [3, 4]) {
      const output = `${folder}/parts-${last}`;
      const stop = new AbortController();
      const onEvent = (event: TrainEvent): void => {
        if (event.event === "step" && event.step === last) stop.abort();
      };
      await assert.rejects(runTiny({ ...settings, output }, { ...HOOKS, signal: stop.signal, onEvent }), {
        code: "train/stopped",
      });
      // And once more: what was written after the last checkpoint is written again.
      for (let i = 0; i < 2; i++) {
        await runTiny({ ...settings, output, resume: true }, HOOKS);
        assert.deepEqual(linesOf(output), linesOf(`${folder}/whole`));
        assert.equal(linesOf(output).length, 12);
      }
    }
  });

  test("lines of a text are messages of a user where the model has a template", async () => {
    const lines = `${folder}/prompts.txt`;
    writeFileSync(lines, "Who?\n\n  \nWhy?\r\n");
    const { events } = await runTiny(
      { ...SETTINGS, steps: 2, output: `${folder}/lines`, samples: lines },
      HOOKS,
    );
    const prompts = samplesOf(events)
      .slice(0, 2)
      .map(({ prompt }) => prompt);
    assert.deepEqual(prompts, ["Who?", "Why?"]);
  });

  test("files without prompts are refused with their place, before anything is written", async () => {
    const cases: readonly [name: string, text: string, RegExp][] = [
      ["empty.txt", "\n \n", /contains no prompts/],
      ["broken.jsonl", '{"text": "a"}\n{', /line 2|:2/],
      ["other.jsonl", '{"text": "a"}\n{"label": 1}', /:2: /],
      ["answers.jsonl", '{"messages": [{"role": "assistant", "content": "a"}]}', /only answers/],
      ["picture.png", "a", /name does not show its format/],
    ];
    for (const [name, text, message] of cases) {
      writeFileSync(`${folder}/${name}`, text);
      const output = `${folder}/bad-${name}`;
      const run = runTiny({ ...SETTINGS, output, samples: `${folder}/${name}` }, HOOKS);
      await assert.rejects(run, { message }, name);
      assert.throws(() => readFileSync(`${output}/log.jsonl`), { code: "ENOENT" });
    }
    await assert.rejects(runTiny({ ...SETTINGS, output: `${folder}/alone`, samples: rows }), {
      code: "usage/flag",
      message: /there is no sample writer/,
    });
  });

  test("a run that has diverged is told as that, and not as damaged files", async () => {
    const samples = `${folder}/one.txt`;
    writeFileSync(samples, "Who?\n");
    for (const learningRate of [1e39, 1.5e19]) {
      const settings = {
        ...SETTINGS,
        learningRate,
        evalEvery: 1,
        schedule: "constant",
        samples,
        overwrite: true,
      };
      await assert.rejects(runTiny({ ...settings, output: `${folder}/diverged` }, HOOKS), {
        code: "train/nan",
        hint: /^Choose a lower learning rate/,
      });
    }
  });
});
