/**
 * @file Rates at which branches are dropped, from how much the gradients miss each of them.
 *
 *   while Σ f_i (1 - p_i) > ⌊(1 - p) Σ f_i⌋:  raise by 0.1 the p_i < 0.9 with the least C_i (p_i + 0.1)
 *
 *   C_i sensitivity  f_i cost of the backward pass  p_i rate of branch i  p target
 * Paper: "DropBP: Accelerating Fine-Tuning of Large Language Models by Dropping Backward Propagation",
 * arXiv:2402.17812. Equal costs go to the larger index. Rates are counted in tenths: sums of 0.1 in float64 pass 0.9.
 */
import { UsageError } from "../../errors.ts";

/** The largest rate, in tenths: every branch is trained now and then. */
const LARGEST_TENTHS = 9;

/** What rates are made of, an entry for each branch. */
interface BranchCosts {
  readonly sensitivities: readonly number[];
  /** Cost of each branch's backward pass, in any unit. */
  readonly flops: readonly number[];
}

/**
 * The rate of each branch, in tenths.
 * @throws UsageError "usage/flag" for a target above the largest rate
 */
export function allocateRates(
  { sensitivities, flops }: BranchCosts,
  target: number,
  leastTenths = 0,
): number[] {
  const mostKept = Math.floor((1 - target) * flops.reduce((sum, cost) => sum + cost, 0));
  const tenths = flops.map(() => leastTenths);
  const keptTenths = (): number => flops.reduce((sum, cost, i) => sum + cost * (10 - tenths[i]!), 0);
  while (keptTenths() > 10 * mostKept) {
    let [next, least] = [-1, Infinity];
    for (const [i, count] of tenths.entries()) {
      const cost = sensitivities[i]! * (count + 1);
      // The first raise of each is free of the cap, as published.
      const isOpen = count < LARGEST_TENTHS || count === leastTenths;
      if (isOpen && cost <= least) [next, least] = [i, cost];
    }
    if (next < 0) {
      // Every rate is at its cap. That is as much as was asked for, up to the rounding of rates.
      if (target <= LARGEST_TENTHS / 10) return tenths;
      throw new UsageError(
        "usage/flag",
        `Cannot drop ${target} of the backward pass: every branch is at the largest rate, 0.9`,
        { hint: "Give a smaller --dropbp." },
      );
    }
    tenths[next] = tenths[next]! + 1;
  }
  return tenths;
}
