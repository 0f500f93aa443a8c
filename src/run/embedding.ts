/** @file What stands before the blocks, and its gradient where it is trained: rows of a table, or a family's own graph. */
import { gradients } from "../graph/autodiff.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { gatherRows } from "../graph/ops/gather-rows.ts";
import { neededInputs } from "../graph/program.ts";
import { evaluateShape } from "../graph/shape.ts";
import { outerSites, outerTensors } from "../models/architecture.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Overlay } from "../peft/attach.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { GRADIENT } from "./block-programs.ts";
import type { GradientSink } from "./gradient-sink.ts";

/** Ids int64 [B, T] of tokens, or pixels [B, C, H, W] of images: what the model's stem reads. */
export type ModelInput = HostTensor<"int64"> | HostTensor<"float32">;

export class Embedding {
  readonly #base: BaseModel;
  readonly #adapter: Overlay | null;
  readonly #pool: BufferPool;
  readonly #x: Value;
  /** Names of the tensors that the programs read. */
  readonly #names: readonly string[];
  readonly #forward: Program;
  readonly #backward: Program | null;

  private constructor(parts: {
    base: BaseModel;
    adapter: Overlay | null;
    pool: BufferPool;
    x: Value;
    names: readonly string[];
    forward: Program;
    backward: Program | null;
  }) {
    this.#base = parts.base;
    this.#adapter = parts.adapter;
    this.#pool = parts.pool;
    this.#x = parts.x;
    this.#names = parts.names;
    this.#forward = parts.forward;
    this.#backward = parts.backward;
  }

  /** Compiles the programs. */
  static async create(
    engine: Engine,
    base: BaseModel,
    adapter: Overlay | null,
    pool: BufferPool,
  ): Promise<Embedding> {
    const graph = new Graph();
    const { input, tensors, x } = buildStem(graph, base, adapter);
    const forward = await engine.compile({ name: "embed", inputs: { ...tensors, input }, outputs: { x } });
    const trained = Object.entries(tensors).filter(([name]) =>
      adapter?.parameters.some((parameter) => parameter.name === name),
    );
    let backward: Program | null = null;
    if (trained.length > 0) {
      const dx = graph.input("dx", "float32", x.shape);
      const found = gradients(
        [{ value: x, gradient: dx }],
        trained.map(([, tensor]) => tensor),
      );
      const outputs = Object.fromEntries(trained.map(([name], i) => [GRADIENT + name, found[i] as Value]));
      backward = await engine.compile({
        name: "embed-backward",
        inputs: neededInputs(outputs, { ...tensors, input, dx }),
        outputs,
      });
    }
    return new Embedding({ base, adapter, pool, x, names: Object.keys(tensors), forward, backward });
  }

  /** Whether anything of it is trained. */
  get isTrained(): boolean {
    return this.#backward !== null;
  }

  get #tensors(): Record<string, HostTensor> {
    return Object.fromEntries(
      this.#names.map((name) => [name, this.#adapter?.input(name) ?? this.#base.outer(name)]),
    );
  }

  /** Embeds what the model reads to x [B, T, D]; the caller releases the result. */
  async forward(input: ModelInput): Promise<HostTensor<"float32">> {
    const [B = 0, T = 0] = input.shape;
    const x = this.#pool.acquire("float32", evaluateShape(this.#x.shape, { B, T }));
    await this.#forward.run({ ...this.#tensors, input }, { x });
    return x;
  }

  /** Collects the gradients of what is trained from dx [B, T, D]. */
  async backward(input: ModelInput, dx: HostTensor<"float32">, sink: GradientSink): Promise<void> {
    if (!this.#backward) return;
    const targets = Object.keys(this.#backward.spec.outputs).map((output) => {
      const name = output.slice(GRADIENT.length);
      return { output, name, tensor: sink.target(name) };
    });
    const into = Object.fromEntries(targets.map(({ output, tensor }) => [output, tensor]));
    await this.#backward.run({ ...this.#tensors, input, dx }, into);
    for (const { name, tensor } of targets) await sink.add(name, tensor);
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#forward.release();
    await this.#backward?.release();
  }
}

/** Builds x [B, T, D] from what the model reads; `tensors`: those of the base and of what sits on it, by full name. */
function buildStem(
  graph: Graph,
  { architecture, config }: BaseModel,
  adapter: Overlay | null,
): { input: Value; tensors: Record<string, Value>; x: Value } {
  const { before } = outerTensors(architecture, config);
  const tensors: Record<string, Value> = {};
  for (const { name, shape } of before) tensors[name] = graph.input(name, "float32", shape);
  const tensor = (name: string): Value => tensors[name] as Value;
  const { stem } = architecture;
  if (stem.reads === "tokens") {
    const ids = graph.input("input", "int64", ["B", "T"]);
    const rows = gatherRows(tensor(stem.embedding), ids);
    const spec = outerSites(architecture, config).find(({ kind }) => kind === "embedding")!;
    const x = adapter?.lookUp({
      spec,
      ids,
      rows,
      input: (suffix, shape, dtype) =>
        (tensors[`${spec.name}.${suffix}`] ??= graph.input(`${spec.name}.${suffix}`, dtype, shape)),
    });
    return { input: ids, tensors, x: x ?? rows };
  }
  const { channels = 0, size = 0 } = config.image ?? {};
  const pixels = graph.input("input", "float32", ["B", channels, size, size]);
  return { input: pixels, tensors, x: stem.build(tensor, pixels, config) };
}
