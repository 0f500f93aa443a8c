/** @file Whole passes of a model for tests: logits, loss, gradients; the one place that knows how the parts are joined. */
import { NO_LABEL, type Batch, type TrainingExample, promptEnds, toBatch } from "../src/data/batch.ts";
import { makeExample, type Example } from "../src/data/example.ts";
import type { ModelConfig } from "../src/models/architecture.ts";
import { BaseModel } from "../src/models/base-model.ts";
import { memorySource } from "./memory-source.ts";
import { type Adapter, type Overlay, attach } from "../src/peft/attach.ts";
import type { Method } from "../src/peft/method.ts";
import { Random } from "../src/random.ts";
import { BlockRunner } from "../src/run/block-runner.ts";
import { ContextMaker, chooseAdapters } from "../src/run/context.ts";
import { Embedding } from "../src/run/embedding.ts";
import { Head } from "../src/run/head.ts";
import { BufferPool } from "../src/runtime/buffer-pool.ts";
import type { Engine } from "../src/runtime/engine.ts";
import type { StoredTensor } from "../src/quant/storage.ts";
import { type HostTensor, hostTensor } from "../src/runtime/host-tensor.ts";
import { StepRunner } from "../src/train/step-runner.ts";

/** Attaches a method with its own targets, or those given. */
export function attachTo(
  base: BaseModel,
  method: Method,
  options: unknown = {},
  modules: string | readonly string[] | null = null,
  seed = 3,
): Promise<Adapter> {
  const targets = { modules, exclude: [], layers: null };
  return attach(base, { method, options, targets }, new Random(seed));
}

/** A model whose tensors are replaced by those given, a tied head by one of its own if there is one. */
export async function withTensors(
  base: BaseModel,
  replaced: ReadonlyMap<string, HostTensor<"float32">>,
): Promise<BaseModel> {
  const tensors = new Map<string, StoredTensor>();
  for (const name of base.specs.keys()) {
    const own = replaced.get(name);
    tensors.set(
      name,
      own ? { storage: "f32", shape: own.shape, planes: { data: own } } : await base.source.stored(name),
    );
  }
  const { architecture, name } = base;
  const { head } = architecture.names;
  const ownHead = replaced.get(head);
  if (ownHead) tensors.set(head, { storage: "f32", shape: ownHead.shape, planes: { data: ownHead } });
  const config = { ...base.config, tiedHead: base.config.tiedHead && !ownHead };
  const source = memorySource(tensors);
  return BaseModel.open({ name, architecture, config, source, keepWidened: false });
}

/** Moves every trainable number a little, so that nothing stands at a special start. */
export function perturb(adapter: Adapter, deviation: number, seed = 5): void {
  const random = new Random(seed);
  adapter.values.forEach((value, i) => {
    adapter.values[i] = value + deviation * random.normal();
  });
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

/** Examples of a family's own kind: random ids of these lengths, or as many images of noise. */
export function examplesFor(
  { image, maxPositions, vocabSize }: ModelConfig,
  lengths: readonly number[],
  seed = 7,
): readonly TrainingExample[] {
  if (!image) return randomExamples(lengths, seed);
  const random = new Random(seed);
  const numPixels = image.channels * image.size ** 2;
  return lengths.map((_, i) => ({
    pixels: Uint8Array.from({ length: numPixels }, () => random.integer(256)),
    image,
    label: random.integer(vocabSize),
    numPositions: maxPositions,
    source: { file: "random", line: i + 1 },
  }));
}

/** One row an example. */
export function unpacked(examples: readonly TrainingExample[]): Batch {
  return toBatch(examples.map((example) => [example]));
}

/** Logits [B·T, V] of a batch; fresh memory. `adapterOf`: the adapter of each row, where several are side by side. */
export async function logitsOf(
  engine: Engine,
  base: BaseModel,
  adapter: Overlay | null,
  batch: Batch,
  adapterOf?: readonly number[],
): Promise<Float32Array> {
  const pool = new BufferPool();
  const runner = new BlockRunner(engine, base, adapter, pool, null);
  const embedding = await Embedding.create(engine, base, adapter, pool);
  const head = new Head(engine, base, adapter, pool);
  const { numRows, length } = batch;
  const { positions, segments } = batch;
  const whole = new ContextMaker(base.config).rows(numRows, length, positions, segments, promptEnds(batch));
  const context = adapterOf ? chooseAdapters(whole, adapterOf) : whole;
  let x = await embedding.forward(batch.input);
  for (let layer = 0; layer < runner.numLayers; layer++) {
    x = (await runner.forward(layer, x, context, false)).y;
  }
  const rows = hostTensor("float32", [numRows * length, base.config.width], x.data);
  const { data } = await head.logits(rows);
  await runner.release();
  await embedding.release();
  await head.release();
  return data.slice();
}

/** Mean loss of a batch and the gradient of every parameter by name; fresh memory. */
export async function lossAndGradients(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
  batches: readonly Batch[],
  options: { recompute?: boolean; seed?: number; step?: number } = {},
): Promise<{ loss: number; gradients: Map<string, Float32Array> }> {
  const { recompute = false, seed = 0, step = 0 } = options;
  const runner = await StepRunner.create({ engine, base, adapter, recompute, seed });
  const numLabels = batches.reduce((sum, batch) => sum + batch.numLabels, 0);
  runner.sink.begin();
  let lossSum = 0;
  for (const [micro, batch] of batches.entries()) {
    lossSum += await runner.accumulate(batch, 1 / numLabels, step, micro);
  }
  runner.sink.finish();
  const { values } = runner.sink;
  const gradients = new Map(
    adapter.parameters.map(({ name, offset, length }) => [name, values.slice(offset, offset + length)]),
  );
  await runner.release();
  return { loss: lossSum / numLabels, gradients };
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
