/** @file The frozen matrices that a part multiplies with, each in its arithmetic, and what they read. */
import type { Value } from "../../graph/graph.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import type { Matrix, OperandValues, Product } from "../../nn/compute.ts";
import { SmoothedValues } from "../../nn/products/smoothing.ts";
import type { PartOptions } from "./part-options.ts";
import type { PartTensors } from "./part-tensors.ts";

/** A matrix in a graph. */
export interface PartMatrix {
  readonly product: Product;
  readonly operands: OperandValues;
  /** Its values [out, in], in float32. */
  readonly dense: () => Value;
  /** What its product is given of a value [..., in]. */
  readonly smooth: (value: Value) => Value;
}

export class PartMatrices {
  readonly #tensors: PartTensors;
  readonly #smoothed = new SmoothedValues();
  /** What projections read: the matrices of each, by the tensors' names, as [out, in]. */
  readonly readers = new Map<Value, Map<string, () => Value>>();

  constructor(tensors: PartTensors) {
    this.#tensors = tensors;
  }

  /** Declares a matrix that multiplies x, by its tensor's name. */
  declare(
    tensor: string,
    x: Value,
    matrix: Matrix,
    { product: productOf, isSmoothed }: Pick<PartOptions, "product" | "isSmoothed">,
  ): PartMatrix {
    const { role, inFeatures, outFeatures, storedTransposed } = matrix;
    const shape = storedTransposed ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
    const product = productOf(tensor, matrix);
    const spec = { name: tensor, shape, role: role === "head" ? role : ("weight" as const) };
    const operands = this.#tensors.declare(spec, product);
    const dense = (): Value => product.dense(operands);
    const readers = this.readers.get(x) ?? new Map<string, () => Value>();
    this.readers.set(x, readers.set(tensor, dense));
    if (!isSmoothed(tensor)) return { product, operands, dense, smooth: (value) => value };
    // Projections that read the same value share factors, so that it is multiplied and rounded once.
    const [first = tensor] = readers.keys();
    const factors = this.#tensors.declareSmoothing(first, inFeatures);
    return {
      product,
      operands,
      dense: () => mul(dense(), factors),
      smooth: (value) => this.#smoothed.of(value, factors),
    };
  }
}
