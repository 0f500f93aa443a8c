/**
 * @file RoAd's rotations in succession: the product of the 2×2 blocks, each raised to the power of its weight.
 *
 * The blocks of road_1 are scaled rotations of the plane, which commute: θ = Σ wᵢ θᵢ, α = Π |αᵢ|^wᵢ. Those of road_2 and road_4
 * are arbitrary matrices M = [c₁ −s₁; s₂ c₂], so their order matters: the first in an expression is applied first.
 *
 *   M^w = f I + g (M − t I)    t = tr M / 2    q² = t² − det M    f, g: (λ₁^w ± λ₂^w) / 2 over 1 and q    λ = t ± q
 */
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { ProductAlgebra, SiteState } from "../../algebra/contract.ts";
import type { SiteTensors } from "../../sites/site.ts";
import { ALPHA, THETA, coefficientsIn, tensorsFrom } from "./numbers.ts";
import type { RoadLayout } from "./coefficients.ts";

/** A block by rows. */
type PairMatrix = readonly [number, number, number, number];

const IDENTITY: PairMatrix = [1, 0, 0, 1];
/** Eigenvalues whose relative distance is below this count as equal. */
const SAME = 1e-6;

export const ROAD_PRODUCT: ProductAlgebra<RoadLayout> = {
  refuses(state, weight) {
    if (state.options.variant === "road_1")
      return state.tensors[ALPHA]!.data.every((size) => Number.isFinite(Math.log(Math.abs(size))))
        ? null
        : "scales by 0, which cannot be undone";
    const powers = blocksOf(state).map((block) => powerOf(block, weight));
    if (powers.every((power) => power?.every(Number.isFinite))) return null;
    return Number.isInteger(weight)
      ? "scales by 0, which cannot be undone"
      : `reflects a plane or scales by 0, which cannot be raised to the power ${weight}`;
  },
  multiply(terms) {
    const like = terms[0]!.state;
    if (like.options.variant === "road_1") return multiplyTurns(terms);
    const blocks = terms.map(({ state, weight }) => blocksOf(state).map((block) => powerOf(block, weight)!));
    const [c, s] = [new Float64Array(numOutputs(like)), new Float64Array(numOutputs(like))];
    for (const [i, [a, b]] of pairsOf(like).entries()) {
      const whole = blocks.reduce((product, own) => multiply(own[i]!, product), IDENTITY);
      [c[a], s[a], s[b], c[b]] = [whole[0], -whole[1], whole[2], whole[3]];
    }
    return tensorsFrom(c, s, like);
  },
};

function multiplyTurns(terms: Parameters<typeof ROAD_PRODUCT.multiply>[0]): SiteTensors {
  const { shape, data } = terms[0]!.state.tensors[THETA]!;
  const [theta, alpha] = [new Float32Array(data.length), new Float32Array(data.length)];
  for (let i = 0; i < data.length; i++) {
    let [turn, logSize] = [0, 0];
    for (const { state, weight } of terms) {
      const size = state.tensors[ALPHA]!.data[i]!;
      // A negative scale is a rotation by π more.
      turn += weight * (state.tensors[THETA]!.data[i]! + (size < 0 ? Math.PI : 0));
      logSize += weight * Math.log(Math.abs(size));
    }
    [theta[i], alpha[i]] = [turn, Math.exp(logSize)];
  }
  return { [THETA]: hostTensor("float32", shape, theta), [ALPHA]: hostTensor("float32", shape, alpha) };
}

/** Outputs of each pair. */
function pairsOf(state: SiteState<RoadLayout>): (readonly [number, number])[] {
  const half = state.options.groupSize / 2;
  return Array.from({ length: numOutputs(state) / 2 }, (_, pair) => {
    const first = Math.floor(pair / half) * 2 * half + (pair % half);
    return [first, first + half];
  });
}

function numOutputs({ tensors, options }: SiteState<RoadLayout>): number {
  return tensors[THETA]!.data.length / (options.variant === "road_4" ? 2 : 1);
}

function blocksOf(state: SiteState<RoadLayout>): PairMatrix[] {
  const { c, s } = coefficientsIn(state);
  return pairsOf(state).map(([a, b]) => [c[a]!, -s[a]!, s[b]!, c[b]!]);
}

function multiply([a, b, c, d]: PairMatrix, [e, f, g, h]: PairMatrix): PairMatrix {
  return [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h];
}

/** Computes the real power of a block; null, or not finite, where there is none. */
function powerOf(block: PairMatrix, weight: number): PairMatrix | null {
  const [a, b, c, d] = block;
  const det = a * d - b * c;
  if (Number.isInteger(weight)) {
    let square: PairMatrix = weight < 0 ? [d / det, -b / det, -c / det, a / det] : block;
    let power = IDENTITY;
    for (let left = Math.abs(weight); left > 0; left = Math.floor(left / 2)) {
      if (left % 2 === 1) power = multiply(square, power);
      square = multiply(square, square);
    }
    return power;
  }
  const t = (a + d) / 2;
  const square = t * t - det;
  const q = Math.sqrt(Math.abs(square));
  let f: number;
  let g: number;
  if (square < 0 && q > SAME * Math.abs(t)) {
    // Two conjugate eigenvalues: similar to a scaled rotation by φ.
    const [size, angle] = [Math.sqrt(det) ** weight, weight * Math.atan2(q, t)];
    [f, g] = [size * Math.cos(angle), (size * Math.sin(angle)) / q];
  } else if (q <= SAME * Math.abs(t)) {
    if (t <= 0) return null;
    [f, g] = [t ** weight, weight * t ** (weight - 1)];
  } else {
    if (t - q <= 0) return null;
    const [high, low] = [(t + q) ** weight, (t - q) ** weight];
    [f, g] = [(high + low) / 2, (high - low) / (2 * q)];
  }
  return [f + g * (a - t), g * b, g * c, f + g * (d - t)];
}
