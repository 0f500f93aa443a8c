/**
 * @file The head of a large vocabulary: its matrix is never held in float32, but read some rows at a time.
 *
 *   log p(label) = l_label - L,  L = log Σ_v e^(l_v)        d log p / d l_v = [v = label] - e^(l_v - L)
 *
 * The first walk over the vocabulary finds L, the second adds up gradients. The logit of the label is a product of its own
 * with one row of the matrix. What a family does to its logits one by one, such as a cap, is part of each program.
 */
import { gradients } from "../graph/autodiff.ts";
import type { Value } from "../graph/graph.ts";
import { exp, sub } from "../graph/ops/elementwise.ts";
import { expandLike } from "../graph/ops/reduce-expand.ts";
import { logSumExp } from "../graph/ops/log-sum-exp.ts";
import { type ProgramSpec, neededInputs } from "../graph/program.ts";
import { type HeadProduct, PLAIN_PART, type PartGraph } from "../models/part-graph.ts";
import type { Model } from "../models/model.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import type { Makeable } from "./block-programs.ts";
import type { Compiled, Session } from "./session.ts";

export type VocabularyProgramKind = "logits" | "log-sum" | "log-sum-gradient" | "label" | "label-gradient";

/** Positions with their labels; `hidden` [N, D] of the last block. */
export interface LabelledRows {
  readonly hidden: HostTensor<"float32">;
  readonly labels: Int32Array;
}

/** A program of the head, and the tensor whose rows it multiplies with. */
interface VocabularyProgram {
  readonly part: PartGraph;
  readonly matrix: string;
}

export class VocabularyHead {
  readonly #session: Session;
  readonly #outer: (part: PartGraph) => Promise<Record<string, HostTensor>>;

  /** `outer` gives the tensors of a part, those of the final norm. */
  constructor(session: Session, outer: (part: PartGraph) => Promise<Record<string, HostTensor>>) {
    this.#session = session;
    this.#outer = outer;
  }

  #program(kind: VocabularyProgramKind): Promise<Compiled<VocabularyProgram>> {
    const { key, make } = vocabularyProgram(this.#session.model, kind);
    return this.#session.compile(key, make);
  }

  /** Writes all logits [N, V] of rows [N, D] into memory of the caller. */
  async logits(hidden: HostTensor<"float32">, into: Float32Array): Promise<void> {
    const numRows = hidden.shape[0] as number;
    const { numOutputs } = this.#session.model;
    await this.#walk("logits", async (run, from, count) => {
      const logits = this.#session.pool.acquire("float32", [numRows, count]);
      await run({ hidden }, { logits });
      for (let row = 0; row < numRows; row++) {
        into.set(logits.data.subarray(row * count, (row + 1) * count), row * numOutputs + from);
      }
      this.#session.pool.release(logits);
    });
  }

  /** Writes the log-probability of each label; gives L [N, 1], which the caller releases. */
  async logProbs({ hidden, labels }: LabelledRows, into: Float32Array): Promise<HostTensor<"float32">> {
    const { pool } = this.#session;
    const numRows = labels.length;
    const logSum = pool.acquire("float32", [numRows, 1]);
    logSum.data.fill(-Infinity);
    const part = pool.acquire("float32", [numRows, 1]);
    await this.#walk("log-sum", async (run) => {
      await run({ hidden }, { logSum: part });
      for (let i = 0; i < numRows; i++) logSum.data[i] = addExponents(logSum.data[i]!, part.data[i]!);
    });
    await this.#ofLabels("label", { hidden, labels }, {}, { logit: part });
    for (let i = 0; i < numRows; i++) into[i] = part.data[i]! - logSum.data[i]!;
    pool.release(part);
    return logSum;
  }

  /** d hidden [N, D] of a function of the log-probabilities with these derivatives [N, 1]; the caller releases it. */
  async gradient(
    rows: LabelledRows,
    logSum: HostTensor<"float32">,
    derivatives: HostTensor<"float32">,
  ): Promise<HostTensor<"float32">> {
    const { pool } = this.#session;
    const { hidden } = rows;
    const dHidden = pool.acquire("float32", hidden.shape);
    const part = pool.acquire("float32", hidden.shape);
    await this.#ofLabels("label-gradient", rows, { scale: derivatives }, { dHidden });
    const scale = pool.acquire("float32", derivatives.shape);
    for (let i = 0; i < scale.data.length; i++) scale.data[i] = -derivatives.data[i]!;
    await this.#walk("log-sum-gradient", async (run) => {
      await run({ hidden, logSum, scale }, { dHidden: part });
      for (let i = 0; i < part.data.length; i++) dHidden.data[i] = dHidden.data[i]! + part.data[i]!;
    });
    pool.release(part, scale);
    return dHidden;
  }

  /** Runs a program on one slice of the matrix after another; `run` binds the slice. */
  async #walk(
    kind: VocabularyProgramKind,
    visit: (
      run: (feeds: Record<string, HostTensor>, into: Record<string, HostTensor>) => Promise<void>,
      from: number,
      count: number,
    ) => Promise<void>,
  ): Promise<void> {
    const { pool, model, base, sliceRows } = this.#session;
    const { program, made } = await this.#program(kind);
    const outer = await this.#outer(made.part);
    for (let from = 0; from < model.numOutputs; from += sliceRows) {
      const count = Math.min(sliceRows, model.numOutputs - from);
      const rows = pool.acquire("float32", [count, model.width]);
      await base.source.readInto(made.matrix, rows.data, from * model.width);
      await visit((feeds, into) => program.run({ ...outer, ...feeds, rows }, into), from, count);
      pool.release(rows);
    }
  }

  async #ofLabels(
    kind: VocabularyProgramKind,
    { hidden, labels }: LabelledRows,
    feeds: Record<string, HostTensor>,
    into: Record<string, HostTensor>,
  ): Promise<void> {
    const { pool, base } = this.#session;
    const { program, made } = await this.#program(kind);
    const width = hidden.shape[1] as number;
    const rows = pool.acquire("float32", hidden.shape);
    for (const [i, label] of labels.entries()) {
      const row = rows.data.subarray(i * width, (i + 1) * width);
      await base.source.readInto(made.matrix, row, label * width);
    }
    await program.run({ ...(await this.#outer(made.part)), ...feeds, hidden, rows }, into);
    pool.release(rows);
  }
}

/** log(e^a + e^b) */
function addExponents(a: number, b: number): number {
  const [larger, smaller] = a > b ? [a, b] : [b, a];
  return larger + Math.log1p(Math.exp(smaller - larger));
}

/** A program of the head of a large vocabulary, not compiled. */
export function vocabularyProgram(model: Model, kind: VocabularyProgramKind): Makeable<VocabularyProgram> {
  const make = (): { spec: ProgramSpec; made: VocabularyProgram } => {
    const headProduct: HeadProduct = kind.startsWith("label") ? "row-by-row" : "slice";
    const { part, x: hidden, y: logits } = model.buildHead({ ...PLAIN_PART, headProduct });
    const matrix = model.storedName(part.headRows?.tensor ?? "");
    return { spec: cutProgram(kind, part, hidden, logits), made: { part, matrix } };
  };
  return { key: `vocabulary ${kind}`, make };
}

function cutProgram(kind: VocabularyProgramKind, part: PartGraph, hidden: Value, logits: Value): ProgramSpec {
  const { graph } = part;
  const scale = graph.input("scale", "float32", ["N", 1]);
  const logSum = graph.input("logSum", "float32", ["N", 1]);
  const gradientOf = (value: Value, seed: Value): Record<string, Value> => {
    const [dHidden] = gradients([{ value, gradient: seed }], [hidden]);
    return { dHidden: dHidden as Value };
  };
  const outputs = {
    logits: () => ({ logits }),
    "log-sum": () => ({ logSum: logSumExp(logits) }),
    "log-sum-gradient": () => {
      const p = exp(sub(logits, logSum));
      return gradientOf(p, expandLike(scale, p));
    },
    label: () => ({ logit: logits }),
    "label-gradient": () => gradientOf(logits, scale),
  }[kind]();
  const given = { hidden, ...part.inputs(), scale, logSum };
  return { name: `vocabulary-${kind}`, inputs: neededInputs(outputs, given), outputs };
}
