/**
 * @file Collects the gradients of a step, a vector for each group of parameters, to which the programs add up.
 *
 * The first program that has a gradient for a parameter writes it straight into the vector; later ones (another
 * micro-batch, a tied matrix) write aside and are added, so no step clears a vector. A parameter that no program wrote
 * has no gradient in the step, which is not a gradient of zero: the optimizer leaves it and its state alone.
 */
import { Graph } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import type { Adapter } from "../peft/attach.ts";
import { type Parameter, type ParameterGroup, groupName, lengthOf } from "../peft/parameters.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import { FlatChunks } from "../runtime/flat-chunks.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { type Hold, type Use, type VectorMemory } from "../runtime/vector-memory.ts";

type Tensor = HostTensor<"float32">;

/** Gradients of one group. */
export interface GradientGroup {
  readonly group: ParameterGroup;
  /** Laid out like the group's values, in the same memory; undefined where there is no gradient. */
  readonly values: Float32Array;
  /** Whether each parameter of the group has a gradient. Known once the step is finished. */
  readonly present: readonly boolean[];
}

/** Where the gradient of one parameter lies. */
interface Slot {
  readonly view: Tensor;
  /** The same memory as [N]. */
  readonly flat: Tensor;
  isWritten: boolean;
}

/** Gradients that follow one another in the adapter's order and in memory. */
interface Run {
  readonly slots: readonly Slot[];
  readonly data: Float32Array;
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
  readonly #chunks = new FlatChunks();

  private constructor({ groups, parameters, memory }: Trained, pool: BufferPool, sum: Program) {
    this.#pool = pool;
    this.#sum = sum;
    this.memory = memory;
    const slots = new Map<Parameter, Slot>();
    const stretches = findStretches(parameters);
    const runs = new Map<readonly Parameter[], Run>();
    this.groups = groups.map((group) => {
      const length = lengthOf(group);
      const spec = { name: `gradients of ${groupName(group.layer)}`, sizeBytes: 4 * length };
      const values = memory.make(spec, (buffer) => {
        for (const parameter of group.parameters) {
          const own = new Float32Array(buffer, 4 * parameter.offset, parameter.length);
          const flat = hostTensor("float32", [parameter.length], own);
          slots.set(parameter, { view: hostTensor("float32", parameter.shape, own), flat, isWritten: false });
        }
        for (const stretch of stretches.filter(([first]) => first?.layer === group.layer)) {
          const start = stretch[0]?.offset ?? 0;
          const data = new Float32Array(buffer, 4 * start, lengthOf({ parameters: stretch }) - start);
          runs.set(stretch, { slots: stretch.map((each) => slots.get(each) as Slot), data });
        }
        return new Float32Array(buffer, 0, length);
      });
      return { group, values, present: group.parameters.map(() => false) };
    });
    // By the order of the adapter, in which `vectors` lists them.
    this.#slots = new Map(parameters.map((parameter) => [parameter, slots.get(parameter) as Slot]));
    this.#runs = stretches.map((stretch) => runs.get(stretch) as Run);
  }

  /** Makes a buffer for what an adapter trains. */
  static async create(engine: Engine, adapter: Trained, pool: BufferPool): Promise<GradientBuffer> {
    const graph = new Graph();
    const [a, b] = [graph.input("a", "float32", ["N"]), graph.input("b", "float32", ["N"])];
    const program = await engine.compile({
      name: "add-gradient",
      inputs: { a, b },
      outputs: { sum: add(a, b) },
    });
    return new GradientBuffer(adapter, pool, program);
  }

  /** Forgets what was collected: the next step begins. */
  begin(): void {
    for (const slot of this.#slots.values()) slot.isWritten = false;
    this.memory.discard(this.groups.map(({ values }) => values));
  }

  /** Holds the memory of parameters' gradients, to write them. */
  hold(parameters: readonly Parameter[]): Promise<Hold> {
    return this.memory.hold(...this.#toWrite(parameters));
  }

  /** Begins to bring that memory in. */
  prefetch(parameters: readonly Parameter[]): void {
    this.memory.prefetch(...this.#toWrite(parameters));
  }

  #toWrite(parameters: readonly Parameter[]): [Float32Array[], Use] {
    const groups = this.groups.filter(({ group }) => parameters.some(({ layer }) => layer === group.layer));
    const isNew = groups.every(({ group }) => group.parameters.every((each) => !this.#slot(each).isWritten));
    return [groups.map(({ values }) => values), isNew ? "overwrite" : "change"];
  }

  #slot(parameter: Parameter): Slot {
    const slot = this.#slots.get(parameter);
    if (!slot) throw new RangeError(`Cannot collect a gradient for "${parameter.name}": it is not trained`);
    return slot;
  }

  /** Where a program is to write the gradient of a parameter, which is held. Give it back through `add`. */
  target(parameter: Parameter): Tensor {
    const { view, isWritten } = this.#slot(parameter);
    return isWritten ? this.#pool.acquire("float32", view.shape) : view;
  }

  /** Adds what a program wrote into `tensor`. */
  async add(parameter: Parameter, tensor: Tensor): Promise<void> {
    const slot = this.#slot(parameter);
    if (tensor === slot.view) {
      slot.isWritten = true;
      return;
    }
    // Piece by piece: the sum of a large matrix needs no memory of its size.
    const others = this.#chunks.of(tensor.data);
    for (const [i, a] of this.#chunks.of(slot.flat.data).entries()) {
      const sum = this.#chunks.scratch("sum", a.data.length);
      await this.#sum.run({ a, b: others[i] as Tensor }, { sum });
      a.data.set(sum.data);
    }
    this.#pool.release(tensor);
  }

  /** Ends the step; returns the parameters that have no gradient in it. */
  finish(): readonly Parameter[] {
    for (const { group, present } of this.groups) {
      group.parameters.forEach((parameter, i) => (present[i] = this.#slot(parameter).isWritten));
    }
    return [...this.#slots].flatMap(([parameter, { isWritten }]) => (isWritten ? [] : [parameter]));
  }

  /**
   * The gradients that there are, in the order of the adapter's parameters, neighbours as one vector; views, held until
   * the next is asked for.
   */
  async *vectors(): AsyncGenerator<Float32Array, void, void> {
    const runs = this.#runs.filter(({ slots }) => slots.some(({ isWritten }) => isWritten));
    for (const [i, { slots, data }] of runs.entries()) {
      const hold = await this.memory.hold([data], "read");
      const next = runs[i + 1];
      if (next) this.memory.prefetch([next.data], "read");
      try {
        if (slots.every(({ isWritten }) => isWritten)) yield data;
        else for (const { flat, isWritten } of slots) if (isWritten) yield flat.data;
      } finally {
        hold.release();
      }
    }
  }

  /** Frees the program. */
  async release(): Promise<void> {
    await this.#sum.release();
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

/** Cuts parameters where one does not lie behind the other. */
function findStretches(parameters: readonly Parameter[]): Parameter[][] {
  const stretches: Parameter[][] = [];
  for (const parameter of parameters) {
    const last = stretches.at(-1)?.at(-1);
    if (last?.layer === parameter.layer && last.offset + last.length === parameter.offset) {
      stretches.at(-1)?.push(parameter);
    } else stretches.push([parameter]);
  }
  return stretches;
}
