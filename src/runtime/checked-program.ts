/**
 * @file A program whose runs are checked before anything executes them, whatever the engine.
 *
 * Names, element types, shapes, memory and liveness: a caller's mistake becomes an error here and never reaches native code. A
 * run borrows the memory of its tensors until it ends, so that no run can write what another one reads or writes.
 */
import type { ProgramSpec } from "../graph/program.ts";
import type { Value } from "../graph/graph.ts";
import type { Dim } from "../graph/shape.ts";
import { Borrowed } from "./memory/borrowed-memory.ts";
import type { Program } from "./engine.ts";
import type { HostTensor, Tensors } from "./host-tensor.ts";
import { ShapeCheck } from "./shape-check.ts";

/** What executes one program, on tensors in the order of the specification. */
export interface Executable<N> {
  run(inputs: readonly Borrowed<N>[], outputs: readonly Borrowed<N>[]): Promise<void> | void;
  release(): Promise<void> | void;
}

/** Tensors bound at compile time, by name. */
export type Constants<N> = ReadonlyMap<string, Borrowed<N>>;

interface Slot {
  readonly name: string;
  readonly value: Value;
  /** The counterpart of a tensor that is updated in place: the input of an output, the output of an input; null: not updated in place. */
  readonly updates: string | null;
}

export class CheckedProgram<N> implements Program {
  readonly spec: ProgramSpec;
  readonly #executable: Executable<N>;
  readonly #borrowed: WeakMap<HostTensor, Borrowed<N>>;
  readonly #constants: Constants<N>;
  /** Constants with a symbolic size, which inputs and outputs must agree with. */
  readonly #sizing: readonly (readonly [string, Borrowed<N>])[];
  readonly #inputs: readonly Slot[];
  readonly #outputs: readonly Slot[];
  readonly #shapes: ShapeCheck;
  #numRunning = 0;
  #released: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;

  /**
   * Wraps what `build` compiles. Constants are those of `tensors` that are inputs of the program; their memory is lent until it
   * is released. `borrowed` holds the engine's own objects, made once for each tensor.
   */
  static async create<N>(
    spec: ProgramSpec,
    tensors: Tensors,
    borrowed: WeakMap<HostTensor, Borrowed<N>>,
    build: (constants: Constants<N>) => Promise<Executable<N>>,
  ): Promise<CheckedProgram<N>> {
    const constants = new Map<string, Borrowed<N>>();
    const action = `Cannot compile program "${spec.name}"`;
    const shapes = new ShapeCheck(action);
    try {
      for (const [name, value] of Object.entries(spec.inputs)) {
        const tensor = tensors[name];
        if (!tensor) continue;
        const one = borrow(borrowed, tensor, value, `${action}: constant "${name}"`);
        lend(one.read(), action, `constant "${name}" is being written by a run`);
        one.loans.fix();
        constants.set(name, one);
        shapes.add("bound", name, value);
      }
      shapes.check([...constants.values()]);
      return new CheckedProgram(spec, await build(constants), borrowed, constants);
    } catch (error) {
      for (const one of constants.values()) one.endRead();
      throw error;
    }
  }

  private constructor(
    spec: ProgramSpec,
    executable: Executable<N>,
    borrowed: WeakMap<HostTensor, Borrowed<N>>,
    constants: Constants<N>,
  ) {
    this.spec = spec;
    this.#executable = executable;
    this.#borrowed = borrowed;
    this.#constants = constants;
    this.#shapes = new ShapeCheck(this.#action);
    const { updates = {} } = spec;
    const updaters = Object.fromEntries(Object.entries(updates).map(([output, input]) => [input, output]));
    this.#inputs = slotsOf(spec.inputs, updaters).filter(({ name }) => !constants.has(name));
    this.#outputs = slotsOf(spec.outputs, updates);
    this.#sizing = [...constants].filter(([name]) => spec.inputs[name]?.shape.some(isUnknown));
    for (const [name] of this.#sizing) this.#shapes.add("bound", name, spec.inputs[name]!);
    for (const { name, value } of this.#inputs) this.#shapes.add("input", name, value);
    for (const { name, value } of this.#outputs) this.#shapes.add("output", name, value);
  }

  get #action(): string {
    return `Cannot run program "${this.spec.name}"`;
  }

  #take(kind: "input" | "output", slots: readonly Slot[], feeds: Tensors, into: Tensors): Borrowed<N>[] {
    return slots.map(({ name, value, updates }) => {
      const updated = updates === null ? into[name] : feeds[updates];
      const tensor = kind === "input" ? feeds[name] : updated;
      if (!tensor) throw new RangeError(`${this.#action}: ${kind} "${name}" is not given`);
      const known = this.#borrowed.get(tensor);
      if (known?.dtype === value.dtype && known.isOf(tensor)) return known;
      return borrow(this.#borrowed, tensor, value, `${this.#action}: ${kind} "${name}"`);
    });
  }

  async run(feeds: Tensors, into: Tensors): Promise<void> {
    if (this.#released) throw new RangeError(`${this.#action}: it is released`);
    const inputs = this.#take("input", this.#inputs, feeds, into);
    const outputs = this.#take("output", this.#outputs, feeds, into);
    // Loops over feeds, as there are ten times as many constants.
    for (const name in feeds) {
      const fed = feeds[name];
      const constant = this.#constants.get(name);
      if (fed && constant && fed.data !== constant.data) {
        throw new TypeError(
          `${this.#action}: input "${name}" is bound as a constant, expected no other tensor`,
        );
      }
    }
    this.#shapes.check([...this.#sizing.map(([, constant]) => constant), ...inputs, ...outputs]);
    let numWritten = 0;
    const read: Borrowed<N>[] = [];
    this.#numRunning++;
    try {
      for (const one of outputs) {
        lend(one.write(), this.#action, `memory of output "${this.#outputs[numWritten]?.name}" is in use`);
        numWritten++;
      }
      for (const [i, one] of inputs.entries()) {
        const { name, updates } = this.#inputs[i]!;
        // An input that is updated in place is already lent for writing, as the output.
        if (updates !== null) continue;
        lend(one.read(), this.#action, `memory of input "${name}" is being written`);
        read.push(one);
      }
      // Awaits only a promise: a turn of the microtask queue takes as long as a small program.
      const running = this.#executable.run(inputs, outputs);
      if (running) await running;
    } finally {
      while (read.length > 0) read.pop()?.endRead();
      while (numWritten > 0) outputs[--numWritten]?.endWrite();
      this.#numRunning--;
      if (this.#numRunning === 0) this.#onIdle?.();
    }
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    if (this.#numRunning > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#executable.release();
    for (const constant of this.#constants.values()) constant.endRead();
  }
}

function isUnknown(size: Dim): boolean {
  return typeof size === "string";
}

function slotsOf(values: Readonly<Record<string, Value>>, updates: Readonly<Record<string, string>>): Slot[] {
  return Object.entries(values).map(([name, value]) => ({ name, value, updates: updates[name] ?? null }));
}

/**
 * Checks a tensor that is new or has changed; messages begin with `what`. @throws TypeError, RangeError when it does not fit the value
 */
function borrow<N>(
  borrowed: WeakMap<HostTensor, Borrowed<N>>,
  tensor: HostTensor,
  { dtype }: Value,
  what: string,
): Borrowed<N> {
  if (tensor.dtype !== dtype) throw new TypeError(`${what} is ${tensor.dtype}, expected ${dtype}`);
  const one = new Borrowed<N>(tensor, what);
  borrowed.set(tensor, one);
  return one;
}

function lend(isLent: boolean, action: string, found: string): void {
  if (!isLent) throw new RangeError(`${action}: ${found}, expected separate memory`);
}
