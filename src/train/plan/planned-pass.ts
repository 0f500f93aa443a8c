/**
 * @file Passes over a model as `train/step/step-runner`, `run/block-runner`, `run/embedding` and `run/head/head` make them, with sizes
 * in the place of numbers: what they lend, and what their programs need. One file, so that it can be read beside them.
 */
import type { ProgramSpec } from "../../graph/program.ts";
import type { TensorType, Value } from "../../graph/graph.ts";
import { type Bindings, evaluateShape, numElements } from "../../graph/shape.ts";
import type { PartGraph } from "../../models/part-graph.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { Parameter } from "../../peft/parameters.ts";
import { BackwardPlanner, type BlockPlan } from "../../run/backward-plan.ts";
import { type Saves, blockProgram } from "../../run/block-programs.ts";
import { type BlockStructure, structuresOf } from "../../run/block-structure.ts";
import type { GradientOutput } from "../../run/gradient-buffer.ts";
import { stemProgram, trainsStem } from "../../run/embedding.ts";
import { readsSlices } from "../../run/head/head-programs.ts";
import { VOCABULARY_CHUNK, headChunkOf } from "../../run/head/label-head.ts";
import {
  type HeadProgramKind,
  type HeadVariant,
  headArithmetic,
  headProgram,
} from "../../run/head/head-graph.ts";
import { tableGradientProgram } from "../../run/head/head-table.ts";
import { SLICE_ROWS } from "../../run/session.ts";
import { type VocabularyProgramKind, vocabularyProgram } from "../../run/head/vocabulary-head.ts";
import type { PlannedModel } from "./planned-model.ts";
import type { ActivationForm } from "../activations/keeping.ts";
import { type Recompute, savesOf } from "../recompute.ts";
import { PlannedKept } from "./planned-kept.ts";
import type { PlannedBlock, PlannedPool } from "./planned-pool.ts";
import type { PlannedPrograms } from "./planned-programs.ts";

/** Sizes of a micro-batch: rows B, tokens of a row T, positions with a label N. */
export interface PassShape {
  readonly numRows: number;
  readonly length: number;
  readonly numLabels: number;
}

/** What happens to activations between the two passes. */
export interface Keeping {
  readonly recompute: Recompute;
  readonly activations: ActivationForm;
}

/** What passes are planned on. */
export interface PassPlace {
  readonly facts: PlannedModel;
  readonly pool: PlannedPool;
  readonly programs: PlannedPrograms;
}

type Lent = PlannedBlock[];

const FLOAT32 = "float32";

export class PlannedPass {
  readonly #place: PassPlace;
  readonly #adapter: AdapterView | null;
  readonly #structures: readonly BlockStructure[];
  readonly #training: boolean;
  readonly #planner: BackwardPlanner;
  /** Parameters whose gradient has been written in this step. */
  readonly #written = new Set<Parameter>();

  /** `training`: dropout is drawn. */
  constructor(place: PassPlace, adapter: AdapterView | null, training: boolean) {
    this.#place = place;
    this.#adapter = adapter;
    this.#structures = structuresOf(place.facts, adapter, training);
    this.#planner = new BackwardPlanner(place.facts.model, this.#structures);
    this.#training = training;
  }

  /** A step begins: no gradient has been written. */
  beginStep(): void {
    this.#written.clear();
  }

  /** Log-probabilities of labels, without gradients. */
  score(shape: PassShape): void {
    const pass = this.#begin(shape);
    let x = this.#embed(pass);
    for (const structure of this.#structures) {
      const { y } = this.#forward(structure, pass, false, []);
      this.#place.pool.release(x);
      x = y;
    }
    this.#headLogProbs(shape);
    this.#place.pool.release(x, ...pass.made.values());
  }

  /** Gradients of a micro-batch. `dropped`: by block, branches without a backward pass. */
  accumulate(
    shape: PassShape,
    { recompute, activations }: Keeping,
    dropped: readonly (readonly string[])[],
  ): void {
    const { pool } = this.#place;
    const pass = this.#begin(shape);
    const trainsStem = this.#trainsStem();
    const { blocks, stopsAtHead } = this.#planner.plan(dropped, trainsStem);
    if (stopsAtHead && (this.#adapter?.trained(null).length ?? 0) === 0) return this.score(shape);
    const kept = new PlannedKept(pool, activations);
    let x = this.#embed(pass);
    const given: string[][] = [];
    for (const [layer, block] of blocks.entries()) {
      const structure = this.#structures[layer] as BlockStructure;
      const saves = block.runs && savesOf(recompute);
      const { y, saved } = this.#forward(structure, pass, saves, block.dropped);
      given.push(Object.keys(saved));
      if (block.runs) kept.keep([...Object.values(saved), x]);
      else pool.release(x);
      x = y;
    }
    let dy = this.#headGradient(shape, pass);
    pool.release(x);
    for (const [layer, block] of [...blocks.entries()].reverse()) {
      if (!block.runs) continue;
      const brought = kept.bringBack();
      const dx = this.#backward(layer, pass, given[layer] ?? [], block);
      pool.release(dy, ...brought);
      if (!dx) return pool.release(...pass.made.values());
      dy = dx;
    }
    if (trainsStem) this.#embedBackward(pass);
    pool.release(dy, ...pass.made.values());
  }

  #begin({ numRows, length }: PassShape): Pass {
    return { bindings: { B: numRows, T: length, P: 0, R: length }, made: new Map() };
  }

  /** What the passes' facts fill, once for each name. */
  #makeInputs({ passInputs }: PartGraph, { bindings, made }: Pass): void {
    for (const [name, { input }] of passInputs) {
      if (!made.has(name)) made.set(name, this.#place.pool.acquire(input, bindings));
    }
  }

  #lend(type: TensorType, bindings: Bindings): PlannedBlock {
    return this.#place.pool.acquire(type, bindings);
  }

  #stem(direction: "forward" | "backward") {
    const make = (): ReturnType<typeof stemProgram> =>
      stemProgram(this.#place.facts, this.#adapter, direction);
    return { key: `stem ${direction} ${this.#adapter === null}`, make };
  }

  #embed(pass: Pass): PlannedBlock {
    const { programs, pool } = this.#place;
    const stem = this.#stem("forward");
    const { spec, made } = programs.build(stem);
    const x = this.#lend(spec.outputs["x"] as Value, pass.bindings);
    this.#makeInputs(made.part, pass);
    const rows = made.part.gathered.map((gathered) => this.#lend(gathered.rows, pass.bindings));
    programs.run(stem, pass.bindings);
    pool.release(...rows);
    return x;
  }

  #embedBackward(pass: Pass): void {
    const { programs, pool } = this.#place;
    const stem = this.#stem("backward");
    const { made } = programs.build(stem);
    const rows = made.part.gathered.map((gathered) => this.#lend(gathered.rows, pass.bindings));
    this.#collect(null, made.gradients, () => {
      const ofRows = made.rowGradients.map((each) => this.#lend(each.rows, pass.bindings));
      programs.run(stem, pass.bindings);
      pool.release(...rows);
      for (const { rows: like } of made.rowGradients) this.#addRows(like, pass.bindings);
      pool.release(...ofRows);
    });
  }

  /** Rows before, their sum and what is added, with their numbers. */
  #addRows({ shape }: Value, bindings: Bindings): void {
    const numRows = numElements(evaluateShape(shape.slice(0, -1), bindings));
    const numbers: TensorType = { dtype: "int64", shape: [numRows] };
    const rows = floats([numRows, shape.at(-1) as number]);
    const lent = [rows, rows, rows, numbers].map((type) => this.#lend(type, {}));
    this.#place.pool.release(...lent);
  }

  #forward(
    structure: BlockStructure,
    pass: Pass,
    saves: Saves,
    dropped: readonly string[],
  ): { y: PlannedBlock; saved: Readonly<Record<string, PlannedBlock>> } {
    const { programs, pool, facts } = this.#place;
    const sizes = { length: pass.bindings.T, inputGradient: true, dropped: saves ? dropped : [] };
    const program = blockProgram(facts.model, structure, { kind: "forward", saves, ...sizes });
    const { spec, made } = programs.build(program);
    this.#makeInputs(made.part, pass);
    const masks = made.part.dropout.map(({ mask }) => this.#lend(mask, pass.bindings));
    const y = this.#lend(spec.outputs["y"] as Value, pass.bindings);
    const saved = Object.fromEntries(
      made.saved.map((name) => [name, this.#lend(spec.outputs[name] as Value, pass.bindings)]),
    );
    programs.run(program, pass.bindings);
    pool.release(...masks);
    return { y, saved };
  }

  #backward(
    layer: number,
    pass: Pass,
    given: readonly string[],
    { dropped, wantsInput: inputGradient }: BlockPlan,
  ): PlannedBlock | null {
    const { programs, pool, facts } = this.#place;
    const variant = { kind: "backward", given, length: pass.bindings.T, inputGradient, dropped } as const;
    const program = blockProgram(facts.model, this.#structures[layer] as BlockStructure, variant);
    const { spec, made } = programs.build(program);
    const dx = inputGradient ? this.#lend(spec.outputs["dx"] as Value, pass.bindings) : null;
    this.#collect(layer, made.gradients, () => {
      const masks = made.part.dropout.map(({ mask }) => this.#lend(mask, pass.bindings));
      programs.run(program, pass.bindings);
      pool.release(...masks);
    });
    return dx;
  }

  /** Runs what writes gradients: into their own place at first, else beside it, and they are added. */
  #collect(layer: number | null, outputs: readonly GradientOutput[], run: () => void): void {
    const trained = this.#adapter?.trained(layer) ?? [];
    const again: Lent = [];
    for (const { input } of outputs) {
      const parameter = trained.find((each) => each.input === input);
      if (!parameter) continue;
      if (this.#written.has(parameter)) again.push(this.#lend(floats(parameter.shape), {}));
      this.#written.add(parameter);
    }
    run();
    this.#place.pool.release(...again);
  }

  #headVariant(kind: HeadProgramKind): HeadVariant {
    const arithmetic = headArithmetic(this.#place.facts, this.#adapter, kind);
    return { kind, training: this.#training, arithmetic };
  }

  #headLogProbs({ numLabels }: PassShape): void {
    const { facts, pool, programs } = this.#place;
    const variant = this.#headVariant("loss");
    if (readsSlices(facts, this.#adapter, variant.arithmetic))
      return pool.release(...this.#vocabulary(numLabels, false));
    const program = headProgram(facts.model, this.#adapter, variant);
    for (const N of chunks(numLabels, headChunkOf(variant.arithmetic))) {
      const { made } = programs.build(program);
      const lent = [...this.#headFeeds(made.part, N), this.#lend(floats([N, 1]), {})];
      programs.run(program, { N });
      pool.release(...lent);
    }
  }

  #headFeeds(part: PartGraph, N: number): Lent {
    const hidden = floats([N, this.#place.facts.model.width]);
    const labels: TensorType = { dtype: "int64", shape: [N] };
    const masks = part.dropout.map(({ mask }) => mask);
    return [hidden, labels, ...masks].map((type) => this.#lend(type, { N }));
  }

  #headGradient({ numLabels }: PassShape, { bindings }: Pass): PlannedBlock {
    const { facts, pool, programs } = this.#place;
    const { model } = facts;
    const dx = this.#lend(floats(["B", "T", model.width]), bindings);
    const variant = this.#headVariant("lossAndGradients");
    if (readsSlices(facts, this.#adapter, variant.arithmetic)) {
      pool.release(...this.#vocabulary(numLabels, true));
      return dx;
    }
    const program = headProgram(model, this.#adapter, variant);
    for (const N of chunks(numLabels, headChunkOf(variant.arithmetic))) {
      const { made } = programs.build(program);
      const lent = this.#headFeeds(made.part, N);
      for (const shape of [
        [N, 1],
        [N, 1],
        [N, model.width],
      ])
        lent.push(this.#lend(floats(shape), {}));
      if (made.slicedTable !== null)
        lent.push(
          ...[
            [N, model.numOutputs],
            [N, model.width],
          ].map((shape) => this.#lend(floats(shape), {})),
        );
      this.#collect(null, made.gradients, () => void programs.run(program, { N }));
      if (made.slicedTable !== null) this.#headTable(made.slicedTable, N);
      pool.release(...lent);
    }
    return dx;
  }

  /** The gradient of the head's matrix, some rows at a time. */
  #headTable(table: string, N: number): void {
    const { facts, programs, pool } = this.#place;
    const parameter = this.#adapter?.trained(null).find(({ input }) => input === table) as Parameter;
    const [numRows = 0, width = 0] = parameter.shape;
    for (let from = 0; from < numRows; from += SLICE_ROWS) {
      const S = Math.min(SLICE_ROWS, numRows - from);
      const again = this.#written.has(parameter) ? [this.#lend(floats([S, width]), {})] : [];
      const dLogits = this.#lend(floats([N, S]), {});
      programs.run(tableGradientProgram(facts.model.width), { N, S });
      pool.release(dLogits, ...again);
    }
    this.#written.add(parameter);
  }

  /** One walk over the vocabulary for all positions, in chunks; returns what is given back after it. */
  #vocabulary(numLabels: number, hasGradient: boolean): Lent {
    const { facts, pool, programs } = this.#place;
    const { model } = facts;
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
    const slice = (from: number): number => Math.min(SLICE_ROWS, model.numOutputs - from);
    let ahead = lend(slice(0), model.width);
    for (let from = 0; from < model.numOutputs; from += SLICE_ROWS) {
      const rows = ahead;
      const next = from + SLICE_ROWS;
      if (next < model.numOutputs) ahead = lend(slice(next), model.width);
      for (const N of counts) {
        programs.run(program(hasGradient ? "log-sum-gradient" : "log-sum"), { N, V: slice(from) });
      }
      pool.release(rows);
    }
    for (const N of counts) programs.run(program(hasGradient ? "label-gradient" : "label"), { N });
    pool.release(...sums.flatMap(({ own }) => own));
    return [...hidden, ...sums.flatMap(({ gradient }) => gradient)];
  }

  #trainsStem(): boolean {
    const { part } = this.#place.programs.build(this.#stem("forward")).made;
    const trained = (this.#adapter?.trained(null) ?? []).map(({ input }) => input);
    return trainsStem(part, trained);
  }
}

/** One pass: its sizes, and what was made for it. */
interface Pass {
  readonly bindings: Readonly<Record<"B" | "T" | "P" | "R", number>>;
  readonly made: Map<string, PlannedBlock>;
}

function floats(shape: ProgramSpec["inputs"][string]["shape"]): TensorType {
  return { dtype: FLOAT32, shape };
}

/** Sizes of the chunks of some positions. */
function chunks(numLabels: number, length: number): number[] {
  return Array.from({ length: Math.ceil(numLabels / length) }, (_, i) =>
    Math.min(length, numLabels - i * length),
  );
}
