/**
 * @file Collects gradients: one vector for all trainable numbers, to which the programs of a step add up.
 *
 * The first program that has a gradient for a tensor writes it straight into the vector; later ones (another
 * micro-batch, a tied matrix) write aside and are added, so no step clears the vector.
 */
import { Graph } from "../graph/graph.ts";
import { add } from "../graph/ops/add.ts";
import type { Adapter, Parameter } from "../peft/attach.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

export class GradientSink {
  /** All gradients, laid out like the adapter's values. */
  readonly values: Float32Array;
  readonly #views: ReadonlyMap<string, HostTensor<"float32">>;
  readonly #pool: BufferPool;
  readonly #sum: Program;
  readonly #written = new Set<string>();

  private constructor(parameters: readonly Parameter[], length: number, pool: BufferPool, sum: Program) {
    this.values = new Float32Array(length);
    this.#pool = pool;
    this.#sum = sum;
    this.#views = new Map(
      parameters.map((p) => [
        p.name,
        hostTensor("float32", p.shape, this.values.subarray(p.offset, p.offset + p.length)),
      ]),
    );
  }

  /** Makes a sink for an adapter. */
  static async create(engine: Engine, adapter: Adapter, pool: BufferPool): Promise<GradientSink> {
    const graph = new Graph();
    const [a, b] = [graph.input("a", "float32", ["N"]), graph.input("b", "float32", ["N"])];
    const program = await engine.compile({
      name: "add-gradient",
      inputs: { a, b },
      outputs: { sum: add(a, b) },
    });
    return new GradientSink(adapter.parameters, adapter.values.length, pool, program);
  }

  /** Forgets what was collected: the next step begins. */
  begin(): void {
    this.#written.clear();
  }

  /** Where a program is to write the gradient of a parameter. Give it back through `add`. */
  target(name: string): HostTensor<"float32"> {
    const view = this.#views.get(name);
    if (!view) throw new RangeError(`Cannot collect a gradient for "${name}": it is not trained`);
    return this.#written.has(name) ? this.#pool.acquire("float32", view.shape) : view;
  }

  /** Adds what a program wrote into `tensor`. */
  async add(name: string, tensor: HostTensor<"float32">): Promise<void> {
    const view = this.#views.get(name) as HostTensor<"float32">;
    if (tensor === view) {
      this.#written.add(name);
      return;
    }
    const flat = (data: Float32Array): HostTensor<"float32"> => hostTensor("float32", [data.length], data);
    const sum = this.#pool.acquire("float32", [view.data.length]);
    await this.#sum.run({ a: flat(view.data), b: flat(tensor.data) }, { sum });
    view.data.set(sum.data);
    this.#pool.release(sum, tensor);
  }

  /** Sets to zero what no program wrote since `begin`. */
  finish(): void {
    for (const [name, view] of this.#views) if (!this.#written.has(name)) view.data.fill(0);
  }

  /** Frees the program. */
  async release(): Promise<void> {
    await this.#sum.release();
  }
}
