/**
 * @file Final norm, output head and loss, in chunks of positions that carry a label.
 *
 * Rows without a label are never multiplied with the head, and the logits of more than one chunk never exist.
 */
import { gradients } from "../graph/autodiff.ts";
import type { Value } from "../graph/graph.ts";
import { expandLike } from "../graph/ops/expand-like.ts";
import { neededInputs } from "../graph/program.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Overlay } from "../peft/attach.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { GRADIENT } from "./block-programs.ts";
import type { FillDropout } from "./block-runner.ts";
import type { GradientSink } from "./gradient-sink.ts";
import { type HeadGraph, buildHeadGraph } from "./head-graph.ts";

/** Positions of one chunk: 25 MB of logits a time for a vocabulary of 49,152. */
export const HEAD_CHUNK = 128;

/** What dropout is told as the site. */
const HEAD_SITE = "head";

/** A position of a pass and the id that it has to predict. */
export interface LabelledPosition {
  /** Row of the flattened activations [B·T, D]. */
  readonly index: number;
  readonly label: number;
}

type HeadKind = "logits" | "loss" | "lossAndGradients";

/** A compiled program with the graph it was cut from. */
interface HeadProgram {
  readonly program: Program;
  readonly head: HeadGraph;
}

export class Head {
  readonly #engine: Engine;
  readonly #base: BaseModel;
  readonly #overlay: Overlay | null;
  readonly #pool: BufferPool;
  readonly #fillDropout: FillDropout | null;
  readonly #compiled = new Map<HeadKind, Promise<HeadProgram>>();

  /**
   * `overlay` null: nothing is trained. `fillDropout` null: nothing is dropped; it is told of a chunk as of a layer after
   * the last. Programs are compiled when first needed.
   */
  constructor(
    engine: Engine,
    base: BaseModel,
    overlay: Overlay | null,
    pool: BufferPool,
    fillDropout: FillDropout | null = null,
  ) {
    this.#engine = engine;
    this.#base = base;
    this.#overlay = overlay;
    this.#pool = pool;
    this.#fillDropout = fillDropout;
  }

  #program(kind: HeadKind): Promise<HeadProgram> {
    let program = this.#compiled.get(kind);
    if (!program) {
      program = this.#compile(kind);
      this.#compiled.set(kind, program);
    }
    return program;
  }

  async #compile(kind: HeadKind): Promise<HeadProgram> {
    const training = kind === "lossAndGradients" && this.#fillDropout !== null;
    const head = buildHeadGraph(this.#base, this.#overlay, training);
    const { graph, hidden, tensors, logits, dropout } = head;
    const labels = graph.input("labels", "int64", ["N"]);
    const scale = graph.input("scale", "float32", []);
    const given = { hidden, ...tensors, labels, scale, ...(dropout ? { dropout: dropout.mask } : {}) };
    let outputs: Record<string, Value> = { logits };
    if (kind !== "logits") outputs = { loss: head.loss(labels) };
    if (kind === "lossAndGradients") {
      const loss = outputs["loss"] as Value;
      const trained = Object.keys(tensors).filter((name) =>
        this.#overlay?.parameters.some((parameter) => parameter.name === name),
      );
      const [dHidden, ...found] = gradients(
        [{ value: loss, gradient: expandLike(scale, loss) }],
        [hidden, ...trained.map((name) => tensors[name] as Value)],
      );
      outputs["dHidden"] = dHidden as Value;
      for (const [i, name] of trained.entries()) outputs[GRADIENT + name] = found[i] as Value;
    }
    const spec = { name: `head-${kind}`, inputs: neededInputs(outputs, given), outputs };
    return { program: await this.#engine.compile(spec), head };
  }

  #weights({ tensors }: HeadGraph): Record<string, HostTensor> {
    return Object.fromEntries(
      Object.keys(tensors).map((name) => [name, this.#overlay?.input(name) ?? this.#base.outer(name)]),
    );
  }

  /** Logits of rows [N, D], [N, V]; the caller releases them. */
  async logits(hidden: HostTensor<"float32">): Promise<HostTensor<"float32">> {
    const logits = this.#pool.acquire("float32", [hidden.shape[0] as number, this.#base.config.vocabSize]);
    const { program, head } = await this.#program("logits");
    await program.run({ hidden, ...this.#weights(head) }, { logits });
    return logits;
  }

  /** Logits of some positions of x [B, T, D], rows of its flattened form, [N, V]; the caller releases them. */
  async logitsAt(x: HostTensor<"float32">, positions: readonly number[]): Promise<HostTensor<"float32">> {
    const hidden = this.#gather(x, positions);
    const logits = await this.logits(hidden);
    this.#pool.release(hidden);
    return logits;
  }

  /** Sum of the losses of the labelled positions of x [B, T, D]. */
  async loss(x: HostTensor<"float32">, labelled: readonly LabelledPosition[]): Promise<number> {
    const { program, head } = await this.#program("loss");
    let sum = 0;
    for (const chunk of chunksOf(labelled)) {
      const { hidden, labels } = this.#pick(x, chunk);
      const loss = this.#pool.acquire("float32", [chunk.length, 1]);
      await program.run({ hidden, labels, ...this.#weights(head) }, { loss });
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
    const { program, head } = await this.#program("lossAndGradients");
    const { width, numLayers } = this.#base.config;
    const { dropout } = head;
    const dx = this.#pool.acquire("float32", x.shape);
    dx.data.fill(0);
    const scaleTensor = hostTensor("float32", [], Float32Array.of(scale));
    let lossSum = 0;
    for (const [index, chunk] of chunksOf(labelled).entries()) {
      const { hidden, labels } = this.#pick(x, chunk);
      const feeds: Record<string, HostTensor> = { hidden, labels, scale: scaleTensor };
      if (dropout) {
        const mask = this.#pool.acquire("float32", hidden.shape);
        this.#fillDropout?.(numLayers + index, HEAD_SITE, mask.data, dropout.probability);
        feeds["dropout"] = mask;
      }
      const loss = this.#pool.acquire("float32", [chunk.length, 1]);
      const dHidden = this.#pool.acquire("float32", hidden.shape);
      const targets = Object.keys(program.spec.outputs)
        .filter((output) => output.startsWith(GRADIENT))
        .map((output) => ({ output, name: output.slice(GRADIENT.length) }))
        .map(({ output, name }) => ({ output, name, tensor: sink.target(name) }));
      const into = Object.fromEntries(targets.map(({ output, tensor }) => [output, tensor]));
      await program.run({ ...feeds, ...this.#weights(head) }, { loss, dHidden, ...into });
      for (const { name, tensor } of targets) await sink.add(name, tensor);
      lossSum += total(loss);
      chunk.forEach(({ index }, i) => {
        dx.data.set(dHidden.data.subarray(i * width, (i + 1) * width), index * width);
      });
      this.#pool.release(hidden, labels, loss, dHidden, ...(feeds["dropout"] ? [feeds["dropout"]] : []));
    }
    return { lossSum, dx };
  }

  #pick(
    x: HostTensor<"float32">,
    chunk: readonly LabelledPosition[],
  ): { hidden: HostTensor<"float32">; labels: HostTensor<"int64"> } {
    const labels = this.#pool.acquire("int64", [chunk.length]);
    labels.data.set(chunk.map(({ label }) => BigInt(label)));
    const positions = chunk.map(({ index }) => index);
    return { hidden: this.#gather(x, positions), labels };
  }

  /** Rows of the flattened x [B, T, D], [N, D]; lent. */
  #gather(x: HostTensor<"float32">, positions: readonly number[]): HostTensor<"float32"> {
    const { width } = this.#base.config;
    const hidden = this.#pool.acquire("float32", [positions.length, width]);
    positions.forEach((position, i) => {
      hidden.data.set(x.data.subarray(position * width, (position + 1) * width), i * width);
    });
    return hidden;
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    for (const program of this.#compiled.values()) await (await program.catch(() => null))?.program.release();
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
