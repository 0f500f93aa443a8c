/** @file What a run reads: several data sets with weights, and the same from the library. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { rowLine } from "../../src/data/rows/row-line.ts";
import { parseArgv } from "../../src/cli/flags/argv.ts";
import { flagsOf } from "../../src/cli/flags/flags.ts";
import { readOptions } from "../../src/cli/flags/options.ts";
import { loadCommands } from "../../src/cli/commands.ts";
import { temporaryFolder, writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { bytesOf, lossesOf, runTiny } from "./tiny-run.ts";
import { jsonLines, readJson } from "../files/read-json.ts";

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
    const { options } = await readOptions(trainCommand, flags, parseArgv(words, flags, []), {});
    assert.deepEqual(options["data"], [first, `${second}=2`]);
  });

  test("that an epoch would have more often than it can are refused", async () => {
    const output = `${folder}/too-often`;
    await assert.rejects(runTiny({ model, data: [first, `${second}=1e9`], output }), {
      code: "usage/flag",
      message:
        /Cannot draw data set ".*b\.jsonl" 1000000000 times per epoch: it has 4 examples, expected at most 67,108,864/,
    });
    assert.ok(!existsSync(output));
  });

  test("that lie in the output are refused", async () => {
    await assert.rejects(
      runTiny({ model, data: [first, `${folder}/out/b.jsonl`], output: `${folder}/out` }),
      {
        code: "usage/output",
        message: /b\.jsonl" is in it/,
      },
    );
    const [output, link] = [`${folder}/linked`, `${folder}/link`];
    mkdirSync(output);
    symlinkSync(output, link);
    // The log of a run, which may be replaced.
    writeFileSync(`${output}/log.jsonl`, "");
    writeTinyChats(`${output}/b.jsonl`, 4);
    await assert.rejects(runTiny({ model, data: `${link}/b.jsonl`, output, overwrite: true }), {
      code: "usage/output",
      message: /link\/b\.jsonl" is in it/,
    });
  });
});

describe("a folder of data", () => {
  for (const file of ["train.jsonl", "chats.jsonl"]) {
    test(`with ${file} is trained on and gone on with where its runs lie in it`, async () => {
      const data = `${folder}/of-${file}`;
      mkdirSync(data);
      writeTinyChats(`${data}/${file}`, 4);
      const settings = { model, data, saveEvery: 1 };
      const examples = [];
      for (const own of [
        { output: `${data}/one`, steps: 2 },
        { output: `${data}/one`, steps: 3, resume: true },
        { output: `${data}/two`, steps: 2 },
      ]) {
        const { events, result } = await runTiny({ ...settings, ...own });
        assert.equal(result.steps, own.steps);
        examples.push(events.find((event) => event.event === "start")?.examples);
      }
      assert.deepEqual(examples, [4, 4, 4]);
    });
  }

  test("holds what lies in folders by links, once, and a run goes on with the same alone", async () => {
    const [data, elsewhere] = [`${folder}/with-links`, `${folder}/elsewhere`];
    for (const path of [data, elsewhere]) mkdirSync(path);
    writeTinyChats(`${data}/chats.jsonl`, 4);
    writeTinyChats(`${elsewhere}/chats.jsonl`, 3);
    symlinkSync(elsewhere, `${data}/linked`);
    symlinkSync(data, `${data}/back`);
    symlinkSync(data, `${elsewhere}/back`);
    const settings = { model, data, output: `${folder}/of-links`, saveEvery: 1 };
    const { events } = await runTiny({ ...settings, steps: 1 });
    assert.equal(events.find((event) => event.event === "start")?.examples, 7);
    const { result } = await runTiny({ ...settings, steps: 2, resume: true });
    assert.equal(result.steps, 2);
    writeTinyChats(`${elsewhere}/chats.jsonl`, 5);
    await assert.rejects(runTiny({ ...settings, steps: 3, resume: true }), { code: "usage/resume" });
  });

  test("may hold a link to nothing beside its data", async () => {
    const data = `${folder}/with-link`;
    mkdirSync(data);
    writeTinyChats(`${data}/train.jsonl`, 4);
    symlinkSync(`${data}/nowhere`, `${data}/film.mp4`);
    const { result } = await runTiny({ model, data, output: `${folder}/of-link`, steps: 1 });
    assert.equal(result.steps, 1);
  });
});

describe("what is held out", () => {
  test("a share is drawn by the seed, and no example is on both sides", async () => {
    const rows = Array.from({ length: 20 }, (_, i) => ({ text: `row ${i % 15}` }));
    const settings = { model, data: rows, steps: 1, evalShare: 0.2 };
    const counts = [];
    for (const seed of [1, 1, 2]) {
      const { events } = await runTiny({ ...settings, seed, output: `${folder}/share-${counts.length}` });
      const start = events.find((event) => event.event === "start");
      const evaluated = events.find((event) => event.event === "eval");
      counts.push([start?.examples, start?.held_out_examples, evaluated?.loss]);
      assert.equal((start?.examples ?? 0) + (start?.held_out_examples ?? 0), 20);
      assert.ok((start?.held_out_examples ?? 0) >= 4 && (start?.held_out_examples ?? 0) <= 5);
    }
    assert.deepEqual(counts[0], counts[1]);
    assert.notEqual(counts[0]?.[2], counts[2]?.[2]);
  });

  test("a share beside held-out data is refused, and one of equal examples", async () => {
    const output = `${folder}/refused`;
    await assert.rejects(runTiny({ model, data: first, evalData: second, evalShare: 0.1, output }), {
      code: "usage/flag",
      message: /held-out data is given too/,
    });
    const same = [{ text: "a" }, { text: "a" }];
    await assert.rejects(runTiny({ model, data: same, evalShare: 0.5, output }), {
      message: /all examples are the same, expected at least two different ones/,
    });
    await assert.rejects(runTiny({ model, data: [{ text: "a" }], evalShare: 0.5, output }), {
      message: /there is one example, expected at least two different ones/,
    });
  });
});

describe("rows in memory", () => {
  const rows = jsonLines(readFileSync(first, "utf8"));

  test("train as the same rows of a file, and a run goes on with the same ones alone", async () => {
    const file = await runTiny({ model, data: first, output: `${folder}/of-file` });
    const output = `${folder}/of-rows`;
    const memory = await runTiny({ model, data: rows, output, saveEvery: 3 });
    assert.deepEqual(lossesOf(memory.events), lossesOf(file.events));
    const config = readFileSync(`${output}/config.yaml`, "utf8");
    assert.match(config, /^data: 4 rows in memory, sha256\s+[0-9a-f]{64}$/m);
    await assert.rejects(runTiny({ model, data: rows.slice(1), output, resume: true }), {
      code: "usage/resume",
    });
  });

  test("of a database train as the same rows, with ids of 64 bits; one that refers to itself is refused", async () => {
    const plain = await runTiny({ model, data: rows, steps: 2, output: `${folder}/without-ids` });
    const withIds = rows.map((row, i) => ({ ...(row as object), id: 2n ** 60n + BigInt(i), few: 5n }));
    const { events } = await runTiny({ model, data: withIds, steps: 2, output: `${folder}/with-ids` });
    assert.deepEqual(lossesOf(events), lossesOf(plain.events));
    assert.ok(rowLine(withIds[1], 1).endsWith(',"id":1152921504606846977,"few":5}'));
    const own: Record<string, unknown> = { text: "a" };
    own["self"] = own;
    await assert.rejects(runTiny({ model, data: [{ text: "a" }, own], output: `${folder}/x` }), {
      code: "usage/data",
      message: /^Cannot read data row 2: it cannot be written as JSON \(Converting circular/,
    });
  });

  test("are checked like rows of a file", async () => {
    await assert.rejects(runTiny({ model, data: [...rows, { b: 1 }], output: `${folder}/x` }), {
      code: "usage/data",
      message: /"data": 1 faulty row\n {2}data row 5: Cannot read row: keys "b"/,
    });
    await assert.rejects(runTiny({ model, data: [], output: `${folder}/x` }), { code: "usage/flag" });
    for (const key of ["data", "evalData", "samples"]) {
      for (const wrong of [Buffer.from("{}"), new Float32Array(2), { text: "a" }]) {
        const settings = { model, data: rows, output: `${folder}/x`, [key]: wrong };
        const message = new RegExp(`${key} is .*, expected`);
        await assert.rejects(runTiny(settings), { code: "usage/flag", message });
        assert.ok(!Object.isFrozen(wrong));
      }
    }
  });
});

describe("what is loud at the start", () => {
  test("a warm-up that outlasts the run", async () => {
    await assert.rejects(runTiny({ model, data: first, steps: 5, warmupSteps: 5, output: `${folder}/x` }), {
      code: "usage/flag",
      message: "Cannot warm up over 5 steps: the run has 5, expected fewer",
      hint: /fewer warm-up steps/,
    });
  });

  test("every example losing its end, and faulty rows that are left out", async () => {
    const data = [{ text: "a".repeat(90) }, { text: "b".repeat(80) }, { b: 1 }];
    const evalData = [{ text: "c".repeat(70) }];
    const output = `${folder}/loud`;
    const { events } = await runTiny({ model, data, evalData, steps: 1, skipFaulty: true, output });
    assert.deepEqual(
      events.flatMap((event) => (event.event === "note" ? [`${event.level}: ${event.message}`] : [])),
      [
        'warn: 1 faulty row was skipped:\n  data row 3: Cannot read row: keys "b", expected {"messages"}, {"conversations"}, {"prompt", "completion"}, {"instruction", "output"} or {"text"}',
        "warn: all 2 examples were truncated to 64 tokens, so no end of a text or answer is learned. Raise --max-length, as far as the model has positions: the longest has 91 tokens.",
        "warn: the only held-out example was truncated to 64 tokens, so no end of a text or answer is evaluated. Raise --max-length, as far as the model has positions: the longest has 71 tokens.",
      ],
    );
  });

  test("files of a folder that are not read", async () => {
    const data = `${folder}/partly`;
    mkdirSync(data);
    for (const name of ["train", "others"]) writeTinyChats(`${data}/${name}.jsonl`, 4, 1);
    const { events } = await runTiny({ model, data, evalData: data, steps: 1, output: `${folder}/of-part` });
    const notes = events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    assert.equal(notes.length, 1);
    assert.match(notes[0]!, /are not read: others\.jsonl\./);
  });

  test("plain prompts that are joined without the model's template, and nothing where there is none", async () => {
    const notesOf = async (model: string, data: object[]): Promise<string[]> => {
      const { events } = await runTiny({ model, data, steps: 1, output: `${folder}/plain`, overwrite: true });
      return events.flatMap((event) => (event.event === "note" ? [event.message] : []));
    };
    const plain = { prompt: "a", completion: "b" };
    const messages = {
      prompt: [{ role: "user", content: "a" }],
      completion: [{ role: "assistant", content: "b" }],
    };
    const [note, ...others] = await notesOf(model, [plain, messages, plain, { text: "c" }]);
    assert.match(note ?? "", /^2 rows have a plain prompt and completion: .* write messages /);
    assert.deepEqual(others, []);
    assert.deepEqual(await notesOf(model, [messages, { text: "c", prompt: "a" }]), []);
    const bare = await writeTinyModel(`${folder}/without-template`);
    const settings = `${bare}/tokenizer_config.json`;
    const { chat_template: _, ...config } = readJson(settings);
    writeFileSync(settings, JSON.stringify(config));
    assert.deepEqual(await notesOf(bare, [plain]), []);
  });
});
