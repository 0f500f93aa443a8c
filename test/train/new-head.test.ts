/** @file Bases without a head of classes get one: it is trained, saved beside the adapter, read, merged and gone on from. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { inferClassNames } from "../../src/data/examples/class-names.ts";
import {
  loadModel,
  openCheckpoint,
  readAdapter,
  readAdapterFolder,
  writeAdapterFolder,
  writeModel,
} from "../../src/format/by-path.ts";
import { withFreshHead } from "../../src/format/checkpoint/fresh-head.ts";
import { dequantize } from "../../src/quant/stored-tensor.ts";
import { Random } from "../../src/random.ts";
import { byteTokenizerFiles } from "../tiny/byte-tokenizer.ts";
import { runMain } from "../process/run-main.ts";
import { temporaryFolder, tinyModelParts, writeTinyModel } from "../tiny/model.ts";
import { writeTinyRows } from "../tiny/rows.ts";
import { valuesOf } from "../passes/trained-values.ts";
import { lossesOf, runTiny } from "./tiny-run.ts";
import { jsonLines, readJson } from "../files/read-json.ts";

const folder = temporaryFolder();
const data = writeTinyRows(`${folder}/train.jsonl`, "classes", 40);
const heldOut = writeTinyRows(`${folder}/held-out.jsonl`, "classes", 20, 2);
const GGUF = join(import.meta.dirname, "../golden/data/gguf/qwen3.gguf");
const id2label = { "0": "bad", "1": "good" };

const MASKED = { bert: "BertForMaskedLM", roberta: "RobertaForMaskedLM", eurobert: "EuroBertForMaskedLM" };

/** An encoder as it is before it has a task: without its classifier, and the tensors of another head beside. */
async function writeEncoder(modelType: keyof typeof MASKED, hasPooler: boolean): Promise<string> {
  const { config, tensors } = tinyModelParts({ modelType });
  const other = modelType === "bert" ? "cls.predictions.bias" : "lm_head.bias";
  const bias = [...tensors].find(([name]) => name.endsWith(".bias"));
  assert.ok(bias);
  const kept = [...tensors].filter(
    ([name]) => !name.startsWith("classifier.") && (hasPooler || !/pooler|^dense/.test(name)),
  );
  const path = `${folder}/${modelType}-${hasPooler}`;
  await writeModel(path, {
    config: { ...config, architectures: [MASKED[modelType]], id2label: undefined },
    generationConfig: null,
    tokenizerFiles: byteTokenizerFiles(),
    tensors: new Map([...kept, [other, bias[1]]]),
  });
  return path;
}

/** A decoder that says it is tied, and whose file has its one matrix under the head's name alone. */
async function writeHeadAlone(): Promise<string> {
  const { config, tensors } = tinyModelParts({ config: { tie_word_embeddings: true } });
  const [embedding, head] = ["model.embed_tokens.weight", "lm_head.weight"];
  const named = [...tensors].map(([name, tensor]) => [name === embedding ? head : name, tensor] as const);
  const parts = { config, generationConfig: null, tokenizerFiles: byteTokenizerFiles() };
  await writeModel(`${folder}/head alone`, { ...parts, tensors: new Map(named) });
  return `${folder}/head alone`;
}

const BASES = {
  llama: {
    model: await writeTinyModel(`${folder}/llama`),
    saved: ["score"],
    name: "LlamaForSequenceClassification",
  },
  gpt2: {
    model: await writeTinyModel(`${folder}/gpt2`, { modelType: "gpt2" }),
    saved: ["score"],
    name: "GPT2ForSequenceClassification",
  },
  "tied, with the head alone": {
    model: await writeHeadAlone(),
    saved: ["score"],
    name: "LlamaForSequenceClassification",
  },
  gguf: { model: GGUF, saved: ["score"], name: "Qwen3ForSequenceClassification" },
  bert: {
    model: await writeEncoder("bert", true),
    saved: ["classifier"],
    name: "BertForSequenceClassification",
  },
  "bert without a pooler": {
    model: await writeEncoder("bert", false),
    saved: ["classifier", "bert.pooler.dense"],
    name: "BertForSequenceClassification",
  },
  "modernbert-decoder": {
    model: await writeTinyModel(`${folder}/modernbert-decoder`, { modelType: "modernbert-decoder" }),
    saved: ["classifier", "head.dense", "head.norm"],
    name: "ModernBertDecoderForSequenceClassification",
  },
  roberta: {
    model: await writeEncoder("roberta", false),
    saved: ["classifier"],
    name: "RobertaForSequenceClassification",
  },
  eurobert: {
    model: await writeEncoder("eurobert", false),
    saved: ["classifier", "dense"],
    name: "EuroBertForSequenceClassification",
  },
};
const SETTINGS = {
  data,
  objective: "classification",
  batchSize: 8,
  schedule: "constant",
  learningRate: 0.01,
};

/** Runs graft in this process; the last event and the status. */
async function graft(...words: string[]): Promise<Record<string, unknown>> {
  const { status, stdout } = await runMain([...words, "--json"], { GRAFT_HOME: folder });
  return { status, ...jsonLines(stdout).at(-1) };
}

const evaluate = (...words: string[]): ReturnType<typeof graft> =>
  graft("eval", "--data", heldOut, "--threads", "1", ...words);

for (const [what, { model, saved, name }] of Object.entries(BASES)) {
  test(`${what}: a new head learns, is saved in peft's form, and is read and merged with its classes`, async () => {
    const output = `${folder}/run ${what}`;
    const { events } = await runTiny({ ...SETTINGS, model, steps: 40, output });
    assert.ok(
      events.some((event) => event.event === "note" && event.message.includes('0 "bad", 1 "good"')),
      "the classes that were found are told",
    );
    const { config, tensors, metadata } = await readAdapterFolder(output);
    assert.deepEqual([config["task_type"], config["modules_to_save"]], ["SEQ_CLS", saved]);
    assert.deepEqual(JSON.parse(metadata["id2label"]!), id2label);
    const { base, checkpoint } = await loadModel(model, { adapter: output });
    for (const fresh of checkpoint.freshTensors ?? [])
      assert.ok(tensors.has(`base_model.model.${fresh}`), fresh);
    assert.ok((checkpoint.freshTensors ?? []).length > 0);
    assert.equal((await readAdapter(output, base)).adapter.method.name, "lora");
    await checkpoint.close();
    const own = await evaluate("--model", model, "--adapter", output);
    assert.ok(Number(own["accuracy"]) > 0.9, `accuracy ${String(own["accuracy"])}`);
    const merged = `${folder}/merged ${what}`;
    assert.equal(
      (await graft("merge", "--model", model, "--adapter", output, "--output", merged, "--to", "hf"))[
        "status"
      ],
      0,
    );
    const after = await evaluate("--model", merged);
    assert.ok(Math.abs(Number(after["loss"]) - Number(own["loss"])) < 1e-4);
    const written = readJson(`${merged}/config.json`);
    assert.deepEqual(
      [written["architectures"], written["id2label"], written["label2id"]],
      [[name], id2label, { bad: 0, good: 1 }],
    );
  });
}

describe("a new head", () => {
  const { model } = BASES.llama;

  test("is drawn from the seed, as transformers draws it, and is zeros where an adapter brings it", async () => {
    const { config, tensors } = tinyModelParts({ config: { hidden_size: 256, head_dim: 8 } });
    const files = { config, generationConfig: null, tokenizerFiles: null, tensors };
    await writeModel(`${folder}/wide`, files);
    const opened = await openCheckpoint(`${folder}/wide`);
    const read = async (random: Random | null): Promise<Float32Array> =>
      dequantize(await withFreshHead(opened, ["a", "b", "c", "d"], random).read("score.weight"));
    const drawn = await read(new Random(1));
    const deviation = Math.sqrt(drawn.reduce((sum, value) => sum + value ** 2, 0) / drawn.length);
    assert.equal(drawn.length, 4 * 256);
    assert.ok(Math.abs(deviation / 0.02 - 1) < 0.1, `deviation ${deviation}`);
    assert.deepEqual(await read(new Random(1)), drawn);
    assert.notDeepEqual(await read(new Random(2)), drawn);
    assert.ok((await read(null)).every((value) => value === 0));
    await opened.close();
  });

  test("goes on bit-equal after a stop, and a run may start from its adapter", async () => {
    const settings = { ...SETTINGS, model, classes: ["bad", "good"], saveEvery: 2 };
    await runTiny({ ...settings, steps: 4, output: `${folder}/whole` });
    await runTiny({ ...settings, steps: 2, output: `${folder}/half` });
    cpSync(`${folder}/half`, `${folder}/further`, { recursive: true });
    const { steps: _steps, ...others } = { ...settings, steps: 4 };
    await runTiny({ ...others, steps: 4, output: `${folder}/further`, resume: true });
    const [whole, further] = await Promise.all(
      ["whole", "further"].map((name) => readAdapterFolder(`${folder}/${name}`)),
    );
    const score = "base_model.model.score.weight";
    assert.notDeepEqual(
      whole!.tensors.get(score)!.data,
      (await readAdapterFolder(`${folder}/half`)).tensors.get(score)!.data,
    );
    // The length of a run is in its learning rates unless they are constant, as here.
    assert.deepEqual(further!.tensors.get(score)!.data, whole!.tensors.get(score)!.data);
    const { events } = await runTiny({
      model,
      data,
      objective: "classification",
      initAdapter: `${folder}/whole`,
      steps: 1,
      learningRate: 1e-5,
      output: `${folder}/again`,
    });
    assert.ok(lossesOf(events)[0]! < 0.75);
    const again = await readAdapterFolder(`${folder}/again`);
    const moved = again.tensors
      .get(score)!
      .data.map((value, i) => value - whole!.tensors.get(score)!.data[i]!);
    assert.ok(moved.every((value) => Math.abs(value) < 2e-5));
  });

  test("of a model that is trained whole is in the model's own folder", async () => {
    const output = `${folder}/full`;
    await runTiny({
      ...SETTINGS,
      model,
      method: "full",
      rank: undefined,
      learningRate: 3e-3,
      steps: 40,
      output,
    });
    const { accuracy } = await evaluate("--model", output);
    assert.ok(Number(accuracy) > 0.9, `accuracy ${String(accuracy)}`);
    const config = readJson(`${output}/config.json`);
    assert.deepEqual(config["id2label"], id2label);
  });

  test("an adapter of peft, which names no classes, is read with numbers", async () => {
    const output = `${folder}/of-peft`;
    await runTiny({ ...SETTINGS, model, steps: 1, output });
    const [{ base, checkpoint }, unlike] = [
      await loadModel(model, { adapter: output }),
      await loadModel(model),
    ];
    await assert.rejects(readAdapter(output, unlike.base), { code: "usage/target-modules" });
    const { adapter } = await readAdapter(output, base);
    const values = valuesOf(adapter);
    const { config, tensors } = await readAdapterFolder(output);
    await writeAdapterFolder(`${output}-2`, { config, tensors: [...tensors] });
    const again = await loadModel(model, { adapter: `${output}-2` });
    assert.deepEqual(again.base.model.raw["id2label"], { "0": "LABEL_0", "1": "LABEL_1" });
    assert.deepEqual(valuesOf((await readAdapter(`${output}-2`, again.base)).adapter), values);
    const without = [...tensors].filter(([name]) => !name.includes("score"));
    await writeAdapterFolder(`${output}-3`, { config, tensors: without });
    await assert.rejects(loadModel(model, { adapter: `${output}-3` }), {
      code: "usage/adapter",
      message: /has no score\.weight/,
    });
    for (const open of [checkpoint, unlike.checkpoint, again.checkpoint]) await open.close();
  });

  const REFUSALS: readonly [string, Record<string, unknown>, RegExp, string][] = [
    [
      "fewer classes than the data",
      { numClasses: 3 },
      /head with 3 classes: .*0 "bad", 1 "good"/,
      "usage/data",
    ],
    [
      "labels outside the classes",
      { classes: ["good", "fine"] },
      /label "bad": .*0 "good", 1 "fine"/,
      "usage/data",
    ],
    [
      "a number that contradicts the names",
      { classes: ["bad", "good"], numClasses: 3 },
      /numClasses is 3/,
      "usage/flag",
    ],
    ["a name twice", { classes: ["bad", "bad"] }, /distinct names/, "usage/flag"],
    [
      "a method that does not train it",
      { method: "bitfit", rank: undefined },
      /does not train score\.weight/,
      "usage/flag",
    ],
    ["another objective", { objective: "cross-entropy", numClasses: 2 }, /num-?classes/i, "usage/flag"],
  ];
  for (const [what, settings, message, code] of REFUSALS) {
    test(`is refused for ${what}`, async () => {
      const output = `${folder}/refused ${what}`;
      await assert.rejects(runTiny({ ...SETTINGS, model, output, ...settings }), { code, message });
    });
  }

  test("is not made for a model that has one: other classes than its own are refused", async () => {
    const own = await writeTinyModel(`${folder}/own`, { modelType: "bert" });
    for (const given of [
      { numClasses: 2 },
      { classes: ["bad", "good"] },
      { classes: ["good", "bad", "neither"] },
    ]) {
      await assert.rejects(runTiny({ ...SETTINGS, model: own, output: `${folder}/refused`, ...given }), {
        code: "usage/flag",
        message: /the model has 3, expected 0 "bad", 1 "good", 2 "neither"/,
      });
    }
    await runTiny({ ...SETTINGS, model: own, numClasses: 3, steps: 1, output: `${folder}/own-run` });
  });

  test("graft data show names the classes that training would find, for decoders and encoders", async () => {
    for (const shown of [model, await writeEncoder("bert", false)]) {
      const { stdout, stderr } = await runMain(
        ["data", "show", data, "--model", shown, "--objective", "classification", "--limit", "2", "--json"],
        { GRAFT_HOME: folder },
      );
      const classes = stdout.split("\n").flatMap((line) => /"class":"(\w+)"/.exec(line)?.[1] ?? []);
      assert.deepEqual(classes.toSorted(), ["bad", "good"], stderr);
    }
  });
});

describe("inferClassNames()", () => {
  const infer = (...labels: (string | number)[]): readonly string[] => inferClassNames(new Set(labels));

  test("names classes as texts name them, in order; numbers count them", () => {
    assert.deepEqual(infer("no", "maybe", "yes"), ["maybe", "no", "yes"]);
    assert.deepEqual(infer("10", "9", "1"), ["1", "9", "10"]);
    assert.deepEqual(infer(2, 0), ["LABEL_0", "LABEL_1", "LABEL_2"]);
    const many = new Set(Array.from({ length: 150_000 }, (_, i) => i));
    assert.equal(inferClassNames(many).length, many.size);
  });

  test("tells how labels that are no classes, and columns under other names, are learned", () => {
    assert.throws(() => infer(4.5, 1), { hint: /--objective regression/ });
    assert.throws(() => infer(), {
      message: /rows of {"text", "label"}/,
      hint: /--columns text=review,label=class/,
    });
  });

  test("refuses labels that do not say it", () => {
    for (const labels of [[], ["a"], ["a", 1], [0.5, 1], [-1, 1], [0, 1900]]) {
      assert.throws(() => infer(...labels), { code: "usage/data", hint: /[Tt]rain with --classes/ });
    }
  });
});

test("rows that name labels by another column, and by true and false, are counted by it", async () => {
  const rows = `${folder}/columns.jsonl`;
  const lines = readFileSync(data, "utf8")
    .replaceAll('"label":', '"verdict":')
    .replaceAll('"bad"', "false")
    .replaceAll('"good"', "true");
  writeFileSync(rows, lines);
  const columns = "text=text,label=verdict";
  const own = {
    ...SETTINGS,
    model: BASES.llama.model,
    data: rows,
    columns,
    steps: 1,
    output: `${folder}/columns`,
  };
  const { events } = await runTiny(own);
  assert.ok(events.some((event) => event.event === "note" && /0 "false", 1 "true"/.test(event.message)));
});
