/** @file The embedding of a model: token ids [B, T] to x [B, T, D], and its gradient where it is trained. */
import { gradients } from "../graph/autodiff.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { gatherRows } from "../graph/ops/gather-rows.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { GradientSink } from "./gradient-sink.ts";

export class Embedding {
  readonly #base: BaseModel;
  readonly #adapter: Adapter | null;
  readonly #pool: BufferPool;
  readonly #forward: Program;
  readonly #backward: Program | null;

  private constructor(parts: {
    base: BaseModel;
    adapter: Adapter | null;
    pool: BufferPool;
    forward: Program;
    backward: Program | null;
  }) {
    this.#base = parts.base;
    this.#adapter = parts.adapter;
    this.#pool = parts.pool;
    this.#forward = parts.forward;
    this.#backward = parts.backward;
  }

  /** Compiles the programs. */
  static async create(
    engine: Engine,
    base: BaseModel,
    adapter: Adapter | null,
    pool: BufferPool,
  ): Promise<Embedding> {
    const graph = new Graph();
    const table = graph.input("table", "float32", [base.config.vocabSize, base.config.width]);
    const ids = graph.input("ids", "int64", ["B", "T"]);
    const x = gatherRows(table, ids);
    const forward = await engine.compile({ name: "embed", inputs: { table, ids }, outputs: { x } });
    let backward: Program | null = null;
    if (adapter?.tensor(base.architecture.names.embedding)) {
      const dx = graph.input("dx", "float32", x.shape);
      const [dTable] = gradients([{ value: x, gradient: dx }], [table]);
      const inputs = { table, ids, dx };
      backward = await engine.compile({
        name: "embed-backward",
        inputs,
        outputs: { dTable: dTable as Value },
      });
    }
    return new Embedding({ base, adapter, pool, forward, backward });
  }

  /** Whether the embedding is trained. */
  get isTrained(): boolean {
    return this.#backward !== null;
  }

  get #table(): HostTensor<"float32"> {
    const { embedding } = this.#base.architecture.names;
    return this.#adapter?.tensor(embedding) ?? this.#base.outer(embedding);
  }

  /** Looks ids [B, T] up; the caller releases the result. */
  async forward(ids: HostTensor<"int64">): Promise<HostTensor<"float32">> {
    const x = this.#pool.acquire("float32", [...ids.shape, this.#base.config.width]);
    await this.#forward.run({ table: this.#table, ids }, { x });
    return x;
  }

  /** Collects the gradient of the table from dx [B, T, D]. */
  async backward(ids: HostTensor<"int64">, dx: HostTensor<"float32">, sink: GradientSink): Promise<void> {
    if (!this.#backward) return;
    const { embedding } = this.#base.architecture.names;
    const dTable = sink.target(embedding);
    await this.#backward.run({ table: this.#table, ids, dx }, { dTable });
    await sink.add(embedding, dTable);
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#forward.release();
    await this.#backward?.release();
  }
}
