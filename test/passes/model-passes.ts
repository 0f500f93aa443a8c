/** @file Whole passes of a model for tests: logits, loss, gradients; the one place that knows how the parts are joined. */
import { NO_LABEL, type Batch, toBatch } from "../../src/data/batches/batch.ts";
import type { TrainingExample } from "../../src/data/examples/training-unit.ts";
import { factsOf } from "../../src/data/batches/pass-facts.ts";
import type { ClassExample } from "../../src/data/examples/class-example.ts";
import { makeExample, type Example } from "../../src/data/examples/example.ts";
import type { Model } from "../../src/models/model.ts";
import { BaseModel } from "../../src/models/base/base-model.ts";
import { clipFactor } from "../../src/optim/clip-factor.ts";
import { memorySource } from "../tiny/memory-source.ts";
import { type AdapterView, NO_ADAPTER } from "../../src/peft/adapter-view.ts";
import { type Adapter, attach } from "../../src/peft/attach.ts";
import { type Method, trainsRole } from "../../src/peft/method.ts";
import { Random } from "../../src/random.ts";
import { BlockRunner } from "../../src/run/blocks/block-runner.ts";
import { PassContext } from "../../src/run/context.ts";
import { Embedding } from "../../src/run/embedding.ts";
import { Head } from "../../src/run/head/head.ts";
import { Session, type SessionOptions } from "../../src/run/session.ts";
import type { Residency } from "../../src/run/weights/weights.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import type { StoredTensor } from "../../src/quant/stored-tensor.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import { StepRunner } from "../../src/train/step/step-runner.ts";
import { openAdamw } from "./adamw.ts";
import { changeValues } from "./trained-values.ts";
import type { Recompute } from "../../src/train/recompute.ts";

/** Options without which a method trains nothing: letters, and tokens that `randomExamples` has. */
export const NEEDED_OPTIONS: Readonly<Record<string, object>> = {
  "trainable-tokens": {
    trainableTokenIndices: [
      ...new Set([
        97,
        107,
        108,
        ...randomExamples([9, 6, 4]).flatMap(({ ids }) => Array.from(ids.slice(1, 4))),
      ]),
    ],
  },
};

/** Whether a method can be on a model: one that trains rows of tokens needs tokens, one that trains norms and biases some of them. */
export function fitsModel(method: Method, { embedding, tensors }: Model): boolean {
  if (method.name === "trainable-tokens") return embedding !== null;
  return method.kind !== "base" || [...tensors.values()].some(({ role }) => trainsRole(method, role));
}

/** Attaches a method with its own targets, or those given. */
export function attachTo(
  base: BaseModel,
  method: Method,
  options: object = {},
  modules: string | readonly string[] | null = null,
  seed = 3,
): Promise<Adapter> {
  const request = { method, options: { ...NEEDED_OPTIONS[method.name], ...options }, targets: { modules } };
  return attach(base, request, new Random(seed));
}

/** A model whose tensors are replaced by those given, a tied head by one of its own if there is one. */
export async function withTensors(
  base: BaseModel,
  replaced: ReadonlyMap<string, HostTensor<"float32">>,
): Promise<BaseModel> {
  const tensors = new Map<string, StoredTensor>();
  for (const name of base.model.tensors.keys()) {
    const own = replaced.get(name);
    tensors.set(
      name,
      own ? { storage: "f32", shape: own.shape, planes: { data: own } } : await base.source.stored(name),
    );
  }
  const head = base.model.headTensor.name;
  const ownHead = replaced.get(head);
  if (ownHead) tensors.set(head, { storage: "f32", shape: ownHead.shape, planes: { data: ownHead } });
  return new BaseModel(base.name, ownHead ? base.model.untied() : base.model, memorySource(tensors));
}

/** Moves every trainable number a little, so that nothing stands at a special start. */
export function perturb(adapter: Adapter, deviation: number, seed = 5): void {
  const random = new Random(seed);
  changeValues(adapter, (value) => value + deviation * random.normal());
}

/** Examples of random ids below 256 with loss on the second half of each. */
export function randomExamples(lengths: readonly number[], seed = 7): Example[] {
  const random = new Random(seed);
  return lengths.map((length, i) =>
    makeExample(
      Array.from({ length }, () => random.integer(256)),
      (at) => at >= length / 2,
      { file: "random", line: i + 1 },
    ),
  );
}

/** Examples of a family's own kind: random ids of these lengths, with classes where it tells them, or images of noise. */
export function examplesFor(
  { image, maxPositions, numOutputs, classPosition }: Model,
  lengths: readonly number[],
  seed = 7,
): readonly TrainingExample[] {
  const random = new Random(seed);
  if (!image) {
    const examples = randomExamples(lengths, seed);
    if (classPosition === null) return examples;
    return examples.map(({ ids, source }): ClassExample => {
      const labelIndex = classPosition === "first" ? 0 : ids.length - 1;
      return { ids, source, labelIndex, label: random.integer(numOutputs) };
    });
  }
  const numPixels = image.channels * image.size ** 2;
  return lengths.map((_, i) => ({
    pixels: Uint8Array.from({ length: numPixels }, () => random.integer(256)),
    image,
    label: random.integer(numOutputs),
    numPositions: maxPositions,
    source: { file: "random", line: i + 1 },
  }));
}

/** One row an example. */
export function unpacked(examples: readonly TrainingExample[]): Batch {
  return toBatch(examples.map((example) => [example]));
}

/** Logits [B·T, V] of each batch, in a session of their own; fresh memory. */
export async function logitsOfEach(
  engine: Engine,
  [base, given]: readonly [BaseModel, AdapterView | null],
  batches: readonly Batch[],
  { residency = "stored", ...options }: SessionOptions & { readonly residency?: Residency } = {},
): Promise<Float32Array[]> {
  const session = new Session(engine, base, residency, options);
  const adapter = given ?? NO_ADAPTER;
  const runner = new BlockRunner(session, adapter, null);
  const embedding = await Embedding.create(session, adapter);
  const head = new Head(session, adapter);
  const found: Float32Array[] = [];
  for (const batch of batches) {
    const { numRows, length } = batch;
    const pass = runner.begin(new PassContext(factsOf(batch), session.pool, session.tables));
    let x = await embedding.forward(batch.input, pass.context);
    for (let layer = 0; layer < runner.numLayers; layer++) {
      x = (await runner.forward(layer, x, pass, { saves: "nothing" })).y;
    }
    const positions = Int32Array.from({ length: numRows * length }, (_, i) => i);
    const { data } = await head.logitsAt(x, positions);
    found.push(data.slice());
    runner.end(pass);
  }
  await session.release();
  return found;
}

/** Logits [B·T, V] of a batch, in a session of their own; fresh memory. */
export async function logitsOf(
  engine: Engine,
  base: BaseModel,
  adapter: AdapterView | null,
  batch: Batch,
  options: Parameters<typeof logitsOfEach>[3] = {},
): Promise<Float32Array> {
  const [logits] = await logitsOfEach(engine, [base, adapter], [batch], options);
  return logits!;
}

/** Adds the gradients of `scale` times the sum of a batch's losses; returns that sum, unscaled. */
export async function accumulateLoss(
  runner: StepRunner,
  batch: Batch,
  scale: number,
  step: number,
  micro: number,
): Promise<number> {
  const derivatives = new Float32Array(batch.numLabels).fill(-scale);
  const logProbs = await runner.accumulate(batch, derivatives, { step, micro });
  return -logProbs.reduce((sum, value) => sum + value, 0);
}

/** How a step moves an adapter. */
interface StepSettings {
  readonly learningRate: number;
  readonly weightDecay?: number;
  readonly maxNorm?: number;
}

/** Opens a training by AdamW; a step on micro-batches gives their mean loss before it and the norm of its gradients. */
export async function openTraining(engine: Engine, base: BaseModel, adapter: Adapter) {
  const session = new Session(engine, base);
  const steps = await StepRunner.create({ session, adapter, recompute: false, seed: 0 });
  const adamw = await openAdamw(engine, adapter);
  return {
    async step(
      batches: readonly Batch[],
      index: number,
      { learningRate, weightDecay = 0, maxNorm = Infinity }: StepSettings,
    ): Promise<{ loss: number; norm: number }> {
      const numLabels = batches.reduce((sum, batch) => sum + batch.numLabels, 0);
      let lossSum = 0;
      steps.gradients.begin();
      for (const [micro, batch] of batches.entries())
        lossSum += await accumulateLoss(steps, batch, 1 / numLabels, index, micro);
      steps.gradients.finish();
      const norm = await steps.gradients.norm();
      const rates = { gradientScale: clipFactor(norm, maxNorm), learningRate, weightDecay };
      await adamw.step(steps.gradients.groups, rates);
      return { loss: lossSum / numLabels, norm };
    },
    release: () => Promise.all([steps.release(), adamw.release(), session.release()]),
  };
}

/** Moves an adapter by AdamW, a step on each batch; the mean loss before each. */
export async function trainSteps(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
  batches: readonly Batch[],
  how: StepSettings,
): Promise<number[]> {
  const training = await openTraining(engine, base, adapter);
  const losses: number[] = [];
  for (const [index, batch] of batches.entries())
    losses.push((await training.step([batch], index, how)).loss);
  await training.release();
  return losses;
}

interface PassOptions extends SessionOptions {
  readonly recompute?: Recompute;
  readonly seed?: number;
  readonly residency?: Residency;
}

/** Passes of one adapter that share what is compiled. */
interface OpenPasses {
  /** Mean loss of batches and the gradient of every parameter that has one, by name; fresh memory. */
  lossAndGradients(
    batches: readonly Batch[],
    step?: number,
  ): Promise<{ loss: number; gradients: Map<string, Float32Array> }>;
  /** The mean loss alone, as `lossAndGradients` has it: with what this step drops. */
  loss(batch: Batch, step?: number): Promise<number>;
  release(): Promise<void>;
}

/** Opens a session for many passes, between which the adapter's numbers may change. */
export async function openPasses(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
  options: PassOptions = {},
): Promise<OpenPasses> {
  const { recompute = false, seed = 0, residency = "stored", ...ofSession } = options;
  const session = new Session(engine, base, residency, ofSession);
  const runner = await StepRunner.create({ session, adapter, recompute, seed });
  return {
    async lossAndGradients(batches, step = 0) {
      const numLabels = batches.reduce((sum, batch) => sum + batch.numLabels, 0);
      runner.gradients.begin();
      let lossSum = 0;
      for (const [micro, batch] of batches.entries()) {
        lossSum += await accumulateLoss(runner, batch, 1 / numLabels, step, micro);
      }
      runner.gradients.finish();
      const gradients = new Map<string, Float32Array>();
      for (const { group, values, present } of runner.gradients.groups) {
        for (const [i, { name, offset, length }] of group.parameters.entries()) {
          if (present[i] === true) gradients.set(name, await values.read(offset, offset + length));
        }
      }
      return { loss: lossSum / numLabels, gradients };
    },
    async loss(batch, step = 0) {
      const logProbs = await runner.logProbs(batch, { step, micro: 0 });
      return -logProbs.reduce((sum, value) => sum + value, 0) / batch.numLabels;
    },
    async release() {
      await runner.release();
      await session.release();
    },
  };
}

/** Mean loss of batches and the gradient of every parameter that has one, by name, in a session of their own. */
export async function lossAndGradients(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
  batches: readonly Batch[],
  { step = 0, ...options }: PassOptions & { readonly step?: number } = {},
): ReturnType<OpenPasses["lossAndGradients"]> {
  const passes = await openPasses(engine, base, adapter, options);
  const found = await passes.lossAndGradients(batches, step);
  await passes.release();
  return found;
}

/** The mean loss of examples as an evaluation finds it, in a session of its own. */
export async function evaluatedLoss(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter | null,
  examples: readonly TrainingExample[],
): Promise<number> {
  const session = new Session(engine, base);
  const evaluator = await Evaluator.create(session, adapter);
  const { loss } = await evaluator.evaluate(examples);
  await session.release();
  return loss;
}

/** Makes a batch of unshifted labels and a mask, as Hugging Face's models take them: padding on the right. */
export function batchFromRows(rows: {
  readonly input_ids: readonly (readonly number[])[];
  readonly attention_mask?: readonly (readonly number[])[];
  readonly labels?: readonly (readonly number[])[];
}): Batch {
  const examples = rows.input_ids.map((ids, row) => {
    const length = rows.attention_mask?.[row]?.reduce((sum, flag) => sum + flag, 0) ?? ids.length;
    const labels = rows.labels?.[row];
    return makeExample(ids.slice(0, length), (i) => labels === undefined || labels[i] !== NO_LABEL, {
      file: "golden",
      line: row + 1,
    });
  });
  return unpacked(examples);
}
