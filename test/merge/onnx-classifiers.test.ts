/** @file Models with a head of classes as ONNX files: padded texts and pairs get the logits that graft gives each alone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { classesOf, makeClassExample } from "../../src/data/examples/class-example.ts";
import { Classifier } from "../../src/engine/classifier.ts";
import { writeOnnxModel } from "../../src/export/onnx/write-onnx.ts";
import { readJson } from "../../src/format/by-path.ts";
import { COMPUTES } from "../../src/nn/computes.ts";
import { findMethod } from "../../src/peft/methods.ts";
import { Random } from "../../src/random.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { largestDifference } from "../reference/differences.ts";
import { roundedTo } from "../tiny/rounded-to.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";

const root = temporaryFolder();
const engine = createEngine({ threads: 1 });
const random = new Random(1);

/** What rows are filled with; a text ends in it too. */
const PAD = 0;
const texts = [11, 3, 7].map((length) => Array.from({ length }, () => 1 + random.integer(255)));
texts.push([...texts[0]!.slice(0, 5), PAD, PAD], [PAD, ...texts[2]!]);
/** Where the second text of a pair begins. */
const SECOND_AT = 2;

/** Logits [5, V] of the texts by the files, all in one run. */
async function logitsByFiles(folder: string, side: "left" | "right"): Promise<Float32Array> {
  const session = await InferenceSession.create(join(folder, "onnx/model.onnx"));
  const length = Math.max(...texts.map((ids) => ids.length));
  const padded = (valueAt: (id: number, at: number) => number, padding: number): Tensor => {
    const rows = texts.map((ids) => {
      const rest = Array.from({ length: length - ids.length }, () => padding);
      const own = ids.map(valueAt);
      return side === "left" ? [...rest, ...own] : [...own, ...rest];
    });
    return new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [texts.length, length]);
  };
  const given: Readonly<Record<string, Tensor>> = {
    input_ids: padded((id) => id, PAD),
    attention_mask: padded(() => 1, 0),
    token_type_ids: padded((_, at) => Number(at >= SECOND_AT), 0),
  };
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, given[name]!]));
  const { logits } = await session.run(feeds);
  await session.release();
  assert.equal(logits!.dims[0], texts.length);
  return logits!.data as Float32Array;
}

const CLASSES = { id2label: { 0: "bad", 1: "good", 2: "neither" }, pad_token_id: PAD };

const CASES: Readonly<Record<string, readonly [config: Record<string, unknown>, method: string | null]>> = {
  bert: [{}, "lora"],
  roberta: [{}, null],
  "xlm-roberta": [{}, "snell"],
  electra: [{}, "lora"],
  "deberta-v2": [{}, "lora"],
  "deberta-v2, all otherwise": [
    { conv_kernel_size: 3, share_att_key: false, position_biased_input: true, type_vocab_size: 2 },
    "bitfit",
  ],
  mpnet: [{}, null],
  distilbert: [{}, "bitfit"],
  modernbert: [{ classifier_pooling: "cls" }, "lora"],
  "modernbert, mean of all": [{ classifier_pooling: "mean" }, null],
  eurobert: [{}, "lora"],
  "eurobert, mean of all": [{ classifier_pooling: "mean" }, null],
  "eurobert, first token": [{ classifier_pooling: "bos" }, "bitfit"],
  llama: [{ architectures: ["LlamaForSequenceClassification"], ...CLASSES }, "lora"],
  gemma2: [{ architectures: ["Gemma2ForSequenceClassification"], ...CLASSES }, "road"],
};

async function exportedLogits(
  name: string,
  [config, methodName]: (typeof CASES)[string],
  compute: "f32" | "direct" = "f32",
): Promise<void> {
  const [modelType] = name.split(",");
  const path = join(root, `${name}, ${compute}`);
  const { base: floats, checkpoint } = await openUntilEnd(
    await writeTinyModel(path, { modelType: modelType!, config }),
  );
  const base = compute === "f32" ? floats : await roundedTo("q8_0", floats);
  const adapter = methodName === null ? null : await attachTo(base, findMethod(methodName));
  if (adapter) perturb(adapter, 0.1);
  const session = new Session(engine, base, "stored", { compute: COMPUTES[compute] });
  const output = `${path}-onnx`;
  await writeOnnxModel({ engine, base, checkpoint, adapter, path: output, compute });
  const classifier = await Classifier.create(session, adapter);
  const expected = [];
  // Each alone, so that nothing of graft's is padded.
  for (const ids of texts) {
    const read = { ids, secondAt: SECOND_AT };
    const example = makeClassExample(read, 0, classesOf(base.model).classes!, { file: "texts", line: 1 });
    expected.push(...(await classifier.classify([example])));
  }
  await session.release();
  const logits = Float32Array.from(expected.flatMap(({ logits }) => [...logits]));
  for (const side of ["right", "left"] as const)
    assert.ok(largestDifference(await logitsByFiles(output, side), logits) < 1e-5, `padded on the ${side}`);
}

describe("files tell the classes that the model does", () => {
  for (const [name, parts] of Object.entries(CASES))
    test(`${name}, ${parts[1] ?? "without adapter"}`, () => exportedLogits(name, parts));

  test("of a model of few bits, whose other tables are no embedding of words", () =>
    exportedLogits("bert", [{ intermediate_size: 64 }, null], "direct"));
});

test("settings have the classes, and the card says how they are told", async () => {
  const path = join(root, "bert, f32-onnx");
  const { id2label } = await readJson(join(path, "config.json"));
  assert.deepEqual(id2label, CLASSES.id2label);
  assert.match(readFileSync(join(path, "README.md"), "utf8"), /new TextClassificationPipeline/);
});
