/**
 * @file Final norm, output head and loss, in chunks of positions that carry a label.
 *
 * Rows without a label are never multiplied with the head, and the logits of more than one chunk never exist.
 */
import { gradients } from "../graph/autodiff.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { linearCrossEntropy } from "../graph/ops/linear-cross-entropy.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { expandLike } from "../graph/ops/expand-like.ts";
import { rmsNorm } from "../graph/ops/rms-norm.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { GradientSink } from "./gradient-sink.ts";

/** Positions of one chunk: 25 MB of logits a time for a vocabulary of 49,152. */
export const HEAD_CHUNK = 128;

/** A position of a pass and the id that it has to predict. */
export interface LabelledPosition {
  /** Row of the flattened activations [B·T, D]. */
  readonly index: number;
  readonly label: number;
}

export class Head {
  readonly #base: BaseModel;
  readonly #adapter: Adapter | null;
  readonly #pool: BufferPool;
  readonly #loss: Program;
  readonly #lossAndGradients: Program | null;
  readonly #logits: Program;

  private constructor(parts: {
    base: BaseModel;
    adapter: Adapter | null;
    pool: BufferPool;
    loss: Program;
    lossAndGradients: Program | null;
    logits: Program;
  }) {
    this.#base = parts.base;
    this.#adapter = parts.adapter;
    this.#pool = parts.pool;
    this.#loss = parts.loss;
    this.#lossAndGradients = parts.lossAndGradients;
    this.#logits = parts.logits;
  }

  /** Compiles the programs; the one with gradients only for an adapter. */
  static async create(
    engine: Engine,
    base: BaseModel,
    adapter: Adapter | null,
    pool: BufferPool,
  ): Promise<Head> {
    const { width, vocabSize, normEpsilon } = base.config;
    const graph = new Graph();
    const hidden = graph.input("hidden", "float32", ["N", width]);
    const norm = graph.input("norm", "float32", [width]);
    const head = graph.input("head", "float32", [vocabSize, width]);
    const labels = graph.input("labels", "int64", ["N"]);
    const scale = graph.input("scale", "float32", []);
    const [normed] = rmsNorm(hidden, norm, normEpsilon);
    const loss = linearCrossEntropy(normed, head, labels); // [N, 1]
    const inputs = { hidden, norm, head, labels };
    const logits = await engine.compile({
      name: "logits",
      inputs: { hidden, norm, head },
      outputs: { logits: matmul(normed, head, { transB: true }) },
    });
    const lossOnly = await engine.compile({ name: "loss", inputs, outputs: { loss } });
    let lossAndGradients: Program | null = null;
    if (adapter) {
      const [dHidden, dNorm, dHead] = gradients(
        [{ value: loss, gradient: expandLike(scale, loss) }],
        [hidden, norm, head],
      );
      const { names } = base.architecture;
      lossAndGradients = await engine.compile({
        name: "loss-backward",
        inputs: { ...inputs, scale },
        outputs: {
          loss,
          dHidden: dHidden as Value,
          ...(adapter.tensor(names.finalNorm) ? { dNorm: dNorm as Value } : {}),
          ...(adapter.tensor(headName(base)) ? { dHead: dHead as Value } : {}),
        },
      });
    }
    return new Head({ base, adapter, pool, loss: lossOnly, lossAndGradients, logits });
  }

  get #weights(): { norm: HostTensor<"float32">; head: HostTensor<"float32"> } {
    const { names } = this.#base.architecture;
    return {
      norm: this.#adapter?.tensor(names.finalNorm) ?? this.#base.outer(names.finalNorm),
      head: this.#adapter?.tensor(headName(this.#base)) ?? this.#base.head(),
    };
  }

  /** Logits of rows [N, D], [N, V]; the caller releases them. */
  async logits(hidden: HostTensor<"float32">): Promise<HostTensor<"float32">> {
    const logits = this.#pool.acquire("float32", [hidden.shape[0] as number, this.#base.config.vocabSize]);
    await this.#logits.run({ hidden, ...this.#weights }, { logits });
    return logits;
  }

  /** Sum of the losses of the labelled positions of x [B, T, D], and the loss of each. */
  async loss(x: HostTensor<"float32">, labelled: readonly LabelledPosition[]): Promise<number> {
    let sum = 0;
    for (const chunk of chunksOf(labelled)) {
      const { hidden, labels } = this.#pick(x, chunk);
      const loss = this.#pool.acquire("float32", [chunk.length, 1]);
      await this.#loss.run({ hidden, labels, ...this.#weights }, { loss });
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
    const program = this.#lossAndGradients;
    if (!program) throw new TypeError("Cannot compute a gradient: nothing is trained");
    const { width } = this.#base.config;
    const dx = this.#pool.acquire("float32", x.shape);
    dx.data.fill(0);
    const scaleTensor = hostTensor("float32", [], Float32Array.of(scale));
    const trained = { dNorm: this.#base.architecture.names.finalNorm, dHead: headName(this.#base) };
    let lossSum = 0;
    for (const chunk of chunksOf(labelled)) {
      const { hidden, labels } = this.#pick(x, chunk);
      const loss = this.#pool.acquire("float32", [chunk.length, 1]);
      const dHidden = this.#pool.acquire("float32", hidden.shape);
      const targets = Object.entries(trained)
        .filter(([output]) => output in program.spec.outputs)
        .map(([output, name]) => ({ output, name, tensor: sink.target(name) }));
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
    await this.#loss.release();
    await this.#logits.release();
    await this.#lossAndGradients?.release();
  }
}

function headName(base: BaseModel): string {
  const { names } = base.architecture;
  return base.config.tiedHead ? names.embedding : names.head;
}

function chunksOf(labelled: readonly LabelledPosition[]): LabelledPosition[][] {
  return Array.from({ length: Math.ceil(labelled.length / HEAD_CHUNK) }, (_, i) =>
    labelled.slice(i * HEAD_CHUNK, (i + 1) * HEAD_CHUNK),
  );
}

function total({ data }: HostTensor<"float32">): number {
  return data.reduce((sum, value) => sum + value, 0);
}
