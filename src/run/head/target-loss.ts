/**
 * @file Losses of outputs with one target number each, as transformers defines them: the mean over the outputs z of a position
 * with targets t.   z, t [N, V]   loss [N, 1]
 *
 *   regression                   (z - t)²
 *   multi_label_classification   -t log σ(z) - (1-t) log σ(-z) = z (½ - t) + ½ |z| + log(1 + e^-|z|)
 *
 * The last form is finite for any z, and its gradient at 0 is the right one.
 */
import type { Value } from "../../graph/graph.ts";
import { abs, add, exp, log, mul, neg, sub } from "../../graph/ops/pointwise/elementwise.ts";
import { reduceMean } from "../../graph/ops/reductions/reduce-mean.ts";
import { factsOf, type ProblemType } from "../../models/config/classifier-config.ts";

/** The loss of each position, [N, 1]. */
export function targetLoss(problem: ProblemType | null, z: Value, targets: Value): Value {
  return reduceMean(factsOf(problem).hasClasses ? logLoss(z, targets) : squaredError(z, targets), [1]);
}

function squaredError(z: Value, targets: Value): Value {
  const error = sub(z, targets);
  return mul(error, error);
}

function logLoss(z: Value, targets: Value): Value {
  const [half, one] = [z.graph.scalar(0.5), z.graph.scalar(1)];
  const size = abs(z);
  const linear = add(mul(z, sub(half, targets)), mul(half, size));
  return add(linear, log(add(one, exp(neg(size)))));
}
