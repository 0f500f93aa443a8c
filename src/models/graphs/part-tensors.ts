/** @file The tensors that a part of a model declares, and what its programs read of each in an arithmetic. */
import type { Graph, Value } from "../../graph/graph.ts";
import type { OperandValues, Preparation } from "../../nn/compute.ts";
import { SMOOTHING, readSmoothing } from "../../nn/products/smoothing.ts";
import type { TensorSpec } from "./sites.ts";

/** A tensor of a part, and how what programs read of it is made. */
export interface TensorRead {
  readonly tensor: string;
  readonly preparation: Preparation;
}

/** The names of the inputs that are read of a tensor. */
export function operandNames({ tensor, preparation }: TensorRead): string[] {
  return preparation.operands.map(({ suffix }) => tensor + suffix);
}

export class PartTensors {
  readonly #graph: Graph;
  /** Tensors in the order of their use. */
  readonly specs: TensorSpec[] = [];
  /** Inputs by name: the tensors, or the operands of their arithmetic. */
  readonly inputs: Record<string, Value> = {};
  readonly #reads = new Map<string, TensorRead>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** Declares a tensor, once, and what programs read of it, by suffix. */
  declare(spec: TensorSpec, preparation: Preparation): OperandValues {
    const { name: tensor } = spec;
    if (!this.#reads.has(tensor)) {
      this.specs.push(spec);
      this.#reads.set(tensor, { tensor, preparation });
    }
    return this.#read(tensor, preparation);
  }

  /** Declares the factors [in] on what a matrix multiplies. */
  declareSmoothing(tensor: string, inFeatures: number): Value {
    const preparation = readSmoothing(inFeatures);
    this.#reads.set(tensor + SMOOTHING, { tensor, preparation });
    return this.#read(tensor, preparation)[SMOOTHING]!;
  }

  #read(tensor: string, { operands }: Preparation): OperandValues {
    return Object.fromEntries(
      operands.map(({ suffix, dtype, shape }) => {
        const name = tensor + suffix;
        return [suffix, (this.inputs[name] ??= this.#graph.input(name, dtype, shape))];
      }),
    );
  }

  /** The tensors of which something is among the inputs of a program. */
  readsOf(inputs: Readonly<Record<string, Value>>): TensorRead[] {
    return [...this.#reads.values()].filter((read) => operandNames(read).some((name) => name in inputs));
  }
}
