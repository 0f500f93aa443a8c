/** @file Norms, and the tensors that they declare: root mean square and layer norm, with factors w or 1 + w. */
import type { Value } from "../graph/graph.ts";
import { add, mul } from "../graph/ops/pointwise/elementwise.ts";
import { layerNorm as layerNormOf } from "../graph/ops/norms/layer-norm.ts";
import { concat } from "../graph/ops/shapes/concat.ts";
import { reshape } from "../graph/ops/shapes/reshape.ts";
import { rmsNorm as rmsNormOf } from "../graph/ops/norms/rms-norm.ts";
import { dimsOf, sizeAt } from "../graph/shape.ts";
import { alongRows, isPerRow } from "./along-rows.ts";
import type { Builder } from "./builder.ts";

/** Builds a norm of the last axis of x; `name` is that of its module. */
export type Norm = (b: Builder, name: string, x: Value) => Value;

/** Added to squared lengths before dividing by them. */
const LENGTH_EPSILON = 1e-6;

const widthOf = (x: Value): number => sizeAt(x.shape, -1);

/** The root-mean-square norm with factors w. */
export function rmsNorm(epsilon: number): Norm {
  return (b, name, x) => scaledNorm(x, b.tensor(`${name}.weight`, [widthOf(x)], "norm"), epsilon);
}

/** The root-mean-square norm with factors 1 + w. */
export function rmsNormPlusOne(epsilon: number): Norm {
  return (b, name, x) => {
    const w = b.tensor(`${name}.weight`, [widthOf(x)], "norm");
    return scaledNorm(x, add(w, x.graph.scalar(1)), epsilon);
  };
}

/** The layer norm with factors w, and with biases if `hasBias`. */
export function layerNorm(epsilon: number, hasBias = true): Norm {
  return layerNormBy((weight) => weight, epsilon, hasBias);
}

/** The layer norm with factors 1 + w, and biases. */
export function layerNormPlusOne(epsilon: number): Norm {
  return layerNormBy((weight) => add(weight, weight.graph.scalar(1)), epsilon, true);
}

/** The layer norm with factors computed from its weight. */
function layerNormBy(factorsOf: (weight: Value) => Value, epsilon: number, hasBias: boolean): Norm {
  return (b, name, x) => {
    const shape = [widthOf(x)];
    const weight = factorsOf(b.tensor(`${name}.weight`, shape, "norm"));
    const bias = hasBias ? b.tensor(`${name}.bias`, shape, "bias") : null;
    if (!isPerRow(weight) && !(bias && isPerRow(bias)))
      return layerNormOf(x, weight, bias ?? filled(x, 0), epsilon);
    const scaled = mul(layerNormOf(x, filled(x, 1), filled(x, 0), epsilon), alongRows(weight, x));
    return bias ? add(scaled, alongRows(bias, x)) : scaled;
  };
}

/** The layer norm without factors and biases: it has no tensors. */
export function bareLayerNorm(epsilon: number): Norm {
  return (_b, _name, x) => layerNormOf(x, filled(x, 1), filled(x, 0), epsilon);
}

/** The root-mean-square norm without factors: it has no tensors. */
export function bareRmsNorm(epsilon: number): Norm {
  return (_b, _name, x) => rmsNormOf(x, filled(x, 1), epsilon)[0];
}

/** The root-mean-square norm times factors shared by all rows or of each row. */
function scaledNorm(x: Value, weight: Value, epsilon: number): Value {
  if (!isPerRow(weight)) return rmsNormOf(x, weight, epsilon)[0];
  return mul(rmsNormOf(x, filled(x, 1), epsilon)[0], alongRows(weight, x));
}

function filled(x: Value, value: number): Value {
  const width = widthOf(x);
  return x.graph.constant("float32", [width], new Float32Array(width).fill(value));
}

/** Makes a norm that normalises each of n heads of x [B, T, n·E] separately. */
export type HeadNorm = (numHeads: number) => Norm;

/** The layer norm of each head, with factors [n, E] and without biases. */
export function layerNormOfHeads(epsilon: number): HeadNorm {
  return (numHeads) => (b, name, x) => {
    const [B, T] = dimsOf(x.shape, 3);
    const heads = reshape(x, [B, T, numHeads, widthOf(x) / numHeads]);
    const weight = b.tensor(`${name}.weight`, [numHeads, widthOf(heads)], "norm");
    return reshape(mul(bareLayerNorm(epsilon)(b, name, heads), weight), x.shape);
  };
}

/** The same with a tensor of factors [E] for each head, NAME.norms.0 and so on. */
export function normsByHead(epsilon: number): HeadNorm {
  return (numHeads) => (b, name, x) => {
    const normed = headNorm(bareLayerNorm(epsilon))(numHeads)(b, name, x);
    const factors = Array.from({ length: numHeads }, (_, head) =>
      b.tensor(`${name}.norms.${head}.weight`, [widthOf(x) / numHeads], "norm"),
    );
    return mul(normed, alongRows(concat(factors, factors[0]!.shape.length - 1), x));
  };
}

/** The root-mean-square norm of each of n parts of x [B, T, n·E], with factors [n·E]. */
export function rmsNormOfParts(epsilon: number, numParts: number): Norm {
  if (numParts === 1) return rmsNorm(epsilon);
  return (b, name, x) => {
    const [B, T] = dimsOf(x.shape, 3);
    const parts = reshape(x, [B, T, numParts, widthOf(x) / numParts]);
    const normed = reshape(rmsNormOf(parts, filled(parts, 1), epsilon)[0], x.shape);
    return mul(normed, alongRows(b.tensor(`${name}.weight`, [widthOf(x)], "norm"), x));
  };
}

/** Scales each head of x [B, T, n·E] to this length; it has no tensors. */
export function headsOfLength(x: Value, numHeads: number, length: number): Value {
  const [B, T] = dimsOf(x.shape, 3);
  const width = widthOf(x) / numHeads;
  const heads = reshape(x, [B, T, numHeads, width]);
  const factors = filled(heads, length / Math.sqrt(width));
  return reshape(rmsNormOf(heads, factors, LENGTH_EPSILON / width)[0], x.shape);
}

/** Applies a norm to each head, with the same E factors for all heads. */
export function headNorm(norm: Norm): HeadNorm {
  return (numHeads) => (b, name, x) => {
    const [B, T] = dimsOf(x.shape, 3);
    return reshape(norm(b, name, reshape(x, [B, T, numHeads, widthOf(x) / numHeads])), x.shape);
  };
}
