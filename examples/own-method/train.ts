/** Trains LoRA-FA on the small model, saves it, loads it and merges it: node examples/own-method/train.ts [OUTPUT] */
import { join } from "node:path";
import {
  Evaluator,
  METHODS,
  Session,
  createChatTemplate,
  createEngine,
  createTokenizer,
  loadModel,
  mergedModel,
  readAdapter,
  readDataset,
  train,
} from "../../src/index.ts";
import { loraFa } from "./lora-fa.ts";

const root = join(import.meta.dirname, "../..");
const model = join(root, "test/small-model");
const data = join(root, "examples/quickstart/train.jsonl");
const heldOut = join(root, "examples/quickstart/held-out.jsonl");
const output = process.argv[2] ?? "runs/own-method";
const methods = [...METHODS, loraFa];
const maxLength = 128;

const own = { method: "lora-fa", rank: 8, alpha: 32 };
const settings = { model, data, output, maxLength, steps: 20, learningRate: 1e-2, overwrite: true };
const { trainable_parameters: numTrained } = await train({ ...settings, ...own }, { methods });
console.log(`${numTrained} numbers are trained`);

const engine = createEngine();
const { base, checkpoint } = await loadModel(model);
const { adapter } = await readAdapter(output, base, methods);
const merged = await mergedModel(engine, base, adapter);
const files = checkpoint.tokenizerFiles;
if (files === null) throw new Error("the model has no tokenizer");
const how = { tokenizer: createTokenizer(files), template: createChatTemplate(files), maxLength };
const { train: examples } = await readDataset(heldOut, how);

const sides = [
  { what: "base", of: base, and: null },
  { what: "adapter", of: base, and: adapter },
  { what: "merged", of: merged.model, and: null },
];
for (const { what, of, and } of sides) {
  const session = new Session(engine, of);
  const evaluator = await Evaluator.create(session, and);
  console.log(`${what}: loss ${(await evaluator.evaluate(examples)).loss.toFixed(4)}`);
  await session.release();
}
await merged.release();
await checkpoint.close();
