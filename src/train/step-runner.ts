/**
 * @file Loss and gradients of one micro-batch: embedding, blocks forward, head, blocks backward.
 *
 * Blocks below the first trained one are run without keeping anything and never run backward.
 */
import type { Batch } from "../data/batch.ts";
import { NO_LABEL, promptEnds } from "../data/batch.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { Random } from "../random.ts";
import { BlockRunner, type FillDropout, type Kept } from "../run/block-runner.ts";
import { ContextMaker, type PassContext } from "../run/context.ts";
import { Embedding } from "../run/embedding.ts";
import { GradientSink } from "../run/gradient-sink.ts";
import { Head, type LabelledPosition } from "../run/head.ts";
import { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";

/** Stream of the seed that dropout masks come from. */
const DROPOUT_STREAM = 2;

/** What `StepRunner.create` needs. */
export interface StepRunnerOptions {
  readonly engine: Engine;
  readonly base: BaseModel;
  readonly adapter: Adapter;
  /** Compute activations twice instead of keeping them. */
  readonly recompute: boolean;
  readonly seed: number;
}

export class StepRunner {
  /** Gradients of the step. */
  readonly sink: GradientSink;
  readonly #runner: BlockRunner;
  readonly #embedding: Embedding;
  readonly #head: Head;
  readonly #contexts: ContextMaker;
  readonly #pool: BufferPool;
  readonly #recompute: boolean;
  readonly #lowestTrained: number;
  /** Where the dropout masks of the micro-batch in work come from: step and number of the micro-batch. */
  readonly #place: { step: number; micro: number };

  private constructor(parts: {
    sink: GradientSink;
    runner: BlockRunner;
    embedding: Embedding;
    head: Head;
    recompute: boolean;
    place: { step: number; micro: number };
  }) {
    this.sink = parts.sink;
    this.#runner = parts.runner;
    this.#embedding = parts.embedding;
    this.#head = parts.head;
    this.#pool = parts.runner.pool;
    this.#contexts = new ContextMaker(parts.runner.base.config);
    this.#recompute = parts.recompute;
    this.#place = parts.place;
    const layers = Array.from({ length: this.#runner.numLayers }, (_, layer) => layer);
    const lowest = layers.find((layer) => this.#runner.isTrained(layer)) ?? this.#runner.numLayers;
    this.#lowestTrained = this.#embedding.isTrained ? 0 : lowest;
  }

  /** Compiles what is not tied to a block; block programs are compiled when first needed. */
  static async create({ engine, base, adapter, recompute, seed }: StepRunnerOptions): Promise<StepRunner> {
    const pool = new BufferPool();
    const place = { step: 0, micro: 0 };
    const fill: FillDropout = (layer, site, mask, probability) => {
      const siteIndex = base.architecture.sites(base.config).findIndex((spec) => spec.name === site);
      fillDropout(
        new Random(seed, DROPOUT_STREAM, place.step, place.micro, layer, siteIndex),
        mask,
        probability,
      );
    };
    const runner = new BlockRunner(engine, base, adapter, pool, fill);
    return new StepRunner({
      sink: await GradientSink.create(engine, adapter, pool),
      runner,
      embedding: await Embedding.create(engine, base, adapter, pool),
      head: new Head(engine, base, adapter, pool, fill),
      recompute,
      place,
    });
  }

  /**
   * Adds the gradients of `scale` times the sum of the batch's losses to the sink; returns that sum, unscaled.
   */
  accumulate(batch: Batch, scale: number, step: number, micro: number): Promise<number> {
    return this.#runner.base.exclusively(() => this.#accumulate(batch, scale, step, micro));
  }

  async #accumulate(batch: Batch, scale: number, step: number, micro: number): Promise<number> {
    Object.assign(this.#place, { step, micro });
    const { numRows, length } = batch;
    const context = this.#contexts.rows(numRows, length, batch.positions, batch.segments, promptEnds(batch));
    const trace: { x: HostTensor<"float32">; kept: Kept | null }[] = [];
    let x = await this.#embedding.forward(batch.input);
    for (let layer = 0; layer < this.#runner.numLayers; layer++) {
      const trained = layer >= this.#lowestTrained;
      const { y, kept } = await this.#runner.forward(layer, x, context, trained && !this.#recompute);
      if (trained) trace.push({ x, kept: this.#recompute ? null : kept });
      else this.#pool.release(x);
      x = y;
    }
    const { lossSum, dx } = await this.#head.lossAndGradient(x, labelledPositions(batch), scale, this.sink);
    this.#pool.release(x);
    await this.#backward(trace, dx, batch.input, context);
    return lossSum;
  }

  async #backward(
    trace: { x: HostTensor<"float32">; kept: Kept | null }[],
    dLast: HostTensor<"float32">,
    input: Batch["input"],
    context: PassContext,
  ): Promise<void> {
    let dy = dLast;
    for (let layer = this.#runner.numLayers - 1; layer >= this.#lowestTrained; layer--) {
      const { x, kept } = trace.pop() as { x: HostTensor<"float32">; kept: Kept | null };
      const wantsInput = layer > this.#lowestTrained || this.#embedding.isTrained;
      const dx = await this.#runner.backward(layer, { x, kept, dy }, context, this.sink, wantsInput);
      this.#pool.release(x, dy, ...Object.values(kept ?? {}));
      if (!dx) return;
      dy = dx;
    }
    await this.#embedding.backward(input, dy, this.sink);
    this.#pool.release(dy);
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#runner.release();
    await this.#embedding.release();
    await this.#head.release();
    await this.sink.release();
  }
}

/** Positions of a batch that have something to predict. */
export function labelledPositions(batch: Batch): LabelledPosition[] {
  const positions: LabelledPosition[] = [];
  batch.labels.forEach((label, index) => {
    if (label !== NO_LABEL) positions.push({ index, label });
  });
  return positions;
}

/** Zeros with the given probability, else 1/(1-p). One 32-bit draw an element. */
function fillDropout(random: Random, mask: Float32Array, probability: number): void {
  const threshold = probability * 2 ** 32;
  const keep = 1 / (1 - probability);
  for (let i = 0; i < mask.length; i++) mask[i] = random.uint32() < threshold ? 0 : keep;
}
