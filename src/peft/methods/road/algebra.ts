/**
 * @file Arithmetic of RoAd: in each 2×2 block the sum of changes R − I is again the change of such a block.
 *
 *   c = 1 + Σ wᵢ (cᵢ − 1)    s = Σ wᵢ sᵢ
 *
 * A file holds the values of all pairs, so adapters of the lower and of the upper half add up to one of all pairs.
 */
import type { Algebra } from "../../algebra/contract.ts";
import type { RoadLayout, RoadVariant } from "./coefficients.ts";
import type { RoadOptions } from "./fields.ts";
import { ALPHA, THETA, coefficientsIn, tensorsFrom } from "./numbers.ts";
import { ROAD_PRODUCT } from "./product.ts";
import { joinWholeModules } from "../../trained-base/whole-modules.ts";

/** Outputs for each stored number. */
const OUTPUTS_PER_NUMBER: Readonly<Record<RoadVariant, number>> = { road_1: 2, road_2: 1, road_4: 1 / 2 };

export const ROAD_ALGEBRA = {
  kind: "vectors",
  isLinear: false,
  refuses: () => null,
  suffixes: [THETA, ALPHA],

  sizeOf: ({ [THETA]: theta }, { variant }) => {
    const outFeatures = (theta?.data.length ?? 1) * OUTPUTS_PER_NUMBER[variant];
    return { kind: "linear", inFeatures: 1, outFeatures };
  },

  toChange: (state) => {
    const { c, s } = coefficientsIn(state);
    return { c: c.map((cosine) => cosine - 1), s };
  },

  fromChange: ({ c, s }, like) =>
    tensorsFrom(
      c!.map((change) => 1 + change),
      s!,
      like,
    ),

  product: ROAD_PRODUCT,

  optionsOf: (sites, terms) => ({
    ...terms[0],
    groupSize: [...sites.values()][0]?.groupSize ?? null,
    ...joinWholeModules(terms),
  }),
} satisfies Algebra<RoadOptions, RoadLayout>;
