/** @file Loss of a model on examples, without gradients: one row a time, or several of like length. */
import { type TrainingExample, exampleLength, promptEnds, toBatch } from "../data/batch.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { BlockRunner } from "../run/block-runner.ts";
import { ContextMaker } from "../run/context.ts";
import { Embedding } from "../run/embedding.ts";
import { Head } from "../run/head.ts";
import { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine } from "../runtime/engine.ts";
import { labelledPositions } from "./step-runner.ts";
import { requireKnownIds } from "./checks.ts";
import { fillRows } from "./fill-rows.ts";

/** Mean loss over all predicted tokens. */
export interface Evaluation {
  readonly loss: number;
  /** e to the power of the loss. */
  readonly perplexity: number;
  /** Predicted tokens. */
  readonly tokens: number;
}

/** Tokens of one pass: enough rows to fill the machine, few enough for small memory. */
const PASS_TOKENS = 1024;

/** Computes losses with programs that are compiled once. */
export class Evaluator {
  readonly #runner: BlockRunner;
  readonly #embedding: Embedding;
  readonly #head: Head;
  readonly #contexts: ContextMaker;

  private constructor(runner: BlockRunner, embedding: Embedding, head: Head) {
    this.#runner = runner;
    this.#embedding = embedding;
    this.#head = head;
    this.#contexts = new ContextMaker(runner.base.config);
  }

  /** Compiles what is not tied to a block. `adapter` null: the base alone. */
  static async create(engine: Engine, base: BaseModel, adapter: Adapter | null): Promise<Evaluator> {
    const pool = new BufferPool();
    const runner = new BlockRunner(engine, base, adapter, pool, null);
    return new Evaluator(
      runner,
      await Embedding.create(engine, base, adapter, pool),
      new Head(engine, base, adapter, pool),
    );
  }

  /** Evaluates examples; `onProgress` is told how many are done. */
  async evaluate(
    examples: readonly TrainingExample[],
    onProgress: (numDone: number) => void = () => {},
  ): Promise<Evaluation> {
    requireKnownIds(examples, this.#runner.base.config.vocabSize);
    let [lossSum, tokens, numDone] = [0, 0, 0];
    for (const rows of passes(examples)) {
      const batch = toBatch(rows);
      lossSum += await this.#runner.base.exclusively(() => this.#lossSum(batch));
      tokens += batch.numLabels;
      numDone += rows.reduce((sum, row) => sum + row.length, 0);
      onProgress(numDone);
    }
    const loss = lossSum / tokens;
    return { loss, perplexity: Math.exp(loss), tokens };
  }

  async #lossSum(batch: ReturnType<typeof toBatch>): Promise<number> {
    const { pool } = this.#runner;
    const { numRows, length } = batch;
    const context = this.#contexts.rows(numRows, length, batch.positions, batch.segments, promptEnds(batch));
    let x = await this.#embedding.forward(batch.input);
    for (let layer = 0; layer < this.#runner.numLayers; layer++) {
      const { y } = await this.#runner.forward(layer, x, context, false);
      pool.release(x);
      x = y;
    }
    const sum = await this.#head.loss(x, labelledPositions(batch));
    pool.release(x);
    return sum;
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#runner.release();
    await this.#embedding.release();
    await this.#head.release();
  }
}

/** Groups examples of like length into passes. */
function passes(examples: readonly TrainingExample[]): TrainingExample[][][] {
  const sorted = [...examples].sort((a, b) => exampleLength(b) - exampleLength(a));
  const groups: TrainingExample[][] = [];
  let longest = 0;
  for (const example of sorted) {
    const group = groups.at(-1);
    if (group && (group.length + 1) * longest <= PASS_TOKENS) group.push(example);
    else {
      groups.push([example]);
      longest = exampleLength(example);
    }
  }
  return groups.map((group) => fillRows(group));
}
