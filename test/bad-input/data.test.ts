/** @file Data sets that cannot be trained on, each with the file and line. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { lossesOf, runTiny } from "../train/tiny-run.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { assertRefused } from "./refusals.ts";

const folder = temporaryFolder();
const output = `${folder}/out`;
const model = await writeTinyModel(`${folder}/model`);
const good = '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}';

function file(name: string, ...lines: readonly string[]): string {
  const path = `${folder}/${name}`;
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

describe("data that cannot be trained on", () => {
  for (const [what, lines, code, says] of [
    ["an empty file", [], "usage/data", ["no examples", "expected at least one"]],
    ["a broken line", [good, good, '{"messages":['], "format/json", ["line 3"]],
    [
      "an unknown role",
      [good, '{"messages":[{"role":"robot","content":"a"},{"role":"assistant","content":"b"}]}'],
      "usage/data",
      ["line 2", '"robot"', "assistant"],
    ],
    [
      "a conversation without an answer",
      ['{"messages":[{"role":"user","content":"a"}]}'],
      "usage/data",
      ["line 1", "assistant"],
    ],
    ["a row of an unknown form", ['{"question":"a"}'], "usage/data", ["line 1", "question", "messages"]],
    ["a row that is no object", ["[1,2]"], "usage/data", ["line 1", "object"]],
  ] as const) {
    test(what, async () => {
      const data = file(`${what.replaceAll(" ", "-")}.jsonl`, ...lines);
      await assertRefused(
        { model, data, output },
        { code, says: [data, ...says.map((s) => s.replace("line ", `${data}:`)).map((s) => s)], hint: /./ },
      );
    });
  }

  test("several faults are named together", async () => {
    const data = file("many.jsonl", '{"a":1}', good, '{"b":1}', "[]");
    await assertRefused(
      { model, data, output },
      { code: "usage/data", says: ["3 faulty rows", "4"], hint: /./ },
    );
  });

  test("a file that is not there", async () => {
    await assertRefused(
      { model, data: `${folder}/none.jsonl`, output },
      { code: "format/file", says: ["none.jsonl", "no such file"], hint: /./ },
    );
  });

  test("a path that cannot be looked at", async () => {
    const loop = `${folder}/loop.jsonl`;
    symlinkSync(loop, loop);
    const long = `${folder}/${"x".repeat(300)}.jsonl`;
    for (const [path, found] of [
      [loop, "form a loop"],
      [long, "longer than the system allows"],
    ] as const) {
      const refusal = { code: "format/file", says: [found], hint: /./ };
      await assertRefused({ model, data: path, output }, refusal);
      await assertRefused({ model, data: file("beside.jsonl", good), evalData: path, output }, refusal);
    }
  });

  test("a folder in which a model lies beside the data", async () => {
    const mixed = `${folder}/mixed`;
    mkdirSync(mixed);
    for (const name of ["train.jsonl", "small.gguf"]) writeFileSync(`${mixed}/${name}`, "");
    await assertRefused(
      { model, data: mixed, output },
      {
        code: "usage/data",
        says: [mixed, '"small.gguf" next to the data is a model', "expected a folder with only data"],
        hint: /mixed.train\.jsonl, or move "small\.gguf" elsewhere/,
      },
    );
  });

  test("a folder without a training file", async () => {
    mkdirSync(`${folder}/empty`);
    await assertRefused(
      { model, data: `${folder}/empty`, output },
      { code: "usage/data", says: ["no training file", "expected train.jsonl"], hint: /./ },
    );
  });

  test("held-out data with a fault", async () => {
    const evalData = file("held-out.jsonl", good, "{");
    await assertRefused(
      { model, data: file("fine.jsonl", good), evalData, output },
      { code: "format/json", says: ["held-out.jsonl", "2"], hint: /./ },
    );
  });

  test("only examples longer than the limit", async () => {
    const question = "q".repeat(100);
    const row = {
      messages: [
        { role: "user", content: question },
        { role: "assistant", content: "b" },
      ],
    };
    await assertRefused(
      { model, data: file("long.jsonl", JSON.stringify(row)), output, maxLength: 32 },
      {
        code: "usage/data",
        says: ["nothing to train on is left of its 1 example", "32 tokens"],
        hint: /The longest has 1\d\d tokens: raise --max-length/,
      },
    );
  });

  test("an example longer than the limit among others is cut, and the run says so", async () => {
    const row = {
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b".repeat(200) },
      ],
    };
    const data = file("one-long.jsonl", good, JSON.stringify(row));
    const { events } = await runTiny({ model, data, output: `${folder}/cut`, steps: 1 });
    const [start] = events;
    assert.ok(start?.event === "start");
    assert.deepEqual([start.examples, start.truncated_examples, start.max_length], [2, 1, 64]);
    assert.equal(lossesOf(events).length, 1);
    assert.ok(readdirSync(`${folder}/cut`).includes("adapter_model.safetensors"));
  });

  test("examples that are held out are not counted among those to train on that were cut", async () => {
    const rows = [1, 2, 3, 4].map((i) => JSON.stringify({ text: `${i}${"b".repeat(200)}` }));
    const data = file("all-long.jsonl", ...rows);
    const output = `${folder}/cut-held-out`;
    const { events } = await runTiny({ model, data, output, steps: 1, evalShare: 0.75 });
    const [start] = events.filter(({ event }) => event === "start");
    assert.ok(start?.event === "start");
    assert.deepEqual([start.examples, start.held_out_examples, start.truncated_examples], [1, 3, 1]);
  });
});
