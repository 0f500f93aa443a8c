/**
 * @file RoAd and LoRA on one projection: outputs are rotated in pairs, and a product of two thin matrices is added.
 *
 *   z = R (x Wᵀ + b) + s (drop(x) Aᵀ) Bᵀ     R: the blocks of RoAd     A [R, in]  B [out, R]     s = α/R
 *
 * Paper: "3-in-1: 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and Composability", arXiv:2409.00119, "RoAd1
 * + LoRA". LoRA is applied around the projection that RoAd has rotated; both start as the base.
 */
import { z } from "zod";
import { assertInternal } from "../../errors.ts";
import { type SiteGraph, withProjector } from "../../models/graphs/site-graph.ts";
import { LOW_RANK_FIELDS } from "../low-rank/low-rank.ts";
import { defineMethod } from "../define-method.ts";
import { ALL_LINEAR, type AdapterMethod, NOTHING_FROZEN } from "../method.ts";
import { PLAIN_FILE, configKeys } from "../contract/adapter-file.ts";
import type { MergeRule } from "../contract/merge-rule.ts";
import type { RowForm, StackedBatch } from "../contract/batch-rule.ts";
import type { SiteValues } from "../sites/site.ts";
import { MODULES_TO_SAVE, WHOLE_MODULES } from "../trained-base/whole-modules.ts";
import { ROAD_FIELDS } from "./road/fields.ts";

const OPTIONS = z.strictObject({
  rank: LOW_RANK_FIELDS.rank,
  alpha: LOW_RANK_FIELDS.alpha,
  dropout: LOW_RANK_FIELDS.dropout,
  variant: ROAD_FIELDS.variant,
  groupSize: ROAD_FIELDS.groupSize,
  ...MODULES_TO_SAVE,
});
type RoadLoraOptions = z.output<typeof OPTIONS>;

const KEYS = configKeys<RoadLoraOptions>({
  rank: "r",
  alpha: "lora_alpha",
  dropout: "lora_dropout",
  variant: "variant",
  groupSize: "group_size",
});

/** The options of both methods at a site. */
interface RoadLoraSite {
  readonly turn: unknown;
  readonly sum: unknown;
}

/** Returns the site with its projection rotated. */
function turned(
  site: SiteGraph,
  { adapt }: Pick<AdapterMethod, "adapt">,
  values: SiteValues,
  options: unknown,
): SiteGraph {
  return withProjector(site, (x) => adapt(site, x, values, options), "");
}

/** Combines two methods, `adding` around `turning`. */
export function roadLora(turning: AdapterMethod, adding: AdapterMethod): AdapterMethod {
  return defineMethod<RoadLoraOptions, RoadLoraSite>({
    kind: "adapter",
    name: "road-lora",
    paper: turning.paper,
    learningRate: 1e-3,
    options: OPTIONS,
    targets: { ...ALL_LINEAR, ...WHOLE_MODULES },

    configure: ({ rank, alpha, dropout, variant, groupSize }) => {
      const turnOf = turning.configure(turning.options.parse({ variant, groupSize }));
      const sumOf = adding.configure(adding.options.parse({ rank, alpha, dropout }));
      return (place) => ({ turn: turnOf(place), sum: sumOf(place) });
    },

    trained: {
      specs: (site, { turn, sum }) => [
        ...turning.trained.specs(site, turn),
        ...adding.trained.specs(site, sum),
      ],
      init: async (site, { turn, sum }, random) => {
        await turning.trained.init(site, turn, random);
        await adding.trained.init(site, sum, random);
      },
      initialChange: "none",
    },
    frozen: NOTHING_FROZEN,

    adapt: (site, x, values, { turn, sum }) =>
      adding.adapt(turned(site, turning, values, turn), x, values, sum),
    materializesWeight: () => false,

    lookup: "not-on-embeddings",
    batch: rowsOfBoth(turning, adding),

    merge: mergeBoth(turning, adding),

    // The change is neither a product of rotations nor one of thin matrices.
    algebra: "not-composable",

    file: { ...PLAIN_FILE, peftType: "ROAD_LORA", ...KEYS },
  });
}

/** Merges the rotation first. */
function mergeBoth({ merge: turns }: AdapterMethod, { merge: sums }: AdapterMethod): MergeRule<RoadLoraSite> {
  assertInternal(turns !== "not-mergeable" && sums !== "not-mergeable", "both merge");
  return {
    graph: (base, values, site, { turn, sum }) =>
      sums.graph(turns.graph(base, values, site, turn), values, site, sum),
    stored: "requantized",
  };
}

/** Joins the rules for rows of both methods, whose forms have different tensor names. */
function rowsOfBoth(
  { batch: turns }: AdapterMethod,
  { batch: sums }: AdapterMethod,
): StackedBatch<RoadLoraSite> {
  assertInternal(turns !== "not-batchable" && turns.added === null, "turns are stacked");
  assertInternal(sums !== "not-batchable" && sums.added === null, "sums are stacked");
  const join = (turn: RowForm<unknown> | null, sum: RowForm<unknown> | null): RowForm<RoadLoraSite> | null =>
    turn &&
    sum && {
      tensors: { ...turn.tensors, ...sum.tensors },
      turned: { ...turn.turned, ...sum.turned },
      options: { turn: turn.options, sum: sum.options },
    };
  return {
    ofBase: null,
    added: null,
    form: (tensors, site, { turn, sum }) =>
      join(turns.form(tensors, site, turn), sums.form(tensors, site, sum)),
    identity: (site, { turn, sum }) => join(turns.identity(site, turn), sums.identity(site, sum)),
    adapt: (site, x, values, { turn, sum }) => sums.adapt(turned(site, turns, values, turn), x, values, sum),
  };
}
