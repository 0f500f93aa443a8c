/** @file Builds the programs of a run without compiling them, and estimates the memory that each needs for itself. */
import type { Target } from "../../../graph/emitter.ts";
import { peakBytes } from "../../../graph/peak-memory.ts";
import { type ProgramSpec, nodesOf } from "../../../graph/program.ts";
import { NO_WORK, type Work, addWork, workOf } from "../../../graph/program-work.ts";
import type { Bindings } from "../../../graph/shape.ts";
import type { MadeProgram, Makeable } from "../../../run/session-programs.ts";

export class PlannedPrograms {
  readonly #target: Target;
  readonly #built = new Map<string, MadeProgram<unknown>>();
  /** Compiled program → its key, for programs that have run; a program that binds weights is compiled for each block. */
  readonly #compiled = new Map<string, string>();
  /** Need and work, by program and sizes. */
  readonly #known = new Map<string, { readonly need: number; readonly work: Work }>();
  /** Work of all runs since `takeWork`. */
  #work = NO_WORK;
  /** The largest need of a run since `takeScratch`. */
  #scratchBytes = 0;

  /** `target`: the processor for which they would be written. */
  constructor(target: Target) {
    this.#target = target;
  }

  /** Builds a program, once. */
  build<T>({ key, make }: Makeable<T>): MadeProgram<T> {
    let built = this.#built.get(key) as MadeProgram<T> | undefined;
    if (!built) this.#built.set(key, (built = make()));
    return built;
  }

  /** Notes that a program runs with these sizes. `owner`: the block whose weights it binds; null: it binds none. */
  run<T>(program: Makeable<T>, bindings: Bindings, owner: number | null = null): MadeProgram<T> {
    const built = this.build(program);
    const sizes = `${JSON.stringify(bindings)} ${program.key}`;
    let known = this.#known.get(sizes);
    if (!known) {
      known = { need: peakBytes(built.spec, bindings, this.#target), work: workOf(built.spec, bindings) };
      this.#known.set(sizes, known);
    }
    this.#work = addWork(this.#work, known.work);
    this.#scratchBytes = Math.max(this.#scratchBytes, known.need);
    this.#compiled.set(`${owner} ${program.key}`, program.key);
    return built;
  }

  /** The work of all runs since the last call. */
  takeWork(): Work {
    const work = this.#work;
    this.#work = NO_WORK;
    return work;
  }

  /** The largest need of a run since the last call; runs share this memory. */
  takeScratch(): number {
    const bytes = this.#scratchBytes;
    this.#scratchBytes = 0;
    return bytes;
  }

  /** How many compiled programs have run. */
  get count(): number {
    return this.#compiled.size;
  }

  /** How many nodes these have. */
  get numNodes(): number {
    return this.#sum((spec) => nodesOf(spec).length);
  }

  /** Bytes of bound weights that they hold in a repacked layout. */
  get packedBytes(): number {
    return this.#sum((spec) =>
      nodesOf(spec).reduce((sum, node) => sum + (node.op.packedBytes?.(node) ?? 0), 0),
    );
  }

  #sum(amountOf: (spec: ProgramSpec) => number): number {
    const amounts = new Map<string, number>();
    let sum = 0;
    for (const key of this.#compiled.values()) {
      const amount = amounts.get(key) ?? amountOf(this.#built.get(key)!.spec);
      amounts.set(key, amount);
      sum += amount;
    }
    return sum;
  }
}
