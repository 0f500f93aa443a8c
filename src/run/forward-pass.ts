/** @file A model run forward over whole rows, without gradients: embedding, blocks, and whatever reads their output. */
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { BlockRunner } from "./block-runner.ts";
import { ContextMaker } from "./context.ts";
import { Embedding } from "./embedding.ts";
import { Head } from "./head.ts";

/** Rows of a pass. */
export interface PassRows {
  readonly numRows: number;
  readonly length: number;
  /** Ids [B, T] or pixels. */
  readonly input: HostTensor<"int64"> | HostTensor<"float32">;
  readonly positions: BigInt64Array;
  readonly segments: Int32Array;
}

export class ForwardPass {
  readonly base: BaseModel;
  readonly head: Head;
  readonly pool: BufferPool;
  readonly #runner: BlockRunner;
  readonly #embedding: Embedding;
  readonly #contexts: ContextMaker;

  private constructor(runner: BlockRunner, embedding: Embedding, head: Head) {
    this.base = runner.base;
    this.head = head;
    this.pool = runner.pool;
    this.#runner = runner;
    this.#embedding = embedding;
    this.#contexts = new ContextMaker(runner.base.config);
  }

  /** Compiles what is not tied to a block. `adapter` null: the base alone. */
  static async create(engine: Engine, base: BaseModel, adapter: Adapter | null): Promise<ForwardPass> {
    const pool = new BufferPool();
    const runner = new BlockRunner(engine, base, adapter, pool, null);
    const embedding = await Embedding.create(engine, base, adapter, pool);
    return new ForwardPass(runner, embedding, new Head(engine, base, adapter, pool));
  }

  /**
   * Runs rows when passes asked for before are done; `read` gets x [B, T, D], valid during the call alone. `promptEnds`:
   * as `ContextMaker.rows` has it.
   */
  run<T>(
    rows: PassRows,
    promptEnds: Float32Array | undefined,
    read: (x: HostTensor<"float32">) => Promise<T>,
  ): Promise<T> {
    return this.base.exclusively(async () => {
      const { numRows, length, input, positions, segments } = rows;
      const context = this.#contexts.rows(numRows, length, positions, segments, promptEnds);
      let x = await this.#embedding.forward(input);
      for (let layer = 0; layer < this.#runner.numLayers; layer++) {
        const { y } = await this.#runner.forward(layer, x, context, false);
        this.pool.release(x);
        x = y;
      }
      const result = await read(x);
      this.pool.release(x);
      return result;
    });
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#runner.release();
    await this.#embedding.release();
    await this.head.release();
  }
}
