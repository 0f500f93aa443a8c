/**
 * @file Collects the gradients of a step, in one vector for each group of parameters, to which the programs add.
 *
 * The first program with a gradient for a parameter writes it straight into the vector. Later ones (of another micro-batch, or
 * for a tied matrix) write elsewhere and are added, so no step clears a vector. A parameter for which no program wrote has no
 * gradient in the step, which is not a gradient of zero: the optimizer leaves it and its state alone.
 *
 * A large table is split into slices of its rows, each in its own memory, which are written one at a time; rows are added only
 * where they were looked up.
 */
import type { Adapter } from "../../peft/attach.ts";
import { type Parameter, type ParameterGroup, groupName, lengthOf } from "../../peft/parameters.ts";
import { assertInternal } from "../../errors.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { Engine } from "../../runtime/engine.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { PartedVector } from "../../runtime/memory/parted-vector.ts";
import {
  type Hold,
  type Need,
  type Use,
  type VectorMemory,
  holdInTurn,
  whileHeld,
} from "../../runtime/memory/vector-memory.ts";
import {
  type GradientPart,
  type GradientSlice,
  type Slicing,
  type Slot,
  UNSLICED,
  cutSlot,
  endsOf,
  isWhole,
  useOf,
  writtenVectors,
} from "./gradient-slices.ts";
import { RowSums } from "./row-sums.ts";
import { Squares } from "./squares.ts";
import { VectorSums } from "./vector-sums.ts";

type Tensor = HostTensor<"float32">;

/** Gradients of one group. */
export interface GradientGroup {
  readonly group: ParameterGroup;
  /** Laid out like the group's values, in the same memory; undefined numbers where there is no gradient. */
  readonly values: PartedVector;
  /** Whether each parameter of the group has a gradient. Known once the step is finished. */
  readonly present: readonly boolean[];
}

type Trained = Pick<Adapter, "groups" | "parameters" | "memory">;

/** Programs that add gradients and measure them. */
interface Programs {
  readonly sums: VectorSums;
  readonly squares: Squares;
  readonly rowSums: RowSums;
}

export class GradientBuffer {
  /** Groups in the adapter's order. */
  readonly groups: readonly (GradientGroup & { readonly present: boolean[] })[];
  readonly #slots: ReadonlyMap<Parameter, Slot>;
  /** Parts by their memory. */
  readonly #parts: ReadonlyMap<Float32Array, GradientPart>;
  /** The memory that holds the gradients. */
  readonly memory: VectorMemory;
  readonly #pool: BufferPool;
  readonly #programs: Programs;
  /** Whether this is the step's last micro-batch: gradients are then measured while they are in memory. */
  isLast = false;

  private constructor(
    { groups, parameters, memory }: Trained,
    pool: BufferPool,
    programs: Programs,
    slicing: Slicing,
  ) {
    this.#pool = pool;
    this.#programs = programs;
    this.memory = memory;
    const slots = new Map<Parameter, Slot>();
    const parts = new Map<Float32Array, GradientPart>();
    this.#parts = parts;
    this.groups = groups.map((group) => {
      const { layer, parameters } = group;
      // Gradients outside the blocks are written twice, by the head and by the embedding.
      const spec = { name: `gradients of ${groupName(layer)}`, usesPerStep: layer === null ? 3 : 2 };
      const values = new PartedVector(memory, spec, lengthOf(group), endsOf(group, slicing));
      for (const part of values.parts) parts.set(part, { memory: part, slices: [], squares: null });
      for (const parameter of parameters) slots.set(parameter, cutSlot(parameter, values, parts));
      return { group, values, present: parameters.map(() => false) };
    });
    // In the adapter's order.
    this.#slots = new Map(parameters.map((parameter) => [parameter, slots.get(parameter)!]));
  }

  /** Makes a buffer for an adapter's trained parameters. */
  static async create(
    engine: Engine,
    adapter: Trained,
    pool: BufferPool,
    slicing: Slicing = UNSLICED,
  ): Promise<GradientBuffer> {
    const rowSums = new RowSums(engine, pool);
    const made: { release(): Promise<void> }[] = [];
    try {
      const sums = await VectorSums.create(engine);
      made.push(sums);
      const squares = await Squares.create(engine);
      made.push(squares);
      return new GradientBuffer(adapter, pool, { sums, squares, rowSums }, slicing);
    } catch (error) {
      for (const each of made) await each.release();
      throw error;
    }
  }

  /** Begins a step: forgets collected gradients. */
  begin(): void {
    this.isLast = false;
    for (const part of this.#parts.values()) {
      part.squares = null;
      for (const slice of part.slices) slice.isWritten = false;
    }
    this.memory.discard(this.groups.flatMap(({ values }) => values.parts));
  }

  /** Holds the memory of parameters' gradients for writing; slices are held one by one when they are written. */
  hold(parameters: readonly Parameter[]): Promise<Hold> {
    return this.memory.hold(...this.#toWrite(parameters));
  }

  /** Begins to bring that memory in. */
  prefetch(parameters: readonly Parameter[]): void {
    this.memory.prefetch(...this.#toWrite(parameters));
  }

  #toWrite(parameters: readonly Parameter[]): [Float32Array[], Use] {
    const whole = parameters.map((each) => this.#slot(each)).filter((slot) => slot.length === 1);
    const slices = [...new Set(whole.map(([slice]) => slice!.part))].flatMap((part) => part.slices);
    const isNew = slices.every(({ isWritten }) => !isWritten);
    return [slices.map(({ view }) => view.data), isNew ? "overwrite" : "change"];
  }

  #slot(parameter: Parameter): Slot {
    const slot = this.#slots.get(parameter);
    if (!slot) throw new RangeError(`Cannot collect a gradient for "${parameter.name}": it is not trained`);
    return slot;
  }

  /** Where a program should write the gradient of a parameter, whose memory is held. Pass the tensor to `add` afterwards. */
  target(parameter: Parameter): Tensor {
    const slot = this.#slot(parameter);
    assertInternal(slot.length === 1, `the gradient of ${parameter.name} is written as a whole`);
    return this.#targetOf(slot[0]!);
  }

  /** Adds the gradient that a program wrote into `tensor`. */
  add(parameter: Parameter, tensor: Tensor): Promise<void> {
    return this.#add(this.#slot(parameter)[0]!, tensor);
  }

  /** Calls `write` for each slice of a parameter's gradient, one after another, and adds the results. */
  async writeSlices(
    parameter: Parameter,
    write: (target: Tensor, fromRow: number) => Promise<void>,
  ): Promise<void> {
    const needs = (slice: GradientSlice): Need[] => [[[slice.view.data], useOf(slice)]];
    const work = async (slice: GradientSlice): Promise<void> => {
      const target = this.#targetOf(slice);
      await write(target, slice.from);
      await this.#add(slice, target);
    };
    await holdInTurn(this.memory, this.#slot(parameter), { needs, work });
  }

  /** Adds x [M, D] to rows of the gradient of a table. Rows that are not looked up are 0. */
  async addRows(parameter: Parameter, rowNumbers: BigInt64Array, x: Float32Array): Promise<void> {
    const width = sizeAt(parameter.shape, 1);
    for (const slice of this.#slot(parameter)) {
      const end = slice.from + sizeAt(slice.view.shape, 0);
      const places = [...rowNumbers.keys()].filter((i) => {
        const row = Number(rowNumbers[i]);
        return row >= slice.from && row < end;
      });
      if (places.length === 0 && slice.isWritten) continue;
      await whileHeld(this.memory, [slice.view.data], useOf(slice), async () => {
        if (!slice.isWritten) slice.view.data.fill(0);
        slice.isWritten = true;
        const rows = places.map((i) => Number(rowNumbers[i]) - slice.from);
        if (places.length > 0)
          await this.#programs.rowSums.add(slice.view, rows, { data: x, rows: places }, width);
        slice.part.squares = null;
        await this.#measureLast([slice]);
      });
    }
  }

  #targetOf({ view, isWritten }: GradientSlice): Tensor {
    return isWritten ? this.#pool.acquire("float32", view.shape) : view;
  }

  async #add(slice: GradientSlice, tensor: Tensor): Promise<void> {
    slice.part.squares = null;
    if (tensor === slice.view) {
      slice.isWritten = true;
      return;
    }
    await this.#programs.sums.add(slice.flat.data, tensor.data);
    this.#pool.release(tensor);
  }

  /** Adds the gradients that another buffer of the same parameters collected in the step. Both are in memory. */
  async addAll(other: GradientBuffer): Promise<void> {
    for (const [parameter, slot] of this.#slots) {
      for (const [i, { flat, isWritten }] of other.#slot(parameter).entries()) {
        const slice = slot[i]!;
        if (!isWritten) continue;
        slice.part.squares = null;
        if (slice.isWritten) await this.#programs.sums.add(slice.flat.data, flat.data);
        else slice.flat.data.set(flat.data);
        slice.isWritten = true;
      }
    }
  }

  /** Ends the step; returns the parameters that have no gradient in it. */
  finish(): readonly Parameter[] {
    for (const { group, present } of this.groups) {
      group.parameters.forEach((parameter, i) => (present[i] = isWhole(this.#slot(parameter))));
    }
    return [...this.#slots].flatMap(([parameter, slot]) => (isWhole(slot) ? [] : [parameter]));
  }

  /** Measures gradients, whose memory is held, when a micro-batch has finished writing them. */
  async measure(parameters: readonly Parameter[]): Promise<void> {
    await this.#measureLast(parameters.flatMap((each) => this.#slot(each)));
  }

  /** Within a budget, gradients may go to the disk before the step ends, and should not be read back just for their squares. */
  async #measureLast(slices: readonly GradientSlice[]): Promise<void> {
    if (!this.isLast) return;
    for (const part of new Set(slices.map((slice) => slice.part)))
      part.squares ??= await this.#programs.squares.of(writtenVectors(part));
  }

  /** The L2 norm of all gradients of the step; NaN if one has an element that is NaN. */
  async norm(): Promise<number> {
    let sum = 0;
    for (const part of this.#parts.values()) {
      if (part.slices.every(({ isWritten }) => !isWritten)) continue;
      part.squares ??= await whileHeld(this.memory, [part.memory], "read", () =>
        this.#programs.squares.of(writtenVectors(part)),
      );
      sum += part.squares;
    }
    return Math.sqrt(sum);
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await this.#programs.sums.release();
    await this.#programs.squares.release();
    await this.#programs.rowSums.release();
  }
}
