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
import type { Parameter, ParameterGroup } from "../peft/parameters.ts";
import type { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";

type Tensor = HostTensor<"float32">;

/** Gradients of one group. */
export interface GradientGroup {
  readonly group: ParameterGroup;
  /** Laid out like the group's values; undefined where there is no gradient. */
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

export class GradientBuffer {
  /** In the order of the adapter's groups. */
  readonly groups: readonly (GradientGroup & { readonly present: boolean[] })[];
  readonly #slots: ReadonlyMap<Parameter, Slot>;
  /** Gradients that follow one another in the adapter's order and in memory. */
  readonly #runs: readonly { readonly slots: readonly Slot[]; readonly data: Float32Array }[];
  readonly #pool: BufferPool;
  readonly #sum: Program;
  /** Tensors of the pool as [N]: it lends the same ones again. */
  readonly #flat = new WeakMap<Tensor, Tensor>();

  private constructor(adapter: Pick<Adapter, "groups" | "parameters">, pool: BufferPool, sum: Program) {
    this.#pool = pool;
    this.#sum = sum;
    this.groups = adapter.groups.map((group) => ({
      group,
      values: new Float32Array(group.values.length),
      present: group.parameters.map(() => false),
    }));
    const slots = new Map<Parameter, Slot>();
    for (const { group, values } of this.groups) {
      for (const parameter of group.parameters) {
        const { offset, length, shape } = parameter;
        const own = values.subarray(offset, offset + length);
        const [view, flat] = [hostTensor("float32", shape, own), hostTensor("float32", [length], own)];
        slots.set(parameter, { view, flat, isWritten: false });
      }
    }
    // By the order of the adapter, in which `vectors` lists them.
    this.#slots = new Map(adapter.parameters.map((parameter) => [parameter, slots.get(parameter) as Slot]));
    this.#runs = findRuns([...this.#slots.values()]);
  }

  /** Makes a buffer for what an adapter trains. */
  static async create(
    engine: Engine,
    adapter: Pick<Adapter, "groups" | "parameters">,
    pool: BufferPool,
  ): Promise<GradientBuffer> {
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
  }

  #slot(parameter: Parameter): Slot {
    const slot = this.#slots.get(parameter);
    if (!slot) throw new RangeError(`Cannot collect a gradient for "${parameter.name}": it is not trained`);
    return slot;
  }

  /** Where a program is to write the gradient of a parameter. Give it back through `add`. */
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
    const sum = this.#pool.acquire("float32", slot.flat.shape);
    await this.#sum.run({ a: slot.flat, b: this.#flatten(tensor) }, { sum });
    slot.flat.data.set(sum.data);
    this.#pool.release(sum, tensor);
  }

  #flatten(tensor: Tensor): Tensor {
    let flat = this.#flat.get(tensor);
    if (!flat) this.#flat.set(tensor, (flat = hostTensor("float32", [tensor.data.length], tensor.data)));
    return flat;
  }

  /** Ends the step; returns the parameters that have no gradient in it. */
  finish(): readonly Parameter[] {
    for (const { group, present } of this.groups) {
      group.parameters.forEach((parameter, i) => (present[i] = this.#slot(parameter).isWritten));
    }
    return [...this.#slots].flatMap(([parameter, { isWritten }]) => (isWritten ? [] : [parameter]));
  }

  /** The gradients that there are, in the order of the adapter's parameters, neighbours as one vector; views. */
  *vectors(): Iterable<Float32Array> {
    for (const { slots, data } of this.#runs) {
      if (slots.every(({ isWritten }) => isWritten)) yield data;
      else for (const { flat, isWritten } of slots) if (isWritten) yield flat.data;
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

function findRuns(slots: readonly Slot[]): { slots: Slot[]; data: Float32Array }[] {
  const runs: { slots: Slot[]; data: Float32Array }[] = [];
  for (const slot of slots) {
    const run = runs.at(-1);
    const { buffer, byteOffset, length } = slot.flat.data;
    if (run?.data.buffer === buffer && run.data.byteOffset + run.data.byteLength === byteOffset) {
      run.slots.push(slot);
      run.data = new Float32Array(buffer, run.data.byteOffset, run.data.length + length);
    } else runs.push({ slots: [slot], data: slot.flat.data });
  }
  return runs;
}
