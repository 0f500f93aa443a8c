/** Tests of the commands that run a model: generate, chat, eval and data show, on a tiny random one. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { writeModel } from "../../format/by-path.ts";
import { writeTinyAdapter } from "../../../test/tiny/adapter.ts";
import { temporaryFolder, tinyModelParts, writeTinyModel } from "../../../test/tiny/model.ts";
import { type Said, runMain } from "../../../test/process/run-main.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const MAIN = fileURLToPath(new URL("../../../bin/graft.js", import.meta.url));
const folder = temporaryFolder();
const model = await writeTinyModel(join(folder, "model"));
const MADE = { options: { rank: 2 }, deviation: 0.5, chatTemplateHash: "0".repeat(64) };
const adapter = await writeTinyAdapter(model, join(folder, "adapter"), "lora", 3, MADE);

function writeData(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const run = (
  words: readonly string[],
  { color, signal }: { color?: boolean; signal?: AbortSignal } = {},
): Promise<Said> => runMain(words, { GRAFT_HOME: folder }, { hasColor: color, signal });

/** Runs the program as a process that reads `input`. */
async function runProcess(words: readonly string[], input: string): Promise<Said> {
  const child = spawn(process.execPath, [MAIN, ...words], { env: { ...process.env, GRAFT_HOME: folder } });
  child.stdin.end(input);
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { status: status as number, stdout, stderr };
}

type Json = Record<string, unknown>;

test("generate --json-schema writes what satisfies a schema, and says what it cannot hold", async () => {
  const write = (name: string, schema: object): string => writeData(name, JSON.stringify(schema));
  const lamp = write("lamp.json", {
    type: "object",
    properties: { lamp: { enum: [1, 2] } },
    required: ["lamp"],
  });
  const odd = write("odd.json", { type: "array", uniqueItems: true });
  const words = ["generate", "--model", model, "--prompt", "hello", "--temperature", "1", "--json-schema"];
  const { status, stdout } = await run([...words, lamp]);
  assert.equal(status, 0);
  assert.ok([1, 2].includes((JSON.parse(stdout) as { lamp: number }).lamp), stdout);
  const refused = await run([...words, odd]);
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /\/uniqueItems is of items that are not out of/);
});

test("generate --json tells ids, text, reason and speed in one object", async () => {
  const words = ["generate", "--model", model, "--prompt", "hello", "--max-new-tokens", "7", "--json"];
  const { status, stdout, stderr } = await run(words);
  assert.deepEqual([status, stderr], [0, ""]);
  const [object, ...rest] = jsonLines(stdout);
  assert.deepEqual(rest, []);
  assert.deepEqual(object?.["prompt_ids"], [...Buffer.from("hello")]);
  assert.equal((object?.["ids"] as number[] | undefined)?.length, 7);
  assert.equal(object?.["finish_reason"], "length");
  assert.ok((object?.["tokens_per_second"] as number) > 0);
  const plain = await run(words.slice(0, -1));
  assert.equal(plain.stdout, `${String(object?.["text"])}\n`);
});

test("generate --chat renders the prompt as one message of the user", async () => {
  const { stdout } = await run([
    "generate",
    "--model",
    model,
    "--prompt",
    "hi",
    "--chat",
    "--max-new-tokens",
    "1",
    "--json",
  ]);
  const ids = jsonLines(stdout)[0]?.["prompt_ids"] as number[];
  assert.deepEqual([ids[0], ids.filter((id) => id === 257).length], [256, 1]);
  assert.ok(
    Buffer.from(ids.filter((id) => id < 256))
      .toString()
      .endsWith("user\nhi\nassistant\n"),
  );
});

test("generate draws by seed, and --temperature 0 does not look at it", async () => {
  const draw = async (...words: string[]): Promise<unknown> => {
    const common = ["generate", "--model", model, "--prompt", "hello", "--max-new-tokens", "9", "--json"];
    return jsonLines((await run([...common, ...words])).stdout)[0]?.["ids"];
  };
  const hot = ["--temperature", "2", "--seed"];
  assert.deepEqual(await draw(...hot, "1"), await draw(...hot, "1"));
  assert.notDeepEqual(await draw(...hot, "1"), await draw(...hot, "2"));
  assert.deepEqual(await draw("--seed", "1"), await draw("--seed", "2"));
  assert.deepEqual(await draw(...hot, "1", "--top-k", "1"), await draw());
});

test("generate with an adapter of another chat template warns and goes on", async () => {
  const words = ["generate", "--model", model, "--prompt", "hello", "--max-new-tokens", "9", "--json"];
  const adapted = await run([...words, "--adapter", adapter]);
  assert.equal(adapted.status, 0);
  assert.match(adapted.stderr, /^warning: Adapter ".*adapter" was trained with another chat template/);
  assert.notDeepEqual(
    jsonLines(adapted.stdout)[0]?.["ids"],
    jsonLines((await run(words)).stdout)[0]?.["ids"],
  );
});

test("generate names what is wrong: no model, an adapter for another model, a prompt that is too long", async () => {
  const narrow = await writeTinyModel(join(folder, "narrow"), { config: { hidden_size: 16 } });
  const cases: [string[], number, RegExp][] = [
    [["--model", join(folder, "nowhere"), "--prompt", "x"], 1, /error\[format\/file\]/],
    [["--model", narrow, "--adapter", adapter, "--prompt", "x"], 2, /error\[usage\/adapter\]/],
    [["--model", model, "--adapter", join(folder, "none"), "--prompt", "x"], 1, /error\[format\/file\]/],
    [["--model", model, "--prompt", "x".repeat(513)], 2, /error\[usage\/length\].*513 tokens/],
    [["--model", model, "--prompt", ""], 2, /error\[usage\/flag\].*--prompt is empty/],
    [["--model", model], 2, /neither --prompt nor --prompts is given, expected one of them/],
    [["--model", model, "--prompt", "x", "--top-p", "0"], 2, /--top-p is 0/],
  ];
  for (const [words, status, message] of cases) {
    const result = await run(["generate", ...words]);
    assert.deepEqual([result.status, result.stdout], [status, ""], words.join(" "));
    assert.match(result.stderr, message);
  }
});

test("a signal ends generate with status 130", async () => {
  const signal = AbortSignal.abort();
  const { status, stdout } = await run(["generate", "--model", model, "--prompt", "x"], { signal });
  assert.deepEqual([status, stdout], [130, ""]);
});

test("generate --prompt - reads standard input", async () => {
  const words = ["generate", "--model", model, "--prompt", "-", "--max-new-tokens", "2", "--json"];
  const { stdout } = await runProcess(words, "from a pipe");
  assert.deepEqual(jsonLines(stdout)[0]?.["prompt_ids"], [...Buffer.from("from a pipe")]);
});

test("chat answers each line of a pipe, remembers, forgets at /reset and leaves at /exit", async () => {
  const words = ["chat", "--model", model, "--system", "brief", "--max-new-tokens", "4", "--json"];
  const { status, stdout, stderr } = await runProcess(words, "hi\n\nhow\n/reset\nhi\n/exit\nnever\n");
  assert.deepEqual([status, stderr], [0, ""]);
  const answers = jsonLines(stdout);
  assert.deepEqual(
    answers.map(({ event }) => event),
    ["answer", "answer", "command", "answer"],
  );
  answers.splice(2, 1);
  const [first, second, third] = answers.map((answer) => answer["prompt_ids"] as number[]);
  const textOf = (ids: number[] = []): string => Buffer.from(ids.filter((id) => id < 256)).toString();
  assert.equal(textOf(first), "system\nbrief\nuser\nhi\nassistant\n");
  assert.ok(textOf(second).endsWith("\nuser\nhow\nassistant\n"));
  assert.deepEqual(second?.slice(0, first?.length), first);
  // By whole pages of 16 tokens.
  const numFull = (first?.length ?? 0) - ((first?.length ?? 0) % 16);
  assert.ok(numFull > 0 && (answers[1]?.["reused_tokens"] as number) >= numFull);
  assert.deepEqual([third, answers[2]?.["ids"]], [first, answers[0]?.["ids"]]);
});

test("chat tells of a message that it cannot take and goes on; its status tells a script of it at the end", async () => {
  const words = ["chat", "--model", model, "--max-new-tokens", "1"];
  const { status, stderr, stdout } = await runProcess(words, `${"x".repeat(600)}\nhi\n`);
  assert.equal(status, 2);
  assert.match(stderr, /^error\[usage\/length\]: .*\nhint: .*\n$/);
  assert.equal(stdout.split("\n").length, 2);
});

test("chat goes on when the conversation is longer than the model's context, and says what it forgot", async () => {
  const words = ["chat", "--model", model, "--max-new-tokens", "1"];
  const { status, stderr, stdout } = await runProcess(words, `${"x".repeat(150)}\n`.repeat(6));
  assert.equal(status, 0);
  assert.match(stderr, /^(warning: the conversation is longer .* context: \d oldest turns? dropped\n)+$/);
  assert.ok(stdout.split("\n").length >= 7);
});

test("chat has commands: help, system, save, adapters; exit leaves", async () => {
  const saved = join(folder, "saved", "talks.jsonl");
  const cut = join(folder, "cut.jsonl");
  writeFileSync(cut, '{"text": "no line end"}');
  const input = [
    "/help",
    "/save " + saved,
    "/system brief",
    "hi",
    "/save " + saved,
    "/save " + cut,
    `/adapter ${adapter}`,
    "/adapter",
    "/reset",
    "hi",
    "/adapter off",
    "/rest",
    "/reset now",
    "/adapter nowhere",
    "/etc/hosts",
    "exit",
    "never",
  ];
  const words = ["chat", "--model", model, "--max-new-tokens", "2", "--json"];
  const { status, stdout, stderr } = await runProcess(words, input.map((line) => `${line}\n`).join(""));
  assert.equal(status, 2, stderr);
  const events = jsonLines(stdout);
  const told = events.flatMap(({ event, text: said, code }) =>
    event === "answer" ? [] : [String(code ?? said)],
  );
  for (const name of ["/help", "/system TEXT", "/reset", "/save FILE", "/adapter NAME|off"])
    assert.ok(told[0]?.includes(name), name);
  assert.deepEqual(told.slice(1), [
    "usage/flag",
    "System message set.",
    `Added 3 messages to ${saved}.`,
    `Added 3 messages to ${cut}.`,
    "Now answering: adapter adapter.",
    "Adapters: adapter (active)",
    "The conversation is cleared.",
    "Now answering: the bare model.",
    "usage/flag",
    "usage/flag",
    "format/file",
  ]);
  assert.match(stderr, /Cannot run "\/rest": there is no such command\nhint: Did you mean \/reset\?/);
  const answers = events.filter(({ event }) => event === "answer");
  assert.equal(answers.length, 3);
  const [row] = readFileSync(saved, "utf8").trimEnd().split("\n");
  assert.equal(readFileSync(cut, "utf8"), `{"text": "no line end"}\n${row}\n`);
  const { messages } = JSON.parse(row ?? "") as { messages: { role: string; content: string }[] };
  assert.deepEqual(
    messages.map(({ role, content }) => (role === "assistant" ? role : content)),
    ["brief", "hi", "assistant"],
  );
  // The adapter changes what is answered.
  assert.deepEqual(answers[0]?.["prompt_ids"], answers[1]?.["prompt_ids"]);
  assert.notDeepEqual(answers[0]?.["ids"], answers[1]?.["ids"]);
});

test("eval gives loss, perplexity and tokens of windows without overlap", async () => {
  const data = writeData("eval.txt", "abcdefghij".repeat(5));
  const words = ["eval", "--model", model, "--data", data, "--max-length", "16", "--json"];
  const { status, stdout } = await run(words);
  assert.equal(status, 0);
  const [object, ...rest] = jsonLines(stdout);
  assert.deepEqual(rest, []);
  const { loss, perplexity, tokens } = object as { loss: number; perplexity: number; tokens: number };
  // 16, 16, 16 and 2 tokens; the first of each is not predicted.
  assert.equal(tokens, 15 * 3 + 1);
  assert.ok(loss > 1 && Math.abs(perplexity - Math.exp(loss)) < 1e-9 * perplexity);
  const adapted = jsonLines((await run([...words, "--adapter", adapter])).stdout)[0];
  assert.notEqual(adapted?.["loss"], loss);
  assert.match(
    (await run(words.slice(0, -1))).stdout,
    /^loss \d+\.\d{4}, perplexity \d+\.\d{3} over 46 tokens\n$/,
  );
});

test("eval of conversations counts the answers alone, and says what it cut", async () => {
  const row = {
    messages: [
      { role: "user", content: "hi" },
      { role: "assistant", content: "abc" },
    ],
  };
  const data = writeData("eval.jsonl", `${JSON.stringify(row)}\n`);
  const words = ["eval", "--model", model, "--data", data, "--json"];
  assert.equal(jsonLines((await run(words)).stdout)[0]?.["tokens"], 4);
  const cut = await run([...words, "--max-length", "23"]);
  assert.match(cut.stderr, /^warning: the only example was truncated to 23 tokens.* Raise --max-length/);
  assert.equal(jsonLines(cut.stdout)[0]?.["tokens"], 2);
});

test("eval refuses a window longer than the model's positions, and data that are not there", async () => {
  const data = writeData("one.txt", "abc");
  const long = await run(["eval", "--model", model, "--data", data, "--max-length", "513"]);
  assert.equal(long.status, 2);
  assert.match(long.stderr, /513 tokens: the model has 512 positions/);
  const none = await run(["eval", "--model", model, "--data", join(folder, "none.txt")]);
  assert.deepEqual([none.status, none.stdout], [1, ""]);
  assert.match(none.stderr, /error\[format\/file\]/);
});

const CHATS = writeData(
  "chats.jsonl",
  ["abc", "abcdefgh"]
    .map((content) => ({
      messages: [
        { role: "user", content: "hi" },
        { role: "assistant", content },
      ],
    }))
    .map((row) => `${JSON.stringify(row)}\n`)
    .join(""),
);

test("data show marks trained and cut text with brackets, and counts", async () => {
  const { status, stdout } = await run(["data", "show", CHATS, "--model", model, "--max-length", "27"]);
  assert.equal(status, 0);
  const head = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
  assert.equal(
    stdout,
    [
      `${CHATS}:1  26 tokens, 4 trained`,
      `${head}[+abc<|im_end|>+]`,
      "",
      `${CHATS}:2  31 tokens, 6 trained, 4 cut`,
      `${head}[+abcdef+][-gh<|im_end|>\n-]`,
      "",
      "2 examples, 53 tokens, 10 trained (19 %)",
      "Lengths 26 to 27, median 26.5, mean 26.5",
      "Limit of 27 tokens: 1 truncated (4 tokens lost).",
      "",
    ].join("\n"),
  );
});

test("data show and eval refuse a choice of turns for rows that are learned as they are", async () => {
  const classifier = await writeTinyModel(join(folder, "classifier"), { modelType: "bert" });
  for (const words of [
    ["data", "show", CHATS, "--model", model, "--objective", "dpo", "--train-on", "all"],
    ["eval", "--data", CHATS, "--model", classifier, "--train-on", "all"],
  ]) {
    const { status, stderr } = await run(words);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /Cannot use --train-on all with objective/);
  }
});

test("data show refuses a model that reads images as that", async () => {
  const images = await writeTinyModel(join(folder, "images"), { modelType: "vit" });
  const { status, stderr } = await run(["data", "show", CHATS, "--model", images]);
  assert.equal(status, 2);
  assert.match(stderr, /it reads images, expected text/);
});

test("data show tells trained and masked text apart by colour on a terminal", async () => {
  const { stdout } = await run(["data", "show", CHATS, "--model", model], { color: true });
  assert.ok(stdout.includes("\u001B[32mabc<|im_end|>\u001B[39m"), stdout);
  assert.ok(stdout.includes("\u001B[2m<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n\u001B[22m"));
  assert.doesNotMatch(stdout, /\[\+/);
  assert.match(stdout, /Nothing is truncated at 512 tokens/);
});

test("data show --json gives one object an example and a summary, and counts what is left out", async () => {
  const words = ["data", "show", CHATS, "--model", model, "--max-length", "22", "--limit", "1", "--json"];
  const [example, summary, ...rest] = jsonLines((await run(words)).stdout);
  assert.deepEqual(rest, []);
  assert.deepEqual(
    [example?.["line"], example?.["tokens"], example?.["trained_tokens"], example?.["cut_tokens"]],
    [1, 26, 1, 4],
  );
  assert.deepEqual((example?.["pieces"] as unknown[] | undefined)?.at(-1), { text: "a", trained: true });
  assert.equal(example?.["cut_text"], "bc<|im_end|>\n");
  assert.deepEqual(
    [summary?.["event"], summary?.["examples"], summary?.["cut_examples"], summary?.["cut_tokens"]],
    ["summary", 2, 2, 13],
  );
  const none = jsonLines((await run(words.with(6, "20"))).stdout);
  assert.deepEqual(
    [none[0]?.["dropped"], none[1]?.["examples"], none[1]?.["dropped_examples"]],
    [true, 0, 2],
  );
});

test("data show --objective shows both sides of a pair, and what their prompt loses", async () => {
  const data = writeData(
    "pairs.jsonl",
    ["abcdef", "x"].map((prompt) => `${JSON.stringify({ prompt, chosen: "gh", rejected: "i" })}\n`).join(""),
  );
  const words = ["data", "show", data, "--model", model, "--objective", "dpo", "--max-length", "6"];
  const { status, stdout } = await run(words);
  assert.equal(status, 0);
  assert.equal(
    stdout,
    [
      `${data}:1  chosen, 9 tokens, 3 trained, 3 cut`,
      "[-abc-]def[+gh<|im_end|>+]",
      "",
      `${data}:1  rejected, 8 tokens, 2 trained, 3 cut`,
      "[-abc-]def[+i<|im_end|>+]",
      "",
      `${data}:2  chosen, 4 tokens, 3 trained`,
      "x[+gh<|im_end|>+]",
      "",
      `${data}:2  rejected, 3 tokens, 2 trained`,
      "x[+i<|im_end|>+]",
      "",
      "2 examples, 18 tokens, 10 trained (56 %)",
      "Lengths 3 to 6, median 4.5, mean 4.5",
      "Limit of 6 tokens: 1 truncated (6 tokens lost).",
      "",
    ].join("\n"),
  );
  const [first] = jsonLines((await run([...words, "--json"])).stdout);
  assert.deepEqual(
    [first?.["role"], first?.["line"], first?.["cut_tokens"], first?.["cut_text"]],
    ["chosen", 1, 3, "abc"],
  );
  const other = await run(["data", "show", data, "--model", model]);
  assert.equal(other.status, 2);
  assert.match(other.stderr, /keys "prompt", "chosen", "rejected", expected {"messages"}/);
});

test("data show takes a text in windows, and a folder by its training file", async () => {
  const path = join(folder, "texts");
  mkdirSync(path);
  writeFileSync(join(path, "train.txt"), "abcdefghij");
  const shown = async (data: string): Promise<Json[]> =>
    jsonLines((await run(["data", "show", data, "--model", model, "--max-length", "4", "--json"])).stdout);
  const events = await shown(path);
  assert.deepEqual(
    events.map(({ event, tokens }) => [event, tokens]),
    [
      ["example", 4],
      ["example", 4],
      ["example", 2],
      ["summary", 10],
    ],
  );
  assert.deepEqual(events, await shown(join(path, "train.txt")));
});

test("data show names the line of a faulty row", async () => {
  const data = writeData("bad.jsonl", '{"text":"a"}\n{"text":\n');
  const { status, stderr, stdout } = await run(["data", "show", data, "--model", model]);
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(stderr, /bad\.jsonl:2/);
});

test("weights that are no numbers are told with their tensor and how many there are", async () => {
  const parts = tinyModelParts();
  parts.tensors.get("model.layers.1.mlp.up_proj.weight")!.data.fill(NaN, 0, 3);
  const path = await writeTinyModel(join(folder, "nan-model"));
  const tokenizerFiles = { tokenizer: {}, config: {}, chatTemplate: null };
  await writeModel(join(folder, "nan-weights"), { ...parts, generationConfig: null, tokenizerFiles });
  copyFileSync(join(folder, "nan-weights", "model.safetensors"), join(path, "model.safetensors"));
  const broken = await writeTinyAdapter(model, join(folder, "nan-adapter"), "lora", 3, MADE);
  const weights = join(broken, "adapter_model.safetensors");
  const bytes = readFileSync(weights);
  new DataView(bytes.buffer, bytes.byteOffset).setFloat32(bytes.length - 4, Infinity, true);
  writeFileSync(weights, bytes);
  const data = writeData("nan.txt", "a few words");
  for (const words of [
    ["generate", "--prompt", "x"],
    ["eval", "--data", data],
  ]) {
    const { stderr } = await run([...words, "--model", path, "--adapter", broken]);
    assert.match(
      stderr,
      /warning: Tensor "model\.layers\.1\.mlp\.up_proj\.weight" of ".*" contains 3 values that are NaN/,
    );
    assert.match(
      stderr,
      /warning: Tensor "base_model\..*" of ".*nan-adapter" contains 1 values that are NaN/,
    );
    // And one for the adapter's other chat template.
    assert.equal(stderr.split("warning").length, 4);
    assert.doesNotMatch((await run([...words, "--model", model])).stderr, /warning/);
  }
});
