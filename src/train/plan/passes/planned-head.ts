/**
 * @file The head of a planned pass. It mirrors `run/head/label-head` and `run/head/vocabulary-head`: read it beside them.
 */
import type { TensorType } from "../../../graph/graph.ts";
import type { Bindings } from "../../../graph/shape.ts";
import type { PartGraph } from "../../../models/graphs/part-graph.ts";
import type { AdapterView } from "../../../peft/adapter-view.ts";
import type { Parameter } from "../../../peft/parameters.ts";
import {
  type HeadProgramKind,
  type HeadVariant,
  headArithmetic,
  headProgram,
} from "../../../run/head/head-graph.ts";
import { readsSlices } from "../../../run/head/head-programs.ts";
import { tableGradientProgram } from "../../../run/head/head-table.ts";
import { VOCABULARY_CHUNK, headChunkOf } from "../../../run/head/label-head.ts";
import { type VocabularyProgramKind, vocabularyProgram } from "../../../run/head/vocabulary-programs.ts";
import { SLICE_ROWS } from "../../../run/large-tables.ts";
import { PREDICTED_CHUNK } from "../../step/predictions.ts";
import type { PlannedGradients } from "./planned-gradients.ts";
import { type PassPlace, floats } from "./planned-place.ts";
import type { PlannedBlock } from "./planned-pool.ts";

export class PlannedHead {
  readonly #place: PassPlace;
  readonly #adapter: AdapterView;
  readonly #training: boolean;
  readonly #gradients: PlannedGradients;

  /** `training`: dropout is drawn. */
  constructor(
    place: PassPlace,
    adapter: AdapterView,
    gradients: PlannedGradients,
    { training }: { readonly training: boolean },
  ) {
    this.#place = place;
    this.#adapter = adapter;
    this.#training = training;
    this.#gradients = gradients;
  }

  get #trained(): readonly Parameter[] {
    return this.#adapter.trained(null);
  }

  #lend(type: TensorType, bindings: Bindings): PlannedBlock {
    return this.#place.pool.acquire(type, bindings);
  }

  #variant(kind: HeadProgramKind): HeadVariant {
    const arithmetic = headArithmetic(this.#place.session, this.#adapter, kind);
    return { kind, training: this.#training, arithmetic };
  }

  logProbs(numLabels: number): void {
    const { session, pool, programs } = this.#place;
    const variant = this.#variant("loss");
    if (readsSlices(session, this.#adapter, variant.arithmetic))
      return pool.release(...this.#vocabulary("loss", numLabels));
    const program = headProgram(session.model, this.#adapter, variant);
    for (const N of chunks(numLabels, headChunkOf(variant.arithmetic))) {
      const { made } = programs.build(program);
      const lent = [...this.#feeds(made.part, N), this.#lend(floats([N, 1]), {})];
      programs.run(program, { N });
      pool.release(...lent);
    }
  }

  /** Logits of labels, as in `train/step/predictions`. */
  predict(numLabels: number): void {
    const { session, pool, programs } = this.#place;
    const { model } = session;
    const variant = this.#variant("logits");
    const isSliced = readsSlices(session, this.#adapter, variant.arithmetic);
    for (const N of chunks(numLabels, PREDICTED_CHUNK)) {
      const lent = [model.width, model.numOutputs].map((columns) => this.#lend(floats([N, columns]), {}));
      if (isSliced) {
        this.#walk((V) => {
          const ofSlice = this.#lend(floats([N, V]), {});
          programs.run(vocabularyProgram(model, "logits"), { N, V });
          pool.release(ofSlice);
        });
      } else programs.run(headProgram(model, this.#adapter, variant), { N });
      pool.release(...lent);
    }
  }

  #feeds(part: PartGraph, N: number): PlannedBlock[] {
    const hidden = floats([N, this.#place.session.model.width]);
    const { model } = this.#place.session;
    const labels: TensorType = model.hasTargets
      ? floats([N, model.numOutputs])
      : { dtype: "int64", shape: [N] };
    const masks = part.dropout.map(({ mask }) => mask);
    return [hidden, labels, ...masks].map((type) => this.#lend(type, { N }));
  }

  /** Runs head and loss with gradients; returns dx. */
  gradient(numLabels: number, bindings: Bindings): PlannedBlock {
    const { session, pool, programs } = this.#place;
    const { model } = session;
    const dx = this.#lend(floats(["B", "T", model.width]), bindings);
    const variant = this.#variant("lossAndGradients");
    if (readsSlices(session, this.#adapter, variant.arithmetic)) {
      pool.release(...this.#vocabulary("gradient", numLabels));
      return dx;
    }
    const program = headProgram(model, this.#adapter, variant);
    for (const N of chunks(numLabels, headChunkOf(variant.arithmetic))) {
      const { made } = programs.build(program);
      const results = [
        [N, 1],
        [N, 1],
        [N, model.width],
        ...(made.slicedTable === null
          ? []
          : [
              [N, model.numOutputs],
              [N, model.width],
            ]),
      ];
      const lent = [...this.#feeds(made.part, N), ...results.map((shape) => this.#lend(floats(shape), {}))];
      this.#gradients.collect(this.#trained, made.gradients, () => void programs.run(program, { N }));
      if (made.slicedTable !== null) this.#table(made.slicedTable, N);
      pool.release(...lent);
    }
    return dx;
  }

  /** The gradient of the head's matrix, some rows at a time. */
  #table(table: string, N: number): void {
    const { session, programs, pool } = this.#place;
    const parameter = this.#trained.find(({ input }) => input === table)!;
    const [numRows = 0, width = 0] = parameter.shape;
    for (let from = 0; from < numRows; from += SLICE_ROWS) {
      const S = Math.min(SLICE_ROWS, numRows - from);
      const again = this.#gradients.has(parameter) ? [this.#lend(floats([S, width]), {})] : [];
      const dLogits = this.#lend(floats([N, S]), {});
      programs.run(tableGradientProgram(session.model.width), { N, S });
      pool.release(dLogits, ...again);
    }
    this.#gradients.add(parameter);
  }

  /** One walk over the vocabulary for all positions, in chunks; returns the blocks that the caller releases. */
  #vocabulary(wanted: "loss" | "gradient", numLabels: number): PlannedBlock[] {
    const hasGradient = wanted === "gradient";
    const { session, pool, programs } = this.#place;
    const { model } = session;
    const program = (kind: VocabularyProgramKind): ReturnType<typeof vocabularyProgram> =>
      vocabularyProgram(model, kind);
    const counts = chunks(numLabels, VOCABULARY_CHUNK);
    const lend = (N: number, columns: number): PlannedBlock => this.#lend(floats([N, columns]), {});
    const hidden = counts.map((N) => lend(N, model.width));
    const sums = counts.map((N) => {
      const own = [lend(N, 1), lend(N, model.width)];
      if (!hasGradient) return { own, gradient: [] };
      own.push(lend(N, 1), lend(N, model.width));
      return { own, gradient: [lend(N, model.width)] };
    });
    this.#walk((V) => {
      for (const N of counts) programs.run(program(hasGradient ? "log-sum-gradient" : "log-sum"), { N, V });
    });
    for (const N of counts) programs.run(program(hasGradient ? "label-gradient" : "label"), { N });
    pool.release(...sums.flatMap(({ own }) => own));
    return [...hidden, ...sums.flatMap(({ gradient }) => gradient)];
  }

  /** Lends slices of the head's matrix one after another, the next one while `visit` runs on a slice of so many rows. */
  #walk(visit: (numRows: number) => void): void {
    const { pool, session } = this.#place;
    const { numOutputs, width } = session.model;
    const sliceAt = (from: number): number => Math.min(SLICE_ROWS, numOutputs - from);
    const lend = (from: number): PlannedBlock => this.#lend(floats([sliceAt(from), width]), {});
    let ahead = lend(0);
    for (let from = 0; from < numOutputs; from += SLICE_ROWS) {
      const rows = ahead;
      const next = from + SLICE_ROWS;
      if (next < numOutputs) ahead = lend(next);
      visit(sliceAt(from));
      pool.release(rows);
    }
  }
}

/** Sizes of the chunks of some positions. */
function chunks(numLabels: number, length: number): number[] {
  return Array.from({ length: Math.ceil(numLabels / length) }, (_, i) =>
    Math.min(length, numLabels - i * length),
  );
}
