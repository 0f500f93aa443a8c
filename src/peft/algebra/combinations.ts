/** @file The list of ways to combine adapters, each with its settings. */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { NORMALIZATIONS } from "./coefficients.ts";
import type { FactorPair, Term } from "./contract.ts";
import { averageFactors, mixFactors, rankOf, scale, stack } from "./factors.ts";
import { type Truncation, truncate } from "./truncate.ts";
import { MAJORITIES, type Mix, dareMix, magnitudeMix, tiesMix, weightedSum } from "./mixing.ts";

/** The combined factors; `cut` is null when nothing was cut off. */
interface Outcome {
  readonly pair: FactorPair;
  readonly cut: Truncation | null;
}

const SETTINGS = {
  rank: z
    .int()
    .positive()
    .optional()
    .describe("svd: rank of the result; default: the largest of the adapters"),
  density: z
    .number()
    .gt(0)
    .lte(1)
    .optional()
    .describe("ties, dare, magnitude-prune: share of the entries to keep"),
  majority: z
    .enum(MAJORITIES)
    .optional()
    .describe("ties: signs are elected by sum or by count; default: total"),
  seed: z.int().min(0).optional().describe("dare: random seed; default: 0"),
  negate: z
    .enum(["A", "B"])
    .optional()
    .describe("paper: the factor that a minus negates; default: B, since A often starts out the same"),
  normalize: z
    .enum(NORMALIZATIONS)
    .optional()
    .describe("paper: divide the weights of a sum by their total (on, the default), or use them as written"),
};
/** Settings of the ways of combining. */
type CombineSettings = z.output<z.ZodObject<typeof SETTINGS>>;

/** A way of combining. */
export interface Combination {
  readonly summary: string;
  readonly takes: readonly (keyof CombineSettings)[];
  /** The factors of all adapters must have the same shapes: they are mixed one by one. */
  readonly mixesFactors: boolean;
  /** The paper's ⊕: all adapters must sit on the same modules with the same scale. */
  readonly averages: boolean;
  /** Vectors themselves are summed, not their changes. */
  readonly sumsParameters: boolean;
  /** Each number is weighted by its Fisher information. */
  readonly byFisher: boolean;
  /** Changes are applied one after another, not added. */
  readonly multiplies: boolean;
  /** A rank is chosen. */
  readonly cuts: boolean;
  /** How changes that are linear in their numbers are combined. */
  mix(settings: CombineSettings): Mix;
  /** The factors of the result; `position` distinguishes random draws. */
  factors(terms: readonly Term<FactorPair>[], settings: CombineSettings, position: number): Outcome;
}

/** Defaults of a way of combining. */
const ORDINARY = {
  mixesFactors: false,
  averages: false,
  sumsParameters: false,
  byFisher: false,
  multiplies: false,
  cuts: false,
  mix: () => weightedSum,
};

/** Makes a way of combining that mixes the two factors separately. */
function mixing(summary: string, takes: Combination["takes"], mix: Combination["mix"]): Combination {
  return {
    ...ORDINARY,
    summary,
    takes,
    mix,
    mixesFactors: true,
    factors: (terms, settings, position) => ({ pair: mixFactors(terms, mix(settings), position), cut: null }),
  };
}

const CAT: Combination = {
  ...ORDINARY,
  summary: "the exact sum of the changes; ranks add up",
  takes: [],
  factors: (terms) => {
    const [only, ...others] = terms;
    return { pair: only && others.length === 0 ? scale(only) : stack(terms), cut: null };
  },
};

export const COMBINATIONS = {
  cat: CAT,
  paper: {
    ...ORDINARY,
    summary: "parameters are averaged (⊕), a minus reverses the effect (⊖)",
    takes: ["negate", "normalize"],
    mixesFactors: true,
    averages: true,
    factors: (terms, { negate = "B" }) => ({ pair: averageFactors(terms, negate, weightedSum), cut: null }),
  },
  fisher: {
    ...CAT,
    summary: "parameters are averaged, each number by its Fisher information (graft fisher)",
    takes: [],
    mixesFactors: true,
    averages: true,
    byFisher: true,
  },
  linear: {
    ...mixing("factors are summed separately, with √|w|, as in peft", [], () => weightedSum),
    sumsParameters: true,
  },
  svd: {
    ...ORDINARY,
    summary: "the exact sum, cut to a rank",
    takes: ["rank"],
    cuts: true,
    factors: (terms, { rank = Math.max(...terms.map(({ of }) => rankOf(of))) }) => {
      const cut = truncate(stack(terms), rank);
      return { pair: cut.pair, cut };
    },
  },
  ties: mixing("prune, elect signs, average those that agree", ["density", "majority"], (settings) =>
    tiesMix(settings.density ?? 1, settings.majority ?? "total"),
  ),
  dare: mixing("drop random entries, rescale the rest, sum", ["density", "seed"], (settings) =>
    dareMix(settings.density ?? 1, settings.seed ?? 0),
  ),
  "magnitude-prune": mixing("keep the largest entries, sum", ["density"], ({ density = 1 }) =>
    magnitudeMix(density),
  ),
  product: {
    ...CAT,
    summary: "rotations one after another, the first one first; a weight is a power",
    multiplies: true,
  },
} satisfies Record<string, Combination>;

/** Name of a way of combining. */
type CombinationName = keyof typeof COMBINATIONS;

const NAMES = Object.keys(COMBINATIONS) as [CombinationName, ...CombinationName[]];

/** The only definition of the settings for combining adapters. */
export const COMBINE_OPTIONS = z.strictObject({
  type: z.enum(NAMES).default("cat").describe("how adapters are combined; cat is the exact sum"),
  ...SETTINGS,
});
export type CombineOptions = z.output<typeof COMBINE_OPTIONS>;

/**
 * Finds the selected way of combining.
 * @throws UsageError "usage/combine" for a setting that it does not take, or that it needs and lacks.
 */
export function findCombination({ type, ...settings }: CombineOptions): Combination {
  const combination: Combination = COMBINATIONS[type];
  const given = (Object.keys(settings) as (keyof CombineSettings)[]).filter(
    (key) => settings[key] !== undefined,
  );
  const surplus = given.filter((key) => !combination.takes.includes(key));
  if (surplus.length > 0) {
    const takers = NAMES.filter((name) => {
      const other: Combination = COMBINATIONS[name];
      return surplus.every((key) => other.takes.includes(key));
    });
    throw new UsageError(
      "usage/combine",
      `Cannot combine by type "${type}" with ${surplus.join(", ")}: which it does not use`,
      {
        hint: takers.length === 0 ? "Leave it out." : `Leave it out, or choose type ${takers.join(" or ")}.`,
      },
    );
  }
  if (combination.takes.includes("density") && settings.density === undefined) {
    throw new UsageError("usage/combine", `Cannot combine by type "${type}": it has no density`, {
      hint: "Give the share of entries to keep, for example --density 0.5.",
    });
  }
  return combination;
}
