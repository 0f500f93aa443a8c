/** @file Heads that tell a number, or several classes: made for bases, trained, saved, read, merged, and what is refused. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { readAdapterFolder, writeAdapterFolder } from "../../src/format/by-path.ts";
import { jsonLines, readJson } from "../files/read-json.ts";
import { runMain } from "../process/run-main.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { runTiny } from "./tiny-run.ts";

const folder = temporaryFolder();
const BASE = await writeTinyModel(`${folder}/base`);
const DATA = {
  regression: writeTinyRows(`${folder}/numbers.jsonl`, "numbers", 40),
  "multi-label-classification": writeTinyRows(`${folder}/labels.jsonl`, "labels", 40),
};
/** A classifier whose configuration does not say whether one class is right or each may be. */
const SILENT = await writeTinyModel(`${folder}/silent`, {
  modelType: "bert",
  config: { id2label: { 0: "bad", 1: "good" } },
});
const SCORER = await writeTinyModel(`${folder}/scorer`, {
  modelType: "bert",
  config: { id2label: { 0: "LABEL_0" } },
});

/** Runs graft in this process; the last event and the status. */
async function graft(...words: string[]): Promise<Record<string, unknown>> {
  const { status, stdout } = await runMain([...words, "--json"], { GRAFT_HOME: folder });
  return { status, ...jsonLines(stdout).at(-1) };
}

const evaluate = (data: string, ...words: string[]): ReturnType<typeof graft> =>
  graft("eval", "--data", data, "--threads", "1", ...words);

/** Trains on the rows of an objective; the folder of the adapter. */
async function learn(model: string, objective: keyof typeof DATA, given?: string): Promise<string> {
  const output = `${folder}/run-${model.split("/").at(-1)}-${objective}`;
  const how = { batchSize: 8, schedule: "constant", learningRate: 0.01, steps: 40 };
  await runTiny({ model, data: DATA[objective], objective: given, output, ...how });
  return output;
}

const KEYS = {
  regression: ["event", "loss", "mse", "pearson", "spearman", "texts"],
  "multi-label-classification": ["event", "loss", "micro_f1", "texts"],
};
const ID2LABEL = { regression: { 0: "LABEL_0" }, "multi-label-classification": { 0: "bad", 1: "good" } };

for (const objective of ["regression", "multi-label-classification"] as const) {
  const data = DATA[objective];
  const problem = objective.replaceAll("-", "_");

  test(`${objective}: a new head learns, is saved with what it means, read, and merged`, async () => {
    const output = await learn(BASE, objective, objective);
    const { config, metadata } = await readAdapterFolder(output);
    assert.deepEqual([config["task_type"], config["modules_to_save"]], ["SEQ_CLS", ["score"]]);
    assert.deepEqual(JSON.parse(metadata["id2label"]!), ID2LABEL[objective]);
    assert.equal(metadata["problem_type"], problem);
    const { status, ...own } = await evaluate(data, "--model", BASE, "--adapter", output);
    assert.equal(status, 0);
    assert.deepEqual(Object.keys(own), KEYS[objective]);
    assert.ok(Number(own["pearson"] ?? own["micro_f1"]) > 0.9, JSON.stringify(own));
    const merged = `${output}-merged`;
    await graft("merge", "--model", BASE, "--adapter", output, "--output", merged);
    const written = readJson(`${merged}/config.json`);
    assert.deepEqual(
      [written["architectures"], written["problem_type"], written["id2label"]],
      [["LlamaForSequenceClassification"], problem, ID2LABEL[objective]],
    );
    const after = await evaluate(data, "--model", merged);
    assert.ok(Math.abs(Number(after["loss"]) - Number(own["loss"])) < 1e-4, JSON.stringify(after));
  });

  test(`${objective}: sums of adapters tell what each does, also where the base is at hand`, async () => {
    const path = `${folder}/run-base-${objective}`;
    const own = await evaluate(data, "--model", BASE, "--adapter", path);
    for (const words of [[], ["--model", BASE]]) {
      const sum = `${path}-sum${words.length}`;
      const adapters = ["--adapter", `a=${path}`, "--adapter", `b=${path}`];
      const done = await graft("combine", "0.4*a + 0.6*b", ...adapters, ...words, "--output", sum);
      assert.equal(done["status"], 0, JSON.stringify(done));
      const { metadata } = await readAdapterFolder(sum);
      assert.deepEqual(metadata, (await readAdapterFolder(path)).metadata);
      const after = await evaluate(data, "--model", BASE, "--adapter", sum);
      assert.ok(Math.abs(Number(after["loss"]) - Number(own["loss"])) < 1e-5, JSON.stringify(after));
    }
  });
}

describe("a head without a word of what it means", () => {
  test("of one output is a number, also in a folder as peft writes it", async () => {
    const output = await learn(SCORER, "regression");
    const own = await evaluate(DATA.regression, "--model", SCORER, "--adapter", output);
    assert.ok(Number(own["mse"]) < 0.3 && own["mse"] === own["loss"], JSON.stringify(own));
    const onBase = `${folder}/run-base-regression`;
    const { config, tensors } = await readAdapterFolder(onBase);
    await writeAdapterFolder(`${onBase}-by-peft`, { config, tensors: [...tensors] });
    const [ours, theirs] = [
      await evaluate(DATA.regression, "--model", BASE, "--adapter", onBase),
      await evaluate(DATA.regression, "--model", BASE, "--adapter", `${onBase}-by-peft`),
    ];
    assert.deepEqual(theirs, ours);
  });

  test("of several is what the objective says, which the adapter remembers", async () => {
    const objective = "multi-label-classification";
    const output = await learn(SILENT, objective, objective);
    const own = await evaluate(DATA[objective], "--model", SILENT, "--adapter", output);
    assert.ok(Number(own["micro_f1"]) > 0.9, JSON.stringify(own));
    const { config, tensors } = await readAdapterFolder(output);
    const damaged = { config, tensors: [...tensors], metadata: { problem_type: "ranking" } };
    await writeAdapterFolder(`${output}-damaged`, damaged);
    const refused = await evaluate(DATA[objective], "--model", SILENT, "--adapter", `${output}-damaged`);
    assert.equal(refused["code"], "format/tensor");
    assert.match(String(refused["message"]), /problem_type is "ranking", expected one of single_label/);
  });
});

test("a head takes the place of the one over the vocabulary in models that read images too", async () => {
  const model = await writeTinyModel(`${folder}/mistral3`, { modelType: "mistral3" });
  const output = await learn(model, "regression", "regression");
  const own = await evaluate(DATA.regression, "--model", model, "--adapter", output);
  assert.ok(Number(own["mse"]) < 0.3, JSON.stringify(own));
});

describe("what is refused", () => {
  test("an adapter that tells numbers, behind one of texts for a server", async () => {
    const texts = writeTinyRows(`${folder}/texts.jsonl`, "text", 4);
    await runTiny({ model: BASE, data: texts, output: `${folder}/run-texts`, steps: 1 });
    const adapters = ["run-texts", "run-base-regression"].flatMap((run, i) => [
      "--adapter",
      `${i}=${folder}/${run}`,
    ]);
    const refused = await graft("serve", "--model", BASE, ...adapters, "--port", "0");
    assert.equal(refused["code"], "usage/target-modules");
    assert.match(
      String(refused["message"]),
      /it is for classification or regression, but the model is open for causal-lm/,
    );
  });

  test("a sum of adapters that tell other classes, or in another order", async () => {
    const path = `${folder}/run-base-multi-label-classification`;
    const { config, tensors, metadata } = await readAdapterFolder(path);
    const turned = { ...metadata, id2label: '{"0":"good","1":"bad"}' };
    await writeAdapterFolder(`${path}-turned`, { config, tensors: [...tensors], metadata: turned });
    const adapters = ["--adapter", `a=${path}`, "--adapter", `b=${path}-turned`];
    const refused = await graft("combine", "a + b", ...adapters, "--output", `${folder}/refused`);
    assert.equal(refused["code"], "usage/combine");
    assert.match(
      String(refused["message"]),
      /outputs are \{"0":"bad","1":"good"\} of multi_label_classification and \{"0":"good",.*, expected the same in the same order/,
    );
  });

  /** Evaluates a scorer, or a model of several classes, on a row and a good one before it. */
  async function refusedRow(kind: "number" | "labels", label: string, name = "row.jsonl"): Promise<string> {
    const isTable = name.endsWith(".csv");
    const good = kind === "number" ? "0.5" : '["good"]';
    const lines = isTable
      ? ["text,label", `a,${good}`, `b,${label}`]
      : [good, label].map((one) => `{"text": "a", "label": ${one}}`);
    writeFileSync(`${folder}/${name}`, `${lines.join("\n")}\n`);
    const words =
      kind === "number"
        ? ["--model", SCORER]
        : ["--model", SILENT, "--adapter", `${folder}/run-silent-multi-label-classification`];
    const { status, code, message } = await evaluate(`${folder}/${name}`, ...words);
    assert.deepEqual([status, code], [2, "usage/data"], String(message));
    return String(message);
  }

  for (const [label, found] of [
    ['"good"', /"label": "good", expected a number/],
    ["null", /"label": null, expected a number/],
    ["true", /"label": a boolean, expected a number/],
    ["1e39", /"label": 1e\+39, expected a number/],
    ["[1, 2]", /label \[1,2\]: 2 numbers, expected 1, the model's outputs/],
    ["[]", /label \[\]: 0 numbers, expected 1/],
    ['["good"]', /"label": "good", expected a number/],
  ] as const) {
    test(`a number that is ${label}`, async () => {
      assert.match(await refusedRow("number", label), found);
    });
  }

  test("a number of a table that is none", async () => {
    assert.match(await refusedRow("number", "NaN", "row.csv"), /"label": "NaN", expected a number/);
  });

  for (const [label, found] of [
    ['"good"', /"label": "good", expected a list of names of classes/],
    ['["fine"]', /label "fine": the model has no such class, expected 0 "bad", 1 "good"/],
    ["[1]", /label \[1\]: 1 numbers, expected 2/],
    ["[0, 1.5]", /"label": 1.5, expected in it a list of names/],
    ['[0, "good"]', /"label": "good", expected in it a list of names/],
  ] as const) {
    test(`classes that are ${label}`, async () => {
      assert.match(await refusedRow("labels", label), found);
    });
  }

  for (const [what, model, settings, message] of [
    [
      "classes for a scorer",
      SCORER,
      { objective: "multi-label-classification", numClasses: 3 },
      /the model has 1, expected 0 "LABEL_0"/,
    ],
    [
      "one class to choose from",
      SCORER,
      { objective: "classification" },
      /id2label is .*expected at least two classes/,
    ],
    ["names of classes beside a number", BASE, { objective: "regression", classes: ["a", "b"] }, /classes/],
  ] as const) {
    test(what, async () => {
      const data = DATA.regression;
      await assert.rejects(runTiny({ model, data, output: `${folder}/refused`, ...settings }), { message });
    });
  }

  test("another objective than the head is for", async () => {
    const model = await writeTinyModel(`${folder}/said`, {
      modelType: "bert",
      config: { id2label: { 0: "bad", 1: "good" }, problem_type: "single_label_classification" },
    });
    const settings = { model, data: DATA.regression, objective: "regression", output: `${folder}/refused` };
    await assert.rejects(runTiny(settings), {
      code: "usage/flag",
      message: /objective "regression".*problem_type single_label_classification, expected "classification"/,
    });
  });
});
