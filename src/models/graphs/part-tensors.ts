/** @file The tensors that a part of a model declares, and the operands that its programs read for each. */
import type { Graph, Value } from "../../graph/graph.ts";
import type { OperandValues, Preparation } from "../../nn/compute.ts";
import { SMOOTHING, readSmoothing } from "../../nn/products/smoothing.ts";
import type { TensorSpec } from "./sites.ts";

/** A tensor of a part, and how its operands are made. */
export interface TensorRead {
  readonly tensor: string;
  readonly preparation: Preparation;
}

/** The names of the inputs for a tensor. */
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

  /** Declares a tensor at its first use; returns its operands by suffix. */
  declare(spec: TensorSpec, preparation: Preparation): OperandValues {
    const { name: tensor } = spec;
    if (!this.#reads.has(tensor)) {
      this.specs.push(spec);
      this.#reads.set(tensor, { tensor, preparation });
    }
    return this.#read(tensor, preparation);
  }

  /** Declares the smoothing factors [in] of a matrix's input. */
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

  /** Returns the tensors that have operands among the inputs of a program. */
  readsOf(inputs: Readonly<Record<string, Value>>): TensorRead[] {
    return [...this.#reads.values()].filter((read) => operandNames(read).some((name) => name in inputs));
  }
}
