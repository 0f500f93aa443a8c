/** @file `graft generate --prompts`: the texts of many prompts are those of each alone, in order, and faults are told at once. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { main } from "../main.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"));
const [one, other] = [await writeAdapter("one", 1), await writeAdapter("other", 2)];

function writeAdapter(name: string, seed: number): Promise<string> {
  return writeTinyAdapter(model, join(folder, name), "lora", seed, {
    options: { rank: 1 + seed },
    deviation: 0.5,
  });
}

function writePrompts(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const generate = (...words: string[]): Promise<Said> =>
  runMain(["generate", "--model", model, "--max-new-tokens", "6", "--threads", "1", ...words], {
    GRAFT_HOME: folder,
  });

function rowsOf(path: string): Record<string, unknown>[] {
  return jsonLines(readFileSync(path, "utf8"));
}

describe("generate --prompts", () => {
  test("lines of text give the text of each alone, in their order", async () => {
    const prompts = ["first words", "x", "some other words that are longer"];
    const path = writePrompts("lines.txt", `${prompts.join("\n\n")}\n`);
    const { status, stdout } = await generate("--prompts", path, "--json");
    assert.equal(status, 0);
    const events = jsonLines(stdout);
    assert.deepEqual(
      events.map(({ event, line }) => [event, line ?? null]),
      [
        ["text", 1],
        ["text", 3],
        ["text", 5],
        ["done", null],
      ],
    );
    for (const [i, prompt] of prompts.entries()) {
      const alone = JSON.parse((await generate("--prompt", prompt, "--json")).stdout) as Record<
        string,
        unknown
      >;
      assert.deepEqual(events[i]?.["ids"], alone["ids"]);
    }
  });

  test("an empty cell of a table is no name: the base alone writes", async () => {
    const path = writePrompts("rows.csv", "prompt,adapter\nhello,\nhello,one\n");
    const { status, stdout, stderr } = await generate("--prompts", path, "--adapter", one, "--json");
    assert.equal(status, 0, stderr);
    const [base, adapted] = jsonLines(stdout);
    const alone = JSON.parse((await generate("--prompt", "hello", "--json")).stdout) as { ids: number[] };
    assert.deepEqual([base?.["adapter"], adapted?.["adapter"]], [null, "one"]);
    assert.deepEqual(base?.["ids"], alone.ids);
    assert.notDeepEqual(adapted?.["ids"], alone.ids);
  });

  test("rows name their adapters, and the file of texts has a row for each", async () => {
    const rows = [
      { prompt: "hello", adapter: "one" },
      { prompt: "hello", model: "second" },
      { prompt: "hello", id: "q-3", tags: ["a"], text: "not this" },
      { messages: [{ role: "user", content: "hello" }], adapter: "one", id: 4 },
    ];
    const path = writePrompts("rows.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
    const output = join(folder, "texts", "out.jsonl");
    const adapters = ["--adapter", one, "--adapter", `second=${other}`];
    const { status, stdout } = await generate("--prompts", path, "--output", output, ...adapters);
    assert.deepEqual([status, stdout], [0, `4 texts in ${output}\n`]);
    const written = rowsOf(output);
    const alone = async (...words: string[]): Promise<string> =>
      (JSON.parse((await generate(...words, "--json")).stdout) as { text: string }).text;
    assert.deepEqual(
      written.map(({ text }) => text),
      [
        await alone("--prompt", "hello", "--adapter", one),
        await alone("--prompt", "hello", "--adapter", other),
        await alone("--prompt", "hello"),
        await alone("--prompt", "hello", "--chat", "--adapter", one),
      ],
    );
    assert.deepEqual(
      written.map(({ adapter = null, completion_tokens: count, id, tags }) => [adapter, count, id, tags]),
      [
        ["one", 6, undefined, undefined],
        ["second", 6, undefined, undefined],
        [null, 6, "q-3", ["a"]],
        ["one", 6, 4, undefined],
      ],
    );
  });

  test("all rows that cannot be used are told with their lines, and nothing is written", async () => {
    const path = writePrompts(
      "bad.jsonl",
      [
        '{"prompt": "fine"}',
        '{"prompt": 3}',
        "{",
        '{"text": "x"}',
        '{"prompt": "x", "adapter": "onee"}',
        JSON.stringify({ prompt: "long ".repeat(200) }),
      ].join("\n"),
    );
    const output = join(folder, "none.jsonl");
    const { status, stderr } = await generate("--prompts", path, "--output", output, "--adapter", one);
    assert.notEqual(status, 0);
    for (const line of [2, 3, 4, 5, 6]) assert.match(stderr, new RegExp(`bad\\.jsonl:${line}\\b`));
    assert.match(stderr, /"onee"/);
    assert.equal(existsSync(output), false);
  });

  test("a folder of prompts is refused, and not asked for", async () => {
    for (const [given, found, hint] of [
      [folder, "it is a folder", "Give one of the files in it."],
      [join(folder, "none.jsonl"), "no such file", "Check the path."],
    ] as const) {
      const { stderr } = await generate("--prompts", given);
      assert.match(stderr, new RegExp(`${found}, expected a file \\([^)]*\\)\nhint: ${hint}`));
    }
  });

  test("ids of 64 bits come back as they were written", async () => {
    const path = writePrompts(
      "ids.jsonl",
      '{"prompt": "x", "id": 9007199254740993, "of": [{"it": -12345678901234567890}]}\n',
    );
    const output = join(folder, "ids-out.jsonl");
    const { status, stdout, stderr } = await generate("--prompts", path, "--output", output);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, `1 text in ${output}\n`);
    assert.match(
      readFileSync(output, "utf8"),
      /^\{"id":9007199254740993,"of":\[\{"it":-12345678901234567890\}\],/,
    );
  });

  test("an output that cannot be a file is refused before anything is written, and nothing is left behind", async () => {
    const path = writePrompts("few.txt", "x\n");
    const before = readdirSync(folder);
    for (const [output, message] of [
      [folder, /it is a folder, expected a file/],
      [path, /it is what is read, expected another file/],
      ["/dev/null", /not a file but a device/],
      [`${path}/texts.jsonl`, /Cannot write file/],
    ] as const) {
      const { status, stderr } = await generate("--prompts", path, "--output", output);
      assert.notEqual(status, 0);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /writing/);
    }
    assert.deepEqual(readdirSync(folder), before);
  });

  test("a signal while texts are written is told, and leaves no file", async () => {
    const path = writePrompts("many.txt", "some words\n".repeat(200));
    const output = join(folder, "stopped.jsonl");
    const controller = new AbortController();
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    let told = "";
    stderr.on("data", (bytes) => {
      told += String(bytes);
      if (told.includes("writing")) controller.abort();
    });
    const words = ["generate", "--model", model, "--threads", "1", "--json"];
    // Each look at the clock is ten seconds later, so that every text is told.
    let timeMs = 0;
    const now = (): number => (timeMs += 10_000);
    const terminal = { env: { GRAFT_HOME: folder }, interactive: false, hasColor: false, now };
    const io = { ...terminal, stdout, stderr, signal: controller.signal };
    const status = await main([...words, "--prompts", path, "--output", output], io);
    stdout.end();
    assert.equal(status, 130);
    assert.match(told, /^stopped$/m);
    assert.match(await text(stdout), /^\{"event":"error","code":"stopped",.*\}\n$/);
    assert.equal(existsSync(output), false);
  });

  test("flags that do not go together are refused", async () => {
    const path = writePrompts("some.txt", "x\n");
    for (const [words, message] of [
      [[], /neither --prompt nor --prompts is given/],
      [["--prompt", "x", "--prompts", path], /--prompt and --prompts are both given/],
      [["--prompt", "x", "--output", path], /--output is given/],
      [["--prompt", "x", "--adapter", one, "--adapter", other], /several adapters/],
      [["--prompt", "x", "--adapter", "q="], /Cannot read --adapter: "q=", expected NAME=FOLDER/],
      [["--prompts", path, "--adapter", one, "--adapter", `one=${other}`], /two are named "one"/],
    ] as const) {
      const { status, stderr } = await generate(...words);
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
    }
  });
});
