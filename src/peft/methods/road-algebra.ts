/**
 * @file Arithmetic of RoAd: the sum of the changes R − I of its turns is one turn again, in each 2×2 block.
 *
 *   c = 1 + Σ wᵢ (cᵢ − 1)    s = Σ wᵢ sᵢ    α = √(c² + s²)    θ = atan2(s, c)
 *
 * Applied one after another, turns of the plane multiply: θ = Σ wᵢ θᵢ and α = Π αᵢ^wᵢ, so the inverse has weight -1.
 *
 * A file holds the values of all pairs, so adapters of the lower and of the upper half of them add up to one of all.
 * road_4 has α and θ of their own for the cosine and for the sine of an output: there the other part is zero.
 */
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { Algebra } from "../algebra/contract.ts";
import type { RoadLayout, RoadVariant } from "./road-coefficients.ts";
import { joinWholeModules } from "../whole-modules.ts";

const THETA = "road_theta";
const ALPHA = "road_alpha";

interface RoadOptions {
  readonly variant: RoadVariant;
  readonly modulesToSave: string[] | null;
}

/** Outputs for each stored number. */
const OUTPUTS_PER_NUMBER: Readonly<Record<RoadVariant, number>> = { road_1: 2, road_2: 1, road_4: 1 / 2 };

/** Makes the arithmetic of the method with these options. */
export function roadAlgebra<O extends RoadOptions, S extends RoadLayout>(): Algebra<O, S> {
  return {
    kind: "vectors",
    isLinear: false,
    refuses: () => null,
    suffixes: [THETA, ALPHA],

    sizeOf: ({ [THETA]: theta }, { variant }) => {
      const outFeatures = (theta?.data.length ?? 1) * OUTPUTS_PER_NUMBER[variant];
      return { kind: "linear", inFeatures: 1, outFeatures };
    },

    toChange: ({ tensors: { [THETA]: theta, [ALPHA]: alpha }, options }) => {
      const length = theta!.data.length;
      const [c, s] = [new Float64Array(length), new Float64Array(length)];
      for (let i = 0; i < length; i++) {
        const [turn, size] = [theta!.data[i]!, alpha!.data[i]!];
        if (hasCosine(i, options)) c[i] = size * Math.cos(turn) - 1;
        if (hasSine(i, options)) s[i] = size * Math.sin(turn);
      }
      return { c, s };
    },

    fromChange: ({ c, s }, { tensors, options }) => {
      const shape = tensors[THETA]?.shape ?? [];
      const [theta, alpha] = [new Float32Array(c!.length), new Float32Array(c!.length)];
      for (let i = 0; i < theta.length; i++) {
        const cosine = hasCosine(i, options) ? 1 + c![i]! : 0;
        theta[i] = Math.atan2(s![i]!, cosine);
        alpha[i] = Math.hypot(s![i]!, cosine);
      }
      return { [THETA]: hostTensor("float32", shape, theta), [ALPHA]: hostTensor("float32", shape, alpha) };
    },

    logarithm: {
      refuses: ({ variant }) =>
        variant === "road_1" ? null : `its variant is "${variant}", whose blocks are not turns with a scale`,
      toChange: ({ tensors: { [THETA]: theta, [ALPHA]: alpha } }) => ({
        // A negative size is half a turn more.
        theta: Float64Array.from(theta!.data, (turn, i) => (alpha!.data[i]! < 0 ? turn + Math.PI : turn)),
        logAlpha: Float64Array.from(alpha!.data, (size) => Math.log(Math.abs(size))),
      }),
      fromChange: ({ theta, logAlpha }, { tensors }) => {
        const shape = tensors[THETA]?.shape ?? [];
        return {
          [THETA]: hostTensor("float32", shape, Float32Array.from(theta!)),
          [ALPHA]: hostTensor("float32", shape, Float32Array.from(logAlpha!, Math.exp)),
        };
      },
    },

    optionsOf: (sites, terms) => ({
      ...terms[0],
      groupSize: [...sites.values()][0]?.groupSize ?? null,
      ...joinWholeModules(terms),
    }),
  };
}

/** Whether a stored number makes a cosine: of road_4 the first half of each group of 2g. */
function hasCosine(index: number, { variant, groupSize }: RoadLayout): boolean {
  return variant !== "road_4" || index % (2 * groupSize) < groupSize;
}

function hasSine(index: number, { variant, groupSize }: RoadLayout): boolean {
  return variant !== "road_4" || index % (2 * groupSize) >= groupSize;
}
