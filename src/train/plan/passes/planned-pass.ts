/**
 * @file Passes over a model as `train/step/step-runner`, `run/blocks/block-runner` and `run/embedding` make them, with sizes in the place
 * of numbers: what they lend, and what their programs need. One file, so that it can be read beside them.
 */
import type { TensorType, Value } from "../../../graph/graph.ts";
import { type Bindings, evaluateShape, numElements, sizeAt } from "../../../graph/shape.ts";
import type { PartGraph } from "../../../models/graphs/part-graph.ts";
import type { AdapterView } from "../../../peft/adapter-view.ts";
import { BackwardPlanner, type BlockPlan } from "../../../run/blocks/backward-plan.ts";
import { type Saves, blockProgram } from "../../../run/blocks/block-programs.ts";
import { type BlockStructure, structuresOf } from "../../../run/blocks/block-structure.ts";
import { stemProgram, trainsStem } from "../../../run/stem-program.ts";
import type { ActivationForm } from "../../activations/keeping.ts";
import { type Recompute, savesOf } from "../../recompute.ts";
import { PlannedGradients } from "./planned-gradients.ts";
import { PlannedHead } from "./planned-head.ts";
import { PlannedKept } from "./planned-kept.ts";
import { type PassPlace, floats } from "./planned-place.ts";
import type { PlannedBlock } from "./planned-pool.ts";

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

export class PlannedPass {
  readonly #place: PassPlace;
  readonly #adapter: AdapterView | null;
  readonly #structures: readonly BlockStructure[];
  readonly #planner: BackwardPlanner;
  readonly #gradients: PlannedGradients;
  readonly #head: PlannedHead;

  /** `training`: dropout is drawn. */
  constructor(place: PassPlace, adapter: AdapterView | null, training: boolean) {
    this.#place = place;
    this.#adapter = adapter;
    this.#structures = structuresOf(place.facts, adapter, training);
    this.#planner = new BackwardPlanner(place.facts.model, this.#structures);
    this.#gradients = new PlannedGradients(place.pool);
    this.#head = new PlannedHead(place, adapter, training, this.#gradients);
  }

  /** A step begins: no gradient has been written. */
  beginStep(): void {
    this.#gradients.begin();
  }

  /** Log-probabilities of labels, without gradients; with predictions, their logits too. */
  score(shape: PassShape, predicts = false): void {
    const pass = this.#begin(shape);
    let x = this.#embed(pass);
    for (const structure of this.#structures) {
      const { y } = this.#forward(structure, pass, false, []);
      this.#place.pool.release(x);
      x = y;
    }
    this.#head.logProbs(shape.numLabels);
    if (predicts) this.#head.predict(shape.numLabels);
    this.#place.pool.release(x, ...pass.made.values());
  }

  /** Gradients of a micro-batch. `dropped`: by block, branches without a backward pass. */
  accumulate(shape: PassShape, keeping: Keeping, dropped: readonly (readonly string[])[]): void {
    this.#turnAround(shape, keeping, dropped, (turn) => this.#runBackward(turn));
  }

  /** Sensitivities of all branches by a micro-batch, as `train/dropbp/measure-branches` measures them. */
  measureBranches(shape: PassShape, keeping: Keeping): void {
    this.#turnAround(shape, keeping, [], (turn) => this.#runEachWay(turn));
  }

  #turnAround(
    shape: PassShape,
    { recompute, activations }: Keeping,
    dropped: readonly (readonly string[])[],
    runBackward: (turn: Turn) => void,
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
      const structure = this.#structures[layer]!;
      const saves = block.runs && savesOf(recompute);
      const { y, saved } = this.#forward(structure, pass, saves, block.dropped);
      given.push(Object.keys(saved));
      if (block.runs) kept.keep([...Object.values(saved), x]);
      else pool.release(x);
      x = y;
    }
    const dy = this.#head.gradient(shape.numLabels, pass.bindings);
    runBackward({ ...pass, ...shape, kept, blocks, given, trainsStem, x, dy });
    pool.release(...pass.made.values());
  }

  #runBackward(turn: Turn): void {
    const { pool } = this.#place;
    pool.release(turn.x);
    let { dy } = turn;
    for (const [layer, block] of [...turn.blocks.entries()].reverse()) {
      if (!block.runs) continue;
      const brought = turn.kept.bringBack();
      const dx = this.#backward(layer, turn, block);
      pool.release(dy, ...brought);
      if (!dx) return;
      dy = dx;
    }
    if (turn.trainsStem) this.#embedBackward(turn);
    pool.release(dy);
  }

  /** Runs backward once whole and once without each branch. */
  #runEachWay(turn: Turn): void {
    const { pool, facts } = this.#place;
    let ways: readonly PlannedBlock[] = [turn.dy];
    for (const [layer, block] of [...turn.blocks.entries()].reverse()) {
      if (!block.runs) continue;
      const brought = turn.kept.bringBack();
      const [whole, ...parted] = ways as [PlannedBlock, ...PlannedBlock[]];
      const own = facts.model.layers[layer]?.branches ?? [];
      const below: PlannedBlock[] = [];
      for (const dropped of [[], ...own.map(({ name }) => [name])]) {
        const only = turn.blocks.map((_, each) => (each === layer ? dropped : []));
        const { runs } = this.#planner.plan(only, turn.trainsStem).blocks[layer]!;
        const copy = !runs && block.wantsInput ? pool.lend(whole.lentBytes) : null;
        this.#gradients.begin();
        const dx = runs ? this.#backward(layer, turn, { ...block, dropped }) : copy;
        if (dx) below.push(dx);
      }
      pool.release(whole);
      for (const dy of parted) {
        this.#gradients.begin();
        const dx = this.#backward(layer, turn, block);
        pool.release(dy);
        if (dx) below.push(dx);
      }
      pool.release(...brought);
      ways = below;
    }
    for (const dy of ways) {
      this.#gradients.begin();
      if (turn.trainsStem) {
        pool.release(this.#head.gradient(turn.numLabels, turn.bindings));
        this.#embedBackward(turn);
      }
      pool.release(dy);
    }
    pool.release(turn.x);
  }

  #begin({ numRows, length }: PassShape): Pass {
    return { bindings: { B: numRows, T: length, P: 0, R: length }, made: new Map() };
  }

  /** Lends the inputs that are made of a pass's facts, once for each name. */
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
    const x = this.#lend(spec.outputs["x"]!, pass.bindings);
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
    this.#gradients.collect(this.#adapter?.trained(null) ?? [], made.gradients, () => {
      const ofRows = made.rowGradients.map((each) => this.#lend(each.rows, pass.bindings));
      programs.run(stem, pass.bindings);
      pool.release(...rows);
      for (const { rows: like } of made.rowGradients) this.#addRows(like, pass.bindings);
      pool.release(...ofRows);
    });
  }

  /** Lends what adding rows to a table takes: the old rows, what is added, their sum, and the numbers of the rows. */
  #addRows({ shape }: Value, bindings: Bindings): void {
    const numRows = numElements(evaluateShape(shape.slice(0, -1), bindings));
    const numbers: TensorType = { dtype: "int64", shape: [numRows] };
    const rows = floats([numRows, sizeAt(shape, -1)]);
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
    const y = this.#lend(spec.outputs["y"]!, pass.bindings);
    const saved = Object.fromEntries(
      made.saved.map((name) => [name, this.#lend(spec.outputs[name]!, pass.bindings)]),
    );
    programs.run(program, pass.bindings);
    pool.release(...masks);
    return { y, saved };
  }

  #backward(
    layer: number,
    pass: Turn,
    { dropped, wantsInput: inputGradient }: BlockPlan,
  ): PlannedBlock | null {
    const { programs, pool, facts } = this.#place;
    const given = pass.given[layer] ?? [];
    const variant = { kind: "backward", given, length: pass.bindings.T, inputGradient, dropped } as const;
    const program = blockProgram(facts.model, this.#structures[layer]!, variant);
    const { spec, made } = programs.build(program);
    const dx = inputGradient ? this.#lend(spec.outputs["dx"]!, pass.bindings) : null;
    this.#gradients.collect(this.#adapter?.trained(layer) ?? [], made.gradients, () => {
      const masks = made.part.dropout.map(({ mask }) => this.#lend(mask, pass.bindings));
      programs.run(program, pass.bindings);
      pool.release(...masks);
    });
    return dx;
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

/** A pass whose blocks have run forward and whose head has run backward. */
interface Turn extends Pass, PassShape {
  readonly kept: PlannedKept;
  readonly blocks: readonly BlockPlan[];
  /** Names of what was saved of each block. */
  readonly given: readonly (readonly string[])[];
  readonly trainsStem: boolean;
  readonly x: PlannedBlock;
  readonly dy: PlannedBlock;
}
