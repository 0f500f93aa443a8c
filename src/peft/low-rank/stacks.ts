/**
 * @file Two thin matrices on a stack [E, P·out, in], which has P matrices for each of E experts, in PEFT's layout:
 *
 *   A [E·R, in], expert by expert     B [P·out, R·E], columns by rank, then by expert
 *
 * The P matrices of an expert share its R rows of A.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { split } from "../../graph/ops/rows/split.ts";
import { transpose } from "../../graph/ops/shapes/transpose.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { ParameterTargets } from "../method.ts";
import type { SitePlace } from "../sites/site.ts";
import { startsFromWeight } from "./start.ts";
import { LINEAR_NAMES, type LowRankOptions, type LowRankSite } from "./low-rank.ts";

/** Field of an options schema. */
export const TARGET_PARAMETERS = {
  targetParameters: z
    .array(z.string())
    .default([])
    .describe(
      "parameters that get an adapter as well, by the ends of their paths: whole stacks of experts (gate_up_proj, down_proj), or a module's weight (gate.weight)",
    ),
};
const [A, B] = LINEAR_NAMES;

export const LOW_RANK_STACKS: ParameterTargets<LowRankOptions> = {
  names: ({ targetParameters = [] }) => targetParameters,
  split: ({ [A]: down, [B]: up }, { stack, outFeatures }) => {
    const { numExperts: E, numParts: P } = stack!;
    const rank = sizeAt(down!.shape, 0) / E;
    const downs = split(down!, 0, Array<number>(E).fill(rank)); // [R, in]
    const byExpert = transpose(reshape(up!, [outFeatures, rank, E]), [2, 0, 1]); // [E, P·out, R]
    const ups = split(
      reshape(byExpert, [E * outFeatures, rank]),
      0,
      Array<number>(E * P).fill(outFeatures / P),
    );
    return ups.map((own, index) => ({ [A]: downs[Math.floor(index / P)]!, [B]: own }));
  },
};

/** @throws UsageError "usage/flag" for options that PEFT supports only on modules */
export function refuseOnParameter({ parameter }: SitePlace, { dropout, ownBias, init }: LowRankSite): void {
  if (parameter === undefined) return;
  const found =
    dropout > 0
      ? `dropout ${dropout}`
      : ownBias
        ? "a bias of the second matrix"
        : startsFromWeight(init)
          ? `a start from the weight ("${init}")`
          : null;
  if (found === null) return;
  throw new UsageError(
    "usage/flag",
    `Cannot adapt parameter "${parameter}" with ${found}: only modules can`,
    {
      hint: "Leave that option or the target parameters out.",
    },
  );
}
