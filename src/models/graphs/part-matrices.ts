/** @file The frozen matrices of a part, each in its arithmetic, and the values that they multiply. */
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
  /** Multiplies the product's input [..., in] by the smoothing factors, if there are any. */
  readonly smooth: (value: Value) => Value;
}

export class PartMatrices {
  readonly #tensors: PartTensors;
  readonly #smoothed = new SmoothedValues();
  /** Inputs of projections → the matrices that multiply them, as [out, in], by the tensors' names. */
  readonly readers = new Map<Value, Map<string, () => Value>>();

  constructor(tensors: PartTensors) {
    this.#tensors = tensors;
  }

  /** Declares the matrix of a tensor, which multiplies x. */
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
    // Projections with the same input share factors, so that it is multiplied and rounded only once.
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
