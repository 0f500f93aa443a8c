/**
 * @file RoAd: the outputs of a projection are rotated and scaled in pairs.
 *
 *   z = c ∘ h + s ∘ rot(h)    h = x Wᵀ + b    c = α cos θ    s = α sin θ
 *
 * Paper: "3-in-1: 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and Composability", arXiv:2409.00119, eq. 3
 * and 4. Output k of a group of g is paired with k + g/2, as in PEFT; g = 2 is the paper's layout. The bias is rotated too. θ
 * starts at 0 and α at 1, so the output starts as the base's.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import type { Value } from "../../graph/graph.ts";
import { add, mul, sub } from "../../graph/ops/pointwise/elementwise.ts";
import { rotatePairs } from "../../graph/ops/products/rotate-pairs.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import { passInput } from "../../nn/pass.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { ROAD_ALGEBRA } from "./road/algebra.ts";
import { roadRowForm, turnRows } from "./road/rows.ts";
import { NOTE_PREFIX, takesAll } from "../contract/adapter-file.ts";
import { defineMethod } from "../define-method.ts";
import { ALL_LINEAR, NOTHING_FROZEN } from "../method.ts";
import type { SitePlace } from "../sites/site.ts";
import { type RoadLayout, coefficientValues, toAllGroups, trainedRange } from "./road/coefficients.ts";
import { ROAD_FIELDS, type RoadOptions } from "./road/fields.ts";
import { ALPHA, START, THETA, coefficientsOf } from "./road/numbers.ts";
import { matchSuffix } from "../../models/module-path.ts";
import {
  WHOLE_MODULES,
  wholeModulesFromConfig,
  wholeModulesToConfig,
} from "../trained-base/whole-modules.ts";

/** PEFT's default width of groups. */
const USUAL_GROUP = 64;

/** Key for the trained pairs. A file has the values of all pairs, so readers that do not know this key compute the same. */
const PAIRS_KEY = `${NOTE_PREFIX}road_pairs`;

interface RoadSite extends RoadLayout {
  readonly positions: RoadOptions["positions"];
}

export const road = defineMethod<RoadOptions, RoadSite>({
  kind: "adapter",
  name: "road",
  paper: {
    title: "3-in-1: 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and Composability",
    arxiv: "2409.00119",
  },
  learningRate: 2e-3,
  options: z.strictObject(ROAD_FIELDS),
  // The paper adapts all projections of the blocks; PEFT's choice is q_proj and v_proj.
  targets: { ...ALL_LINEAR, ...WHOLE_MODULES, residual: true },

  configure:
    ({ variant, groupSize, pairs, positions }) =>
    (place) => {
      if (positions !== "all") refuseProjection(place);
      const width = place.spec.outFeatures;
      return { variant, width, groupSize: groupFor(groupSize, pairs, place), pairs, positions };
    },

  trained: {
    specs: (_site, layout) => {
      const [start, end] = trainedRange(layout);
      return [THETA, ALPHA].map((suffix) => ({ suffix, shape: [end - start] }));
    },
    init: ({ tensors: { [ALPHA]: alpha } }) => {
      alpha?.data.fill(1);
    },
    initialChange: "none",
  },
  frozen: NOTHING_FROZEN,

  adapt: (site, x, { [THETA]: theta, [ALPHA]: alpha }, layout) => {
    const h = site.save("base", site.project(x), { insteadOfOutput: true });
    const [c, s] = coefficientValues(theta!, alpha!, layout);
    return atPositions(site, h, rotatePairs(h, c, s, layout.groupSize), layout);
  },

  materializesWeight: () => false,

  lookup: "not-on-embeddings",

  batch: {
    ofBase: null,
    added: null,
    form: ({ [THETA]: theta, [ALPHA]: alpha }, _site, layout) =>
      roadRowForm(coefficientsOf(theta!.data, alpha!.data, layout), layout),
    identity: (_site, layout) =>
      roadRowForm({ c: new Float32Array(layout.width).fill(1), s: new Float32Array(layout.width) }, layout),
    adapt: (site, x, values, layout) => {
      const h = site.project(x);
      return atPositions(site, h, turnRows(site, h, values, layout), layout);
    },
  },

  merge: {
    graph: ({ weight, bias }, { [THETA]: theta, [ALPHA]: alpha }, _site, layout) => {
      const [c, s] = coefficientValues(theta!, alpha!, layout);
      const rotate = (value: Value): Value => rotatePairs(value, c, s, layout.groupSize);
      return { weight: transpose(rotate(transpose(weight, [1, 0])), [1, 0]), bias: bias && rotate(bias) };
    },
    stored: "requantized",
  },

  algebra: ROAD_ALGEBRA,

  file: {
    peftType: "ROAD",
    // PEFT rotates all tokens, whatever the file says.
    readBy: ({ positions }, paths, takes) =>
      positions === "all" && takesAll(paths, takes) ? "peft" : "graft",
    claims: () => true,
    toConfig: ({ variant, groupSize, pairs, positions, ...others }, sites) => ({
      ...wholeModulesToConfig(others),
      variant,
      group_size: sites[0]?.options.groupSize ?? groupSize ?? USUAL_GROUP,
      init_weights: true,
      ...(positions === "all" ? {} : { positions }),
      ...(pairs === "all" ? {} : { [PAIRS_KEY]: pairs }),
    }),
    fromConfig: (take) => {
      take("init_weights");
      return {
        variant: take("variant"),
        groupSize: take("group_size"),
        pairs: take(PAIRS_KEY),
        positions: take("positions"),
        ...wholeModulesFromConfig(take),
      };
    },
    // A file has the values of all pairs, whichever were trained, so that PEFT can read it and adapters of the two halves can be
    // added.
    toTensors: ({ [THETA]: theta, [ALPHA]: alpha }, layout) => ({
      [THETA]: vector(toAllGroups(theta!.data, START[THETA], layout)),
      [ALPHA]: vector(toAllGroups(alpha!.data, START[ALPHA], layout)),
    }),
    fromTensors: (held, layout) =>
      Object.fromEntries(
        Object.entries(held).map(([suffix, tensor]) => [
          suffix,
          trainedOf(tensor, START[suffix as keyof typeof START], layout),
        ]),
      ),
  },
});

/** Marks the last token of each prompt with 1, all others with 0. */
const PROMPT_ENDS = passInput({
  name: "promptEnds",
  dtype: "float32",
  shape: ["B", "T", 1],
  perPrompt: true,
  fill: ({ length, isPromptEnd }, data) => {
    for (let i = 0; i < data.length; i++) {
      data[i] = isPromptEnd?.(Math.floor(i / length), i % length) ? 1 : 0;
    }
  },
});

/** Returns z at the positions that are rotated, h elsewhere. */
function atPositions(site: SiteGraph, h: Value, z: Value, { positions }: RoadSite): Value {
  if (positions === "all") return z;
  return add(h, mul(site.context(PROMPT_ENDS), sub(z, h)));
}

/** @throws UsageError "usage/flag" anywhere but on the residual stream */
function refuseProjection({ path }: SitePlace): void {
  if (matchSuffix("residual", path)) return;
  throw new UsageError(
    "usage/flag",
    `Cannot rotate "${path}" only at the ends of prompts: it is a projection, expected the residual stream`,
    { hint: "Choose residual as the target module, in some layers, or all positions." },
  );
}

/**
 * Extracts the trained values from those of all groups, if the rest have their initial value; anything else is returned
 * unchanged, to be refused later.
 */
function trainedOf(tensor: HostTensor<"float32">, start: number, layout: RoadLayout): HostTensor<"float32"> {
  const { data } = tensor;
  const [from, to] = trainedRange(layout);
  const [, length] = trainedRange({ ...layout, pairs: "all" });
  const isOfPairs = data.every((value, i) => (i >= from && i < to) || value === start);
  return data.length === length && isOfPairs ? vector(data.slice(from, to)) : tensor;
}

function vector(data: Float32Array): HostTensor<"float32"> {
  return hostTensor("float32", [data.length], data);
}

/** Width of the groups at a place: as given, or one that fits all sites. @throws UsageError "usage/flag" when it does not fit */
function groupFor(
  given: number | null,
  pairs: RoadOptions["pairs"],
  { path, spec, sites }: SitePlace,
): number {
  const fits = (size: number, { outFeatures }: SiteSpec): boolean =>
    outFeatures % size === 0 && (pairs === "all" || outFeatures > size);
  const sizes = Array.from({ length: USUAL_GROUP / 2 }, (_, i) => USUAL_GROUP - 2 * i);
  const largest = sizes.find((size) => sites.every((site) => fits(size, site)));
  const chosen = given ?? largest;
  if (chosen !== undefined && fits(chosen, spec)) return chosen;
  const parts = pairs === "all" ? "groups" : "two or more groups";
  // If no width fits all, names a module that not even the smallest width fits.
  const odd = chosen === undefined && fits(2, spec) ? sites.find((site) => !fits(2, site)) : undefined;
  const [name, { outFeatures }] = odd ? [odd.name, odd] : [path, spec];
  throw new UsageError(
    "usage/flag",
    `Cannot put RoAd on "${name}": it has ${outFeatures} outputs, expected ${parts} of ${chosen ?? "an even size"}`,
    {
      hint:
        largest === undefined
          ? `Leave "${name}" out of the target modules.`
          : `Choose a group size that divides the outputs of all modules, such as ${largest}.`,
    },
  );
}
