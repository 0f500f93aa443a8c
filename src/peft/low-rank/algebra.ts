/** @file Arithmetic of adapters whose change is s · B · A. Each site has its own rank and scale. */
import { assertInternal } from "../../errors.ts";
import { sizeAt } from "../../graph/shape.ts";
import { toPatterns } from "../algebra/patterns.ts";
import type { Algebra } from "../algebra/contract.ts";
import { FACTOR_NAMES, LINEAR_NAMES, type LowRankOptions, type LowRankSite } from "./low-rank.ts";
import type { SiteTensors } from "../sites/site.ts";
import { refuseTokens } from "../trained-base/trained-tokens.ts";
import { joinWholeModules } from "../trained-base/whole-modules.ts";

export const LOW_RANK_ALGEBRA: Algebra<LowRankOptions, LowRankSite> = {
  kind: "factors",
  notConcatenable: null,
  // As in peft, where concatenated adapters cannot have biases, and sums ignore those of B.
  refuses: ({ bias, loraBias, targetParameters = [], trainableTokenIndices = [] }) => {
    if (bias !== "none") return `it trains biases of the base (bias is "${bias}")`;
    if (targetParameters.length > 0)
      return `it sits on parameters (target_parameters is ${targetParameters.join(", ")})`;
    const ofTokens = refuseTokens(trainableTokenIndices);
    return ofTokens ?? (loraBias ? "its second matrix has a bias (lora_bias is true)" : null);
  },
  suffixes: FACTOR_NAMES.flat(),

  sizeOf: (tensors) => {
    const [a, b] = FACTOR_NAMES.find((names) => names.some((name) => name in tensors)) ?? LINEAR_NAMES;
    return {
      kind: a === LINEAR_NAMES[0] ? "linear" : "embedding",
      inFeatures: tensors[a]?.shape[1] ?? 1,
      outFeatures: tensors[b]?.shape[0] ?? 1,
    };
  },

  split: ({ tensors, options: { scale } }) => {
    const [a, b] = namesOf(tensors);
    return { down: tensors[a]!, up: tensors[b]!, scale };
  },

  join: ({ down, up, scale }, like) => {
    const [a, b] = namesOf(like.tensors);
    return {
      tensors: { [a]: down, [b]: up },
      options: { ...like.options, rank: sizeAt(down.shape, 0), scale },
    };
  },

  optionsOf: (sites, terms) => {
    const ranks = toPatterns(new Map([...sites].map(([path, { rank }]) => [path, rank])));
    // α is chosen so that α/R of each site is its scale.
    const alphas = toPatterns(new Map([...sites].map(([path, s]) => [path, s.rank * s.scale])));
    return {
      ...terms[0],
      rank: ranks.common,
      alpha: alphas.common,
      rslora: false,
      init: "default",
      rankPattern: ranks.others,
      alphaPattern: alphas.others,
      ...joinWholeModules(terms),
    };
  },
};

function namesOf(tensors: SiteTensors): readonly [string, string] {
  const found = FACTOR_NAMES.find(([a, b]) => a in tensors && b in tensors);
  assertInternal(found, `tensors are ${Object.keys(tensors).join(", ")}`);
  return found;
}
