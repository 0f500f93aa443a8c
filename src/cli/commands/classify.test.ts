/** @file `graft classify`: texts are told what `graft eval` counts, by the flags and rows that there may be, and what is refused. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { writeModel } from "../../format/by-path.ts";
import { runMain } from "../../../test/process/run-main.ts";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { temporaryFolder, tinyModelParts, writeTinyModel } from "../../../test/tiny/model.ts";
import { writeTinyRows } from "../../../test/tiny/rows.ts";
import { jsonLines } from "../../../test/files/read-json.ts";

const folder = temporaryFolder();

const writeHead = (name: string, config: object): Promise<string> =>
  writeTinyModel(join(folder, name), { modelType: "bert", config: { ...config } });
const TWO = { 0: "bad", 1: "good" };
const MODELS = {
  classes: await writeHead("classes", { id2label: TWO }),
  labels: await writeHead("labels", { id2label: TWO, problem_type: "multi_label_classification" }),
  numbers: await writeHead("numbers", { id2label: { 0: "LABEL_0" }, problem_type: "regression" }),
};

type Line = Readonly<Record<string, unknown>>;

/** Runs a command; its status, all events, and what it says to people. */
async function graft(...words: string[]) {
  const { status, stdout, stderr } = await runMain([...words, "--threads", "1", "--json"], {
    GRAFT_HOME: folder,
  });
  const events = jsonLines<Line>(stdout);
  return { status, events, last: events.at(-1)!, stderr };
}

const readRows = (path: string): Line[] => jsonLines(readFileSync(path, "utf8"));

/** Classifies a file; the rows that were written. */
async function classify(model: string, data: string, ...words: string[]): Promise<Line[]> {
  const output = join(folder, "out.jsonl");
  const { status, last } = await graft(
    "classify",
    "--model",
    model,
    "--data",
    data,
    "--output",
    output,
    ...words,
  );
  assert.equal(status, 0, JSON.stringify(last));
  return readRows(output);
}

/** What `graft eval` counts, from what was told. */
const COUNTED: Readonly<Record<keyof typeof MODELS, readonly [string, (rows: readonly Line[]) => number]>> = {
  classes: ["accuracy", (rows) => mean(rows.map(({ label, predicted }) => Number(label === predicted)))],
  labels: ["micro_f1", microF1],
  numbers: [
    "mse",
    (rows) => mean(rows.map(({ label, predicted }) => (Number(label) - Number(predicted)) ** 2)),
  ],
};

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

function microF1(rows: readonly Line[]): number {
  const lists = rows.map(({ label, predicted }) => [label as string[], predicted as string[]] as const);
  const count = (of: (label: string[], predicted: string[]) => number): number =>
    lists.reduce((sum, [label, predicted]) => sum + of(label, predicted), 0);
  const right = count((label, predicted) => predicted.filter((name) => label.includes(name)).length);
  return (2 * right) / count((label, predicted) => label.length + predicted.length);
}

test("a text of which the tokenizer has no token is refused, where nothing stands around it", async () => {
  const config = {
    architectures: ["LlamaForSequenceClassification"],
    id2label: TWO,
    tie_word_embeddings: false,
  };
  const files = byteTokenizerFiles();
  const settings = files.tokenizer["model"] as { vocab: Record<string, number> };
  const { ē: _, ...vocab } = settings.vocab; // U+0013
  const { config: whole, tensors } = tinyModelParts({ modelType: "llama", config });
  const model = join(folder, "lacks-characters");
  const tokenizerFiles = { ...files, tokenizer: { ...files.tokenizer, model: { ...settings, vocab } } };
  await writeModel(model, { config: whole, generationConfig: null, tokenizerFiles, tensors });
  const { status, last } = await graft("classify", "--model", model, "--text", "\u0013");
  assert.equal(status, 2);
  assert.equal(last["message"], 'Cannot use example "--text row 1": it has no tokens, expected at least one');
});

for (const kind of ["classes", "labels", "numbers"] as const) {
  test(`${kind}: what is told of each text is what an evaluation counts`, async () => {
    const data = writeTinyRows(join(folder, `${kind}.jsonl`), kind, 70);
    const rows = await classify(MODELS[kind], data);
    assert.deepEqual(
      rows.map(({ text, label }) => ({ text, label })),
      readRows(data),
    );
    const [key, counted] = COUNTED[kind];
    const { last } = await graft("eval", "--model", MODELS[kind], "--data", data);
    assert.ok(Math.abs(Number(last[key]) - counted(rows)) < 1e-6, `${key} ${String(last[key])}`);
  });
}

test("a text alone is told with the probability of its class, and a pair as the row of a file", async () => {
  const words = ["classify", "--model", MODELS.classes, "--text", "ka lo mi"];
  const { events } = await graft(...words, "--text-pair", "so nu");
  const { predicted, scores } = events[0] as { predicted: string; scores: Record<string, number> };
  assert.deepEqual(Object.keys(scores), ["bad", "good"]);
  assert.ok(Math.abs(scores["bad"]! + scores["good"]! - 1) < 1e-6);
  assert.equal(scores[predicted], Math.max(...Object.values(scores)));
  const data = join(folder, "pair.jsonl");
  writeFileSync(data, JSON.stringify({ first: "ka lo mi", second: "so nu", id: 7 }));
  const [row] = await classify(MODELS.classes, data, "--columns", "text=first,text_pair=second");
  assert.deepEqual(row, { id: 7, text: "ka lo mi", text_pair: "so nu", predicted, scores });
  const alone = (await graft(...words)).events[0] as { scores: Record<string, number> };
  assert.notEqual(alone.scores["bad"], scores["bad"]);
  const { stdout } = await runMain([...words, "--threads", "1"], { GRAFT_HOME: folder });
  assert.match(stdout, /^(bad|good) 0\.\d{3}\n$/);
});

test("lines of plain text are texts, and long ones are cut as an evaluation cuts them", async () => {
  const [long, short] = ["ka lo mi ka lo mi ka lo mi", "ka lo"];
  const lines = join(folder, "lines.txt");
  writeFileSync(lines, `${long}\n\n${short}\n`);
  const found = await classify(MODELS.numbers, lines, "--max-length", "12");
  const { events, stderr } = await graft(
    "classify",
    "--model",
    MODELS.numbers,
    "--data",
    lines,
    "--max-length",
    "12",
  );
  assert.match(stderr, /1 text truncated to 12 tokens/);
  assert.deepEqual(
    events.filter(({ event }) => event === "text").map(({ line, predicted }) => [line, predicted]),
    [
      [1, found[0]!["predicted"]],
      [3, found[1]!["predicted"]],
    ],
  );
  const data = join(folder, "cut.jsonl");
  writeFileSync(data, JSON.stringify({ text: long, label: 0 }));
  const { last } = await graft("eval", "--model", MODELS.numbers, "--data", data, "--max-length", "12");
  assert.ok(Math.abs(Number(last["mse"]) - Number(found[0]!["predicted"]) ** 2) < 1e-6);
});

describe("what is refused", () => {
  const data = writeTinyRows(join(folder, "some.jsonl"), "classes", 2);
  const model = ["--model", MODELS.classes];
  const CASES: Readonly<Record<string, readonly [words: readonly string[], message: RegExp]>> = {
    "no text": [model, /neither --text nor --data is given, expected one of them/],
    "a text and a file": [[...model, "--text", "ka", "--data", data], /--text and --data are both given/],
    "a second text of a file": [[...model, "--data", data, "--text-pair", "ka"], /--text-pair is given/],
    "an output of one text": [
      [...model, "--text", "ka", "--output", join(folder, "no.jsonl")],
      /--output is given/,
    ],
  };
  for (const [name, [words, message]] of Object.entries(CASES)) {
    test(name, async () => {
      const { status, last } = await graft("classify", ...words);
      assert.deepEqual([status, last["code"]], [2, "usage/flag"]);
      assert.match(String(last["message"]), message);
    });
  }

  test("a model that tells no classes", async () => {
    const { last } = await graft(
      "classify",
      "--model",
      await writeTinyModel(join(folder, "llama")),
      "--text",
      "ka",
    );
    assert.equal(last["code"], "usage/model");
    assert.match(String(last["message"]), /it is for causal-lm .*, expected a model with classes/);
  });

  test("outputs that are no numbers", async () => {
    const path = join(folder, "overflowing");
    const { config, tensors } = tinyModelParts({ modelType: "bert", config: { id2label: TWO } });
    tensors.get("classifier.weight")!.data.forEach((_, i, data) => (data[i] = i % 2 === 0 ? 3e38 : -3e38));
    await writeModel(path, { config, generationConfig: null, tokenizerFiles: byteTokenizerFiles(), tensors });
    const { status, last } = await graft("classify", "--model", path, "--text", "ka");
    assert.deepEqual([status, last["code"]], [1, "engine/nan"]);
    assert.match(String(last["message"]), /Cannot classify: the model's output is NaN or infinite/);
  });

  test("rows that are no texts, all at once, with nothing written", async () => {
    const rows = join(folder, "faulty.jsonl");
    writeFileSync(rows, `{"text": "ka"}\n{"text": 3}\n{"txt": "lo"}\n`);
    const output = join(folder, "none.jsonl");
    const { last } = await graft("classify", ...model, "--data", rows, "--output", output);
    assert.equal(last["code"], "usage/data");
    assert.match(String(last["message"]), /Cannot use texts .*faulty\.jsonl":[^]*:2[^]*:3/);
    assert.equal(existsSync(output), false);
  });
});
