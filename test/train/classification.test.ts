/** @file Texts with classes, on every family that names classes: graft train, then graft eval. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { FAMILIES } from "../../src/models/families.ts";
import { Random } from "../../src/random.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { lossesOf, runTiny } from "./tiny-run.ts";
import { runMain } from "../process/run-main.ts";
import { jsonLines, readJson } from "../files/read-json.ts";

const folder = temporaryFolder();
const NAMES = ["bad", "good", "neither"];
const WORDS = ["zz", "ee", "oo"];

/** Writes texts of a few words of which one tells the class, by its name or its number; returns the path. */
function writeTexts(name: string, numRows: number, seed: number): string {
  const random = new Random(seed);
  const rows = Array.from({ length: numRows }, (_, i) => {
    const label = i % NAMES.length;
    const words = Array.from({ length: 1 + random.integer(3) }, () => WORDS[label]!);
    return { text: ["a", ...words].join(" "), label: i % 2 === 0 ? label : NAMES[label] };
  });
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

const data = writeTexts("train.jsonl", 48, 1);
const evalData = writeTexts("held-out.jsonl", 30, 2);

/** Changes of the tiny configurations. */
const CONFIGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  bert: {},
  roberta: {},
  llama: {
    architectures: ["LlamaForSequenceClassification"],
    id2label: TINY_CONFIGS["bert"]?.["id2label"],
    pad_token_id: 0,
    tie_word_embeddings: false,
  },
};

/** Runs graft in this process; the events and the status. */
async function graft(
  ...words: string[]
): Promise<{ events: Record<string, unknown>[]; event: Record<string, unknown>; status: number }> {
  const { status, stdout } = await runMain([...words, "--json"], { GRAFT_HOME: folder });
  const events = jsonLines(stdout);
  return { events, event: events.at(-1) ?? {}, status };
}

/** Runs `graft eval`, on the held-out texts unless told otherwise. */
const evaluate = (...words: string[]): ReturnType<typeof graft> =>
  graft("eval", "--data", evalData, "--max-length", "32", "--threads", "1", ...words);

describe("classes of texts", () => {
  for (const [modelType, config] of Object.entries(CONFIGS)) {
    test(`${modelType}: graft train learns them, graft eval tells loss and accuracy`, async () => {
      assert.ok(FAMILIES.some((family) => family.modelType === modelType));
      const model = await writeTinyModel(join(folder, modelType), { modelType, config });
      const output = join(folder, `${modelType}-adapter`);
      const { events, result } = await runTiny({
        model,
        data,
        evalData,
        output,
        batchSize: 8,
        maxLength: 32,
        rank: 8,
        steps: 60,
        learningRate: 0.02,
      });
      const losses = lossesOf(events);
      assert.ok(losses.at(-1)! < 0.5 * losses[0]!, `loss ${losses[0]} to ${losses.at(-1)}`);
      const { event: before } = await evaluate("--model", model);
      const { event: after } = await evaluate("--model", model, "--adapter", output);
      assert.deepEqual(Object.keys(after), ["event", "loss", "accuracy", "macro_f1", "texts"]);
      assert.ok(Math.abs(Number(after["loss"]) - result.evaluation!.loss) < 1e-5);
      assert.equal(after["texts"], 30);
      const [low, high] = [Number(before["accuracy"]), Number(after["accuracy"])];
      assert.ok(low < 0.8 && high >= 0.9, `accuracy ${low} to ${high}`);
    });
  }

  test("a run of an encoder that ends early keeps its best head and adapter, and tells what they are worth", async () => {
    const model = await writeTinyModel(join(folder, "early"), { modelType: "bert" });
    const output = join(folder, "early-adapter");
    const { events, result } = await runTiny({
      model,
      data,
      evalData,
      output,
      evalEvery: 1,
      earlyStopping: 3,
      evalMetric: "accuracy",
      maxLength: 32,
      rank: 8,
      steps: 60,
      learningRate: 0.05,
    });
    const told = events.flatMap((event) => (event.event === "eval" ? [event] : []));
    const values = told.map((event) => (event as { readonly accuracy?: number }).accuracy ?? Number.NaN);
    const best = values.indexOf(Math.max(...values));
    assert.ok(result.steps < 60, `${result.steps} steps`);
    assert.deepEqual([result.result_step, result.steps], [best, best + 3], values.join());
    const { event } = await evaluate("--model", model, "--adapter", output);
    assert.equal(event["accuracy"], values[best]);
    assert.ok(Math.abs(Number(event["loss"]) - told[best]!.loss) < 1e-5, String(event["loss"]));
  });

  test("graft data show tells the class of each text, without being asked for classes", async () => {
    const { events, status } = await graft(
      "data",
      "show",
      evalData,
      "--model",
      join(folder, "bert"),
      "--limit",
      "3",
    );
    assert.equal(status, 0);
    assert.deepEqual(
      events.flatMap((event) => (event["event"] === "example" ? [event["class"]] : [])),
      NAMES,
    );
  });

  test("an adapter whose configuration names the heads of other models too, as PEFT writes it, is read", async () => {
    const path = join(folder, "roberta-adapter", "adapter_config.json");
    const config = readJson(path);
    assert.deepEqual([config["task_type"], config["modules_to_save"]], ["SEQ_CLS", ["classifier"]]);
    const words = ["--model", join(folder, "roberta"), "--adapter", join(folder, "roberta-adapter")];
    const { event: before } = await evaluate(...words);
    for (const other of ["score", "scores"]) {
      writeFileSync(path, JSON.stringify({ ...config, modules_to_save: ["classifier", other] }));
      assert.deepEqual((await evaluate(...words)).event, before);
    }
  });

  test("a class that the model does not have is refused with the line", async () => {
    const model = join(folder, "bert");
    const other = join(folder, "other.jsonl");
    writeFileSync(other, '{"text": "a", "label": "good"}\n{"text": "a", "label": "fine"}\n');
    const { event, status } = await graft("eval", "--model", model, "--data", other, "--threads", "1");
    assert.deepEqual([status, event["code"]], [2, "usage/data"]);
    assert.match(String(event["message"]), /other\.jsonl.*2.*no such class/);
  });
});
