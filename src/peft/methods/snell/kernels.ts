/**
 * @file The kernels of SNELL: ΔW_ij = κ(b_i, a_j) of rows of two thin factors.   B [out, R]  A [in, R]  →  [out, in]
 *
 * Table A6 of arXiv:2411.01800 has linear, piecewise linear, sigmoid and RBF; its segments are off by one in print. The softmax
 * is SNELLA's (arXiv:2510.24037), as in its published code. The polynomial is ours: the same idea with powers of the product. The
 * paper only names α as learned; here β and γ are learned too. A kernel that is not linear gives ΔW a rank above R.
 */
import type { Value } from "../../../graph/graph.ts";
import {
  abs,
  add,
  div,
  exp,
  mul,
  neg,
  sigmoid,
  sign,
  sub,
} from "../../../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../../../graph/ops/products/matmul.ts";
import { pairwiseDistance } from "../../../graph/ops/products/pairwise-distance.ts";
import { reduceSum } from "../../../graph/ops/shapes/reduce-expand.ts";
import { split } from "../../../graph/ops/rows/split.ts";
import { slice } from "../../../graph/ops/shapes/slice-pad.ts";
import { softmax } from "../../../graph/ops/reductions/softmax.ts";
import { stopGradient } from "../../../graph/ops/shapes/stop-gradient.ts";
import { transpose } from "../../../graph/ops/shapes/transpose.ts";

/** Sizes of a kernel, and the initial size of its α. */
export interface KernelShape {
  /** Width R of the factors. */
  readonly rank: number;
  /** Segments P of a row; segment p ends at ⌈R p / P⌉. */
  readonly pieces: number;
  /** Initial size of α. */
  readonly alpha: number;
}

/** A kernel's own parameters by name, each a vector. */
type Coefficients<T> = Readonly<Record<string, T>>;

interface Kernel {
  /** Whether it splits rows into segments. */
  readonly cutsRows?: true;
  /** Initial values of its own parameters. */
  coefficients(shape: KernelShape): Coefficients<readonly number[]>;
  /** Bound of the uniform initial values of a factor with `rows` rows. */
  bound(rows: number, shape: KernelShape): number;
  /** ΔW [out, in] of B [out, R] and A [in, R]. */
  delta(b: Value, a: Value, numbers: Coefficients<Value>, shape: KernelShape): Value;
}

/** Our choice: makes products of two rows about as large as differences of distances are with the published initial values. */
const productBound: Kernel["bound"] = (rows, { rank }) => (rows * rank) ** -0.25;

/** The published bound for kernels of distances: He's uniform bound with a = √5 for a fan-in of rows · R/P. */
const distanceBound: Kernel["bound"] = (rows, { rank, pieces }) => 1 / Math.sqrt((rows * rank) / pieces);

export const KERNELS = {
  /** Σ_p α_p |b_[p] - a_[p]| over segments of the rows; α starts with alternating signs, as in the published code. */
  "piecewise-linear": {
    cutsRows: true,
    coefficients: (shape) => ({ alpha: alternating(shape) }),
    bound: distanceBound,
    delta: (b, a, { alpha }, shape) => distances(b, a, alpha!, shape),
  },
  /** D + β softmax(D / γ) + δ, the softmax over the outputs, of distances D as above whose α is not learned. */
  softmax: {
    cutsRows: true,
    coefficients: () => ({ beta: [1], gamma: [1], delta: [0] }),
    bound: distanceBound,
    delta: (b, a, { beta, gamma, delta }, shape) => {
      const { pieces } = shape;
      const alpha = b.graph.constant("float32", [pieces], Float32Array.from(alternating(shape)));
      const byInput = distances(a, b, alpha, shape);
      const shares = mul(softmax(div(byInput, gamma!)), beta!);
      return transpose(add(add(byInput, shares), delta!), [1, 0]);
    },
  },
  /** b · a, which is LoRA's product. */
  linear: { coefficients: () => ({}), bound: productBound, delta: (b, a) => matmul(b, a, { transB: true }) },
  /** α_1 (b · a) + α_2 (b · a)²; a constant term would change every weight at the start. */
  polynomial: {
    coefficients: ({ alpha }) => ({ alpha: [alpha, alpha] }),
    bound: productBound,
    delta: (b, a, { alpha }) => {
      const product = matmul(b, a, { transB: true });
      return mul(product, add(slice(alpha!, 0, 0, 1), mul(product, slice(alpha!, 0, 1, 2))));
    },
  },
  /** α σ(β b · a) + γ; γ starts at minus the value of the sigmoid term at 0. */
  sigmoid: {
    coefficients: ({ alpha }) => ({ alpha: [alpha], beta: [1], gamma: [-alpha / 2] }),
    bound: productBound,
    delta: (b, a, { alpha, beta, gamma }) => {
      const product = matmul(b, a, { transB: true });
      return add(mul(sigmoid(mul(product, beta!)), alpha!), gamma!);
    },
  },
  /** α exp(-β |b - a|²) + γ; γ starts at minus the value for equal rows. */
  rbf: {
    coefficients: ({ alpha }) => ({ alpha: [alpha], beta: [1], gamma: [-alpha] }),
    bound: productBound,
    delta: (b, a, { alpha, beta, gamma }) => {
      const lengths = add(squares(b), transpose(squares(a), [1, 0]));
      const distances = sub(lengths, matmul(b, a, { transB: true, alpha: 2 }));
      return add(mul(exp(mul(distances, neg(beta!))), alpha!), gamma!);
    },
  },
} as const satisfies Record<string, Kernel>;

export type KernelName = keyof typeof KERNELS;

/** Finds a kernel. */
export function kernelOf(name: KernelName): Kernel {
  return KERNELS[name];
}

/** α, -α, α, … for the pieces. */
function alternating({ pieces, alpha }: KernelShape): number[] {
  return Array.from({ length: pieces }, (_, p) => (p % 2 === 0 ? alpha : -alpha));
}

/** Σ_p α_p |u_[p] - v_[p]| of the rows u of x [M, R] and v of y [N, R], with α [P]: [M, N]. */
function distances(x: Value, y: Value, alpha: Value, { rank, pieces }: KernelShape): Value {
  const end = (p: number): number => Math.ceil((rank * p) / pieces);
  const widths = Array.from({ length: pieces }, (_, p) => end(p + 1) - end(p));
  const one = widths.map(() => 1);
  const [us, vs] = [split(x, 1, widths), split(y, 1, widths)];
  const [weights, signs] = [split(abs(alpha), 0, one), split(stopGradient(sign(alpha)), 0, one)];
  const parts = widths.map((width, p) => {
    // The thin rows are multiplied by |α|, so that its gradient takes no pass over [M, N]. At α = 0 that gradient is 0.
    const [u, v] = [mul(us[p]!, weights[p]!), mul(vs[p]!, weights[p]!)];
    const distance = width === 1 ? abs(sub(u, transpose(v, [1, 0]))) : pairwiseDistance(u, v);
    return mul(distance, signs[p]!);
  });
  return parts.reduce((total, part) => add(total, part));
}

/** |row|² of every row of x [M, R]: [M, 1]. */
function squares(x: Value): Value {
  return reduceSum(mul(x, x), [1]);
}
