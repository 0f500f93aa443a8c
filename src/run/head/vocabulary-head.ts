/**
 * @file The head of a vocabulary whose matrix is never in float32 as a whole: some of its rows are read and dequantized,
 * multiplied with all positions, and dropped. One walk over the vocabulary gives log-probabilities and gradients:
 *
 *   log p(label) = l_label - L,  L = log Σ_v e^(l_v)        d L = Σ_s e^(L_s - L) d L_s over slices s
 *
 * The logit of a label is computed separately, as a product with one row of the matrix.
 */
import { dimsOf, sizeAt } from "../../graph/shape.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import type { Program } from "../../runtime/engine.ts";
import { type HostTensor, hostTensor, type Tensors } from "../../runtime/host-tensor.ts";
import type { BetweenBlocks } from "../blocks/forward-blocks.ts";
import type { Session } from "../session.ts";
import type { Compiled } from "../session-programs.ts";
import { type Slice, matrixSlices } from "./matrix-slices.ts";
import {
  type VocabularyProgram,
  type VocabularyProgramKind,
  vocabularyProgram,
} from "./vocabulary-programs.ts";

/** Positions with their labels, [N]; `hidden` [N, D] of the last block. */
export interface LabelledRows {
  readonly hidden: HostTensor<"float32">;
  readonly labels: Int32Array;
}

/** Results for some positions, accumulated over the slices. */
interface Sums {
  readonly rows: LabelledRows;
  /** L over the slices so far, [N]. */
  readonly logSum: Float64Array;
  /** L of one slice; in the end, the logits of the labels, [N, 1]. */
  readonly part: HostTensor<"float32">;
  /** The matrix row of each label, [N, D]. */
  readonly labelRows: HostTensor<"float32">;
  /** If gradients are wanted: that of one slice (`part`) and their sum, [N, D], and the incoming gradient (`seed`), [N, 1]. */
  readonly gradient: {
    readonly seed: HostTensor<"float32">;
    readonly part: HostTensor<"float32">;
    readonly sum: HostTensor<"float32">;
  } | null;
}

/** Runs a program on one slice of the matrix. */
type Run = Program["run"];

export class VocabularyHead {
  readonly #session: Session;
  readonly #betweenBlocks: BetweenBlocks | undefined;

  /** `betweenBlocks` is awaited before each product. */
  constructor(session: Session, betweenBlocks?: BetweenBlocks) {
    this.#session = session;
    this.#betweenBlocks = betweenBlocks;
  }

  #program(kind: VocabularyProgramKind): Promise<Compiled<VocabularyProgram>> {
    const { key, make } = vocabularyProgram(this.#session.model, kind);
    return this.#session.compile(key, make);
  }

  /** Tensors of the final norm. */
  async #readNorm({ tensors }: PartGraph): Promise<Tensors> {
    return await this.#session.weights.readOutsideBlocks(Object.keys(tensors));
  }

  /** The biases of all outputs; null: the head has none. */
  async #readBiases({ part }: VocabularyProgram): Promise<Float32Array | null> {
    const { rows } = part.head;
    if (!rows?.biases) return null;
    const name = rows.tensor.replace(/weight$/, "bias");
    const { [name]: biases } = await this.#session.weights.readOutsideBlocks([name]);
    return biases!.data;
  }

  /** Writes all logits [N, V] of rows [N, D] into the caller's memory. */
  async logits(hidden: HostTensor<"float32">, into: Float32Array): Promise<void> {
    const numRows = sizeAt(hidden.shape, 0);
    const { numOutputs } = this.#session.model;
    for await (const { run, slice } of this.#slices("logits")) {
      const { from, rows } = slice;
      const count = sizeAt(rows.shape, 0);
      const logits = this.#session.pool.acquire("float32", [numRows, count]);
      try {
        await run({ hidden }, { logits });
        for (let row = 0; row < numRows; row++) {
          into.set(logits.data.subarray(row * count, (row + 1) * count), row * numOutputs + from);
        }
      } finally {
        this.#session.pool.release(logits);
      }
    }
  }

  /** Writes the log-probability of each label, in the order of the positions. */
  async logProbs(positions: readonly LabelledRows[], into: Float32Array): Promise<void> {
    const sums = positions.map((rows) => this.#begin(rows, null));
    try {
      for await (const { run, slice } of this.#slices("log-sum")) {
        for (const each of sums) {
          await run({ hidden: each.rows.hidden }, { logSum: each.part });
          addSlice(each, slice);
        }
      }
      await this.#finish("label", sums, into);
    } finally {
      this.#release(sums);
    }
  }

  /**
   * As `logProbs`, and returns d hidden [N, D] of a function of the log-probabilities with these derivatives, for each item of
   * `positions`; the caller releases them.
   */
  async gradient(
    positions: readonly LabelledRows[],
    derivatives: Float32Array,
    into: Float32Array,
  ): Promise<HostTensor<"float32">[]> {
    let first = 0;
    const sums = positions.map((rows) => {
      const end = first + rows.labels.length;
      const begun = this.#begin(rows, derivatives.subarray(first, end));
      first = end;
      return begun;
    });
    const gradients = sums.map(({ gradient }) => gradient!.sum);
    try {
      for await (const { run, slice } of this.#slices("log-sum-gradient")) {
        for (const each of sums) {
          const { seed, part: dHidden } = each.gradient!;
          await run({ hidden: each.rows.hidden, seed }, { logSum: each.part, dHidden });
          addSlice(each, slice);
        }
      }
      await this.#finish("label-gradient", sums, into);
      return gradients;
    } catch (error) {
      this.#session.pool.release(...gradients);
      throw error;
    } finally {
      this.#release(sums);
    }
  }

  #begin(rows: LabelledRows, derivatives: Float32Array | null): Sums {
    const { pool } = this.#session;
    const { shape } = rows.hidden;
    const numRows = rows.labels.length;
    const acquire = (columns: number): HostTensor<"float32"> => pool.acquire("float32", [numRows, columns]);
    const logSum = new Float64Array(numRows).fill(-Infinity);
    const begun = { rows, logSum, part: acquire(1), labelRows: pool.acquire("float32", shape) };
    if (derivatives === null) return { ...begun, gradient: null };
    const seed = acquire(1);
    for (let i = 0; i < numRows; i++) seed.data[i] = -derivatives[i]!;
    const gradient = { seed, part: pool.acquire("float32", shape), sum: pool.acquire("float32", shape) };
    gradient.sum.data.fill(0);
    return { ...begun, gradient };
  }

  /** Releases all but the gradients. */
  #release(sums: readonly Sums[]): void {
    for (const { part, labelRows, gradient } of sums) {
      this.#session.pool.release(part, labelRows, ...(gradient ? [gradient.seed, gradient.part] : []));
    }
  }

  /** Writes the log-probability of each label, and adds the gradient of its logit. */
  async #finish(kind: VocabularyProgramKind, sums: readonly Sums[], into: Float32Array): Promise<void> {
    const { program, made } = await this.#program(kind);
    const norm = await this.#readNorm(made.part);
    const biases = await this.#readBiases(made);
    let first = 0;
    for (const { rows, logSum, part, labelRows, gradient } of sums) {
      const { hidden, labels } = rows;
      const own = biases && Float32Array.from(labels, (label) => biases[label]!);
      const ofLabels = own && { biases: hostTensor("float32", [labels.length, 1], own) };
      const feeds = { ...norm, ...ofLabels, hidden, rows: labelRows };
      if (gradient === null) await program.run(feeds, { logit: part });
      else {
        const { seed, part: dHidden, sum } = gradient;
        await program.run({ ...feeds, seed }, { logit: part, dHidden });
        // The incoming gradient is that of -L.
        for (let i = 0; i < sum.data.length; i++) sum.data[i]! -= dHidden.data[i]!;
      }
      for (let i = 0; i < labels.length; i++) into[first + i] = part.data[i]! - logSum[i]!;
      first += labels.length;
    }
  }

  /** Reads one slice of the matrix after another, each with a function that runs a program on it. */
  async *#slices(kind: VocabularyProgramKind): AsyncGenerator<{ slice: Slice; run: Run }, void, void> {
    const { program, made } = await this.#program(kind);
    const norm = await this.#readNorm(made.part);
    const biases = await this.#readBiases(made);
    for await (const slice of matrixSlices(this.#session, made.matrix)) {
      const { from, rows } = slice;
      const count = sizeAt(rows.shape, 0);
      const own = biases && { biases: hostTensor("float32", [count], biases.slice(from, from + count)) };
      const run: Run = async (feeds, into) => {
        await this.#betweenBlocks?.();
        await program.run({ ...norm, ...feeds, ...own, rows }, into);
      };
      yield { slice, run };
    }
  }
}

/** Adds L of a slice, and its gradient; keeps the matrix rows of labels in this slice. */
function addSlice(
  { rows, logSum, part, labelRows, gradient }: Sums,
  { from, rows: { shape, data } }: Slice,
): void {
  const { labels } = rows;
  const [count, width] = dimsOf(shape, 2);
  for (let i = 0; i < labels.length; i++) {
    const row = labels[i]! - from;
    const [start, end] = [i * width, (i + 1) * width];
    if (row >= 0 && row < count) labelRows.data.set(data.subarray(row * width, (row + 1) * width), start);
    const [before, own] = [logSum[i]!, part.data[i]!];
    const after = addExponents(before, own);
    logSum[i] = after;
    if (gradient === null) continue;
    const [kept, added] = [Math.exp(before - after), Math.exp(own - after)];
    const [sum, dHidden] = [gradient.sum.data, gradient.part.data];
    for (let at = start; at < end; at++) sum[at] = sum[at]! * kept + dHidden[at]! * added;
  }
}

/** log(e^a + e^b) */
function addExponents(a: number, b: number): number {
  const [larger, smaller] = a > b ? [a, b] : [b, a];
  return larger + Math.log1p(Math.exp(smaller - larger));
}
