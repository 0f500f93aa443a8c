/**
 * @file Final norm, output head and loss, in chunks of positions that carry a label.
 *
 * Rows without a label are never multiplied with the head, and the logits of more than one chunk never exist.
 */
import { gradients } from "../graph/autodiff.ts";
import { Graph, type Value } from "../graph/graph.ts";
import type { ProgramSpec } from "../graph/program.ts";
import { crossEntropy } from "../graph/ops/cross-entropy.ts";
import { linearCrossEntropy } from "../graph/ops/linear-cross-entropy.ts";
import { expandLike } from "../graph/ops/expand-like.ts";
import { headTensor } from "../models/architecture.ts";
import type { BaseModel } from "../models/base-model.ts";
import { linear } from "../nn/linear.ts";
import type { Overlay } from "../peft/attach.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { GRADIENT } from "./block-programs.ts";
import type { GradientSink } from "./gradient-sink.ts";

/** Positions of one chunk: 25 MB of logits a time for a vocabulary of 49,152. */
export const HEAD_CHUNK = 128;

/** A position of a pass and the id that it has to predict. */
export interface LabelledPosition {
  /** Row of the flattened activations [B·T, D]. */
  readonly index: number;
  readonly label: number;
}

type HeadProgram = "logits" | "loss" | "lossAndGradients";

export class Head {
  readonly #engine: Engine;
  readonly #base: BaseModel;
  readonly #adapter: Overlay | null;
  readonly #pool: BufferPool;
  readonly #compiled = new Map<HeadProgram, Promise<Program>>();

  /** `adapter` null: nothing is trained. Programs are compiled when first needed. */
  constructor(engine: Engine, base: BaseModel, adapter: Overlay | null, pool: BufferPool) {
    this.#engine = engine;
    this.#base = base;
    this.#adapter = adapter;
    this.#pool = pool;
  }

  #program(kind: HeadProgram): Promise<Program> {
    let program = this.#compiled.get(kind);
    if (!program) {
      program = this.#engine.compile(this.#spec(kind));
      this.#compiled.set(kind, program);
    }
    return program;
  }

  #spec(kind: HeadProgram): ProgramSpec {
    const { architecture, config } = this.#base;
    const graph = new Graph();
    const hidden = graph.input("hidden", "float32", ["N", config.width]);
    const tensors = Object.fromEntries(
      this.#names.map((name) => [
        name,
        graph.input(name, "float32", this.#base.specs.get(name)?.shape ?? []),
      ]),
    );
    const tensor = (name: string): Value => tensors[name] as Value;
    const normed = architecture.finalNorm.build(tensor, hidden, config);
    const head = tensor(headTensor(architecture, config));
    const { headBias } = architecture.names;
    const bias = headBias === null ? null : tensor(headBias);
    if (kind === "logits") {
      return { name: kind, inputs: { hidden, ...tensors }, outputs: { logits: linear(normed, head, bias) } };
    }
    const labels = graph.input("labels", "int64", ["N"]);
    const loss = bias
      ? crossEntropy(linear(normed, head, bias), labels)
      : linearCrossEntropy(normed, head, labels); // [N, 1]
    const inputs = { hidden, ...tensors, labels };
    if (kind === "loss") return { name: kind, inputs, outputs: { loss } };
    const scale = graph.input("scale", "float32", []);
    const trained = this.#names.filter((name) => this.#adapter?.parameters.some((p) => p.name === name));
    const [dHidden, ...found] = gradients(
      [{ value: loss, gradient: expandLike(scale, loss) }],
      [hidden, ...trained.map(tensor)],
    );
    const outputs = Object.fromEntries(trained.map((name, i) => [GRADIENT + name, found[i] as Value]));
    return {
      name: kind,
      inputs: { ...inputs, scale },
      outputs: { loss, dHidden: dHidden as Value, ...outputs },
    };
  }

  /** Tensors of the final norm and the head. */
  get #names(): readonly string[] {
    const { architecture, config } = this.#base;
    const { headBias } = architecture.names;
    return [
      ...architecture.finalNorm.tensors(config).map(({ name }) => name),
      headTensor(architecture, config),
      ...(headBias === null ? [] : [headBias]),
    ];
  }

  get #weights(): Record<string, HostTensor> {
    return Object.fromEntries(
      this.#names.map((name) => [name, this.#adapter?.input(name) ?? this.#base.outer(name)]),
    );
  }

  /** Logits of rows [N, D], [N, V]; the caller releases them. */
  async logits(hidden: HostTensor<"float32">): Promise<HostTensor<"float32">> {
    const logits = this.#pool.acquire("float32", [hidden.shape[0] as number, this.#base.config.vocabSize]);
    await (await this.#program("logits")).run({ hidden, ...this.#weights }, { logits });
    return logits;
  }

  /** Sum of the losses of the labelled positions of x [B, T, D]. */
  async loss(x: HostTensor<"float32">, labelled: readonly LabelledPosition[]): Promise<number> {
    const program = await this.#program("loss");
    let sum = 0;
    for (const chunk of chunksOf(labelled)) {
      const { hidden, labels } = this.#pick(x, chunk);
      const loss = this.#pool.acquire("float32", [chunk.length, 1]);
      await program.run({ hidden, labels, ...this.#weights }, { loss });
      sum += total(loss);
      this.#pool.release(hidden, labels, loss);
    }
    return sum;
  }

  /**
   * Sum of the losses, and dx [B, T, D] of `scale` times that sum, which the caller releases. Gradients of the norm and
   * the head go into the sink where they are trained.
   */
  async lossAndGradient(
    x: HostTensor<"float32">,
    labelled: readonly LabelledPosition[],
    scale: number,
    sink: GradientSink,
  ): Promise<{ lossSum: number; dx: HostTensor<"float32"> }> {
    const program = await this.#program("lossAndGradients");
    const { width } = this.#base.config;
    const dx = this.#pool.acquire("float32", x.shape);
    dx.data.fill(0);
    const scaleTensor = hostTensor("float32", [], Float32Array.of(scale));
    let lossSum = 0;
    for (const chunk of chunksOf(labelled)) {
      const { hidden, labels } = this.#pick(x, chunk);
      const loss = this.#pool.acquire("float32", [chunk.length, 1]);
      const dHidden = this.#pool.acquire("float32", hidden.shape);
      const targets = Object.keys(program.spec.outputs)
        .filter((output) => output.startsWith(GRADIENT))
        .map((output) => ({ output, name: output.slice(GRADIENT.length) }))
        .map(({ output, name }) => ({ output, name, tensor: sink.target(name) }));
      const into = Object.fromEntries(targets.map(({ output, tensor }) => [output, tensor]));
      await program.run({ hidden, labels, scale: scaleTensor, ...this.#weights }, { loss, dHidden, ...into });
      for (const { name, tensor } of targets) await sink.add(name, tensor);
      lossSum += total(loss);
      chunk.forEach(({ index }, i) => {
        dx.data.set(dHidden.data.subarray(i * width, (i + 1) * width), index * width);
      });
      this.#pool.release(hidden, labels, loss, dHidden);
    }
    return { lossSum, dx };
  }

  #pick(
    x: HostTensor<"float32">,
    chunk: readonly LabelledPosition[],
  ): { hidden: HostTensor<"float32">; labels: HostTensor<"int64"> } {
    const { width } = this.#base.config;
    const hidden = this.#pool.acquire("float32", [chunk.length, width]);
    const labels = this.#pool.acquire("int64", [chunk.length]);
    chunk.forEach(({ index, label }, i) => {
      hidden.data.set(x.data.subarray(index * width, (index + 1) * width), i * width);
      labels.data[i] = BigInt(label);
    });
    return { hidden, labels };
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    for (const program of this.#compiled.values()) await (await program.catch(() => null))?.release();
    this.#compiled.clear();
  }
}

function chunksOf(labelled: readonly LabelledPosition[]): LabelledPosition[][] {
  return Array.from({ length: Math.ceil(labelled.length / HEAD_CHUNK) }, (_, i) =>
    labelled.slice(i * HEAD_CHUNK, (i + 1) * HEAD_CHUNK),
  );
}

function total({ data }: HostTensor<"float32">): number {
  return data.reduce((sum, value) => sum + value, 0);
}
