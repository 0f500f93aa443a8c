/**
 * @file Collects the gradients of a step, a vector for each group of parameters, to which the programs add up.
 *
 * The first program that has a gradient for a parameter writes it straight into the vector; later ones (another
 * micro-batch, a tied matrix) write aside and are added, so no step clears a vector. A parameter that no program wrote
 * has no gradient in the step, which is not a gradient of zero: the optimizer leaves it and its state alone.
 *
 * A large table lies in slices of its rows, each in memory of its own, which are written one at a time; only those rows
 * of it that were looked up are added to.
 */
import { Graph } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import type { Adapter } from "../peft/attach.ts";
import { type Parameter, type ParameterGroup, groupName, lengthOf } from "../peft/parameters.ts";
import { assertInternal } from "../errors.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import { FlatChunks } from "../runtime/flat-chunks.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { PartedVector } from "../runtime/parted-vector.ts";
import { type Hold, type Use, type VectorMemory, whileHeld } from "../runtime/vector-memory.ts";
import {
  type GradientSlice,
  type Slicing,
  type Slot,
  UNSLICED,
  cutSlot,
  endsOf,
  findStretches,
  isWhole,
  useOf,
  viewOf,
} from "./gradient-slices.ts";
import { RowSums } from "./row-sums.ts";

type Tensor = HostTensor<"float32">;

/** Gradients of one group. */
export interface GradientGroup {
  readonly group: ParameterGroup;
  /** Laid out like the group's values, in the same memory; undefined where there is no gradient. */
  readonly values: PartedVector;
  /** Whether each parameter of the group has a gradient. Known once the step is finished. */
  readonly present: readonly boolean[];
}

/** Gradients that follow one another in the adapter's order and in memory. */
interface Run {
  readonly slots: readonly Slot[];
  readonly views: readonly Float32Array[];
}

type Trained = Pick<Adapter, "groups" | "parameters" | "memory">;

export class GradientBuffer {
  /** In the order of the adapter's groups. */
  readonly groups: readonly (GradientGroup & { readonly present: boolean[] })[];
  readonly #slots: ReadonlyMap<Parameter, Slot>;
  readonly #runs: readonly Run[];
  /** Where the gradients are. */
  readonly memory: VectorMemory;
  readonly #pool: BufferPool;
  readonly #sum: Program;
  readonly #rowSums: RowSums;
  readonly #chunks = new FlatChunks();

  private constructor(
    engine: Engine,
    { groups, parameters, memory }: Trained,
    pool: BufferPool,
    sum: Program,
    slicing: Slicing,
  ) {
    this.#rowSums = new RowSums(engine, pool);
    this.#pool = pool;
    this.#sum = sum;
    this.memory = memory;
    const slots = new Map<Parameter, Slot>();
    const valuesOf = new Map<number | null, PartedVector>();
    this.groups = groups.map((group) => {
      const values = new PartedVector(
        memory,
        { name: `gradients of ${groupName(group.layer)}` },
        lengthOf(group),
        endsOf(group, slicing),
      );
      for (const parameter of group.parameters) slots.set(parameter, cutSlot(parameter, values));
      valuesOf.set(group.layer, values);
      return { group, values, present: group.parameters.map(() => false) };
    });
    // By the order of the adapter, in which `vectors` lists them.
    this.#slots = new Map(parameters.map((parameter) => [parameter, slots.get(parameter) as Slot]));
    this.#runs = findStretches(parameters).map((stretch) => {
      const values = valuesOf.get(stretch[0]?.layer ?? null) as PartedVector;
      const views = values.stretches(stretch[0]?.offset, lengthOf({ parameters: stretch })).map(viewOf);
      return { slots: stretch.map((each) => slots.get(each) as Slot), views };
    });
  }

  /** Makes a buffer for what an adapter trains. */
  static async create(
    engine: Engine,
    adapter: Trained,
    pool: BufferPool,
    slicing: Slicing = UNSLICED,
  ): Promise<GradientBuffer> {
    const graph = new Graph();
    const [a, b] = [graph.input("a", "float32", ["N"]), graph.input("b", "float32", ["N"])];
    const program = await engine.compile({
      name: "add-gradient",
      inputs: { a, b },
      outputs: { sum: add(a, b) },
    });
    return new GradientBuffer(engine, adapter, pool, program, slicing);
  }

  /** Forgets what was collected: the next step begins. */
  begin(): void {
    for (const slot of this.#slots.values()) for (const slice of slot) slice.isWritten = false;
    this.memory.discard(this.groups.flatMap(({ values }) => values.parts));
  }

  /** Holds the memory of parameters' gradients, to write them; slices are held by whoever writes one. */
  hold(parameters: readonly Parameter[]): Promise<Hold> {
    return this.memory.hold(...this.#toWrite(parameters));
  }

  /** Begins to bring that memory in. */
  prefetch(parameters: readonly Parameter[]): void {
    this.memory.prefetch(...this.#toWrite(parameters));
  }

  #toWrite(parameters: readonly Parameter[]): [Float32Array[], Use] {
    const views = parameters.map((each) => this.#slot(each)).filter((slot) => slot.length === 1);
    const buffers = new Set(views.flatMap((slot) => slot.map(({ view }) => view.data.buffer)));
    const slices = [...this.#slots.values()].flat().filter(({ view }) => buffers.has(view.data.buffer));
    const isNew = slices.every(({ isWritten }) => !isWritten);
    return [slices.map(({ view }) => view.data), isNew ? "overwrite" : "change"];
  }

  #slot(parameter: Parameter): Slot {
    const slot = this.#slots.get(parameter);
    if (!slot) throw new RangeError(`Cannot collect a gradient for "${parameter.name}": it is not trained`);
    return slot;
  }

  /** Where a program is to write the gradient of a parameter, which is held. Give it back through `add`. */
  target(parameter: Parameter): Tensor {
    const slot = this.#slot(parameter);
    assertInternal(slot.length === 1, `the gradient of ${parameter.name} is written as a whole`);
    return this.#targetOf(slot[0] as GradientSlice);
  }

  /** Adds what a program wrote into `tensor`. */
  add(parameter: Parameter, tensor: Tensor): Promise<void> {
    return this.#add(this.#slot(parameter)[0] as GradientSlice, tensor);
  }

  /** Has the gradient of a parameter written, one slice of its rows after another. */
  async writeSlices(
    parameter: Parameter,
    write: (target: Tensor, fromRow: number) => Promise<void>,
  ): Promise<void> {
    const slot = this.#slot(parameter);
    for (const [i, slice] of slot.entries()) {
      const next = slot[i + 1];
      await whileHeld(this.memory, [slice.view.data], useOf(slice), async () => {
        if (next) this.memory.prefetch([next.view.data], useOf(next));
        const target = this.#targetOf(slice);
        await write(target, slice.from);
        await this.#add(slice, target);
      });
    }
  }

  /** Adds x [M, D] to rows of the gradient of a table; those of no number get 0. */
  async addRows(parameter: Parameter, rowNumbers: BigInt64Array, x: Float32Array): Promise<void> {
    const width = parameter.shape[1] as number;
    for (const slice of this.#slot(parameter)) {
      const end = slice.from + (slice.view.shape[0] as number);
      const places = [...rowNumbers.keys()].filter((i) => {
        const row = Number(rowNumbers[i]);
        return row >= slice.from && row < end;
      });
      if (places.length === 0 && slice.isWritten) continue;
      await whileHeld(this.memory, [slice.view.data], useOf(slice), async () => {
        if (!slice.isWritten) slice.view.data.fill(0);
        slice.isWritten = true;
        const rows = places.map((i) => Number(rowNumbers[i]) - slice.from);
        if (places.length > 0) await this.#rowSums.add(slice.view, rows, x, places, width);
      });
    }
  }

  #targetOf({ view, isWritten }: GradientSlice): Tensor {
    return isWritten ? this.#pool.acquire("float32", view.shape) : view;
  }

  async #add(slice: GradientSlice, tensor: Tensor): Promise<void> {
    if (tensor === slice.view) {
      slice.isWritten = true;
      return;
    }
    // Piece by piece: the sum of a large matrix needs no memory of its size.
    const others = this.#chunks.of(tensor.data);
    for (const [i, a] of this.#chunks.of(slice.flat.data).entries()) {
      const sum = this.#chunks.scratch("sum", a.data.length);
      await this.#sum.run({ a, b: others[i] as Tensor }, { sum });
      a.data.set(sum.data);
    }
    this.#pool.release(tensor);
  }

  /** Ends the step; returns the parameters that have no gradient in it. */
  finish(): readonly Parameter[] {
    for (const { group, present } of this.groups) {
      group.parameters.forEach((parameter, i) => (present[i] = isWhole(this.#slot(parameter))));
    }
    return [...this.#slots].flatMap(([parameter, slot]) => (isWhole(slot) ? [] : [parameter]));
  }

  /**
   * The gradients that there are, in the order of the adapter's parameters, neighbours as one vector; views, held until
   * the next is asked for.
   */
  async *vectors(): AsyncGenerator<Float32Array, void, void> {
    const pieces = this.#runs.flatMap(({ slots, views }): readonly Float32Array[] => {
      if (slots.every(isWhole)) return views;
      return slots.filter(isWhole).flatMap((slot) => slot.map(({ flat }) => flat.data));
    });
    for (const [i, piece] of pieces.entries()) {
      const hold = await this.memory.hold([piece], "read");
      const next = pieces[i + 1];
      if (next) this.memory.prefetch([next], "read");
      try {
        yield piece;
      } finally {
        hold.release();
      }
    }
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#sum.release();
    await this.#rowSums.release();
  }
}

/** Lends the outputs of a program that writes gradients of these parameters; `add` when it has run. */
export function bindGradients(
  buffer: GradientBuffer,
  parameters: readonly Parameter[],
  outputs: readonly { readonly output: string; readonly input: string }[],
): { readonly into: Readonly<Record<string, Tensor>>; readonly add: () => Promise<void> } {
  const targets = outputs.flatMap(({ output, input }) => {
    const parameter = parameters.find((each) => each.input === input);
    return parameter ? [{ output, parameter, tensor: buffer.target(parameter) }] : [];
  });
  return {
    into: Object.fromEntries(targets.map(({ output, tensor }) => [output, tensor])),
    add: async () => {
      for (const { parameter, tensor } of targets) await buffer.add(parameter, tensor);
    },
  };
}
